"""A run that is to be killed: who labels, the model it asks, and what that model saw of it.

What the model says depends on what it is asked about alone, the image, the class and the round, so that a run
that was disturbed and one that was not talk to the same model. Faults that asking again mends come the first
time that something is asked; all others belong to what the model says.
"""

import hashlib
import json
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskpilot.agent import Observation, Policy
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.labeling import pilots
from maskpilot.labeling.job import Job
from maskpilot.labeling.plan import Outcome, Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.types import LabelClass
from maskpilot.testing import Answer, Says, Seen
from maskpilot.testing.faults import ANSWERING, PASSING, REFUSED, Fault, busy
from maskpilot.types import Budget, Decision
from tests.labeling.scenery import segmenter_of, small_scenes

CLASSES = (LabelClass("thing", "every thing"), LabelClass("circle"), LabelClass("red", "all that is red"))
WORKERS = 6
PASSING_RATE, ANSWERING_RATE = 0.16, 0.11
OBJECTS_RATE = 0.4
"""Of second looks."""

PASS = (*(fault for fault in PASSING if fault.name != "429 rate_limit_exceeded"), busy("0"))
SPOIL = (*(fault for fault in ANSWERING if fault.name not in {"slow", "dripping"}), REFUSED)
NUDGE = "There was no tool call"
PRICE_IN, PRICE_OUT = 2.0, 8.0

Session = tuple[str, str]
"""An image, by a hash of how it is sent, and what is asked about it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about.

    Attributes:
        life: which process asks; it says so with its key.
        session: the image and the class.
        round: from 1; 0 for a second look.
        detail: what tells the requests of a round apart.
    """

    life: int
    session: Session
    round: int
    detail: str

    @property
    def key(self) -> tuple[object, ...]:
        """The same for the same request of another process."""
        return (*self.session, self.round, self.detail)


class Model:
    """Answers for `FaultyServer`, and keeps the books.

    Attributes:
        before: called with the number of good answers so far before each request is answered.
        bills: tokens of each answer about a round, by the process that it went to.
        answered: requests with a good answer, in order.
        faults: how often each was, by name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.before: Callable[[int], None] = lambda _: None
        self._times: Counter[tuple[object, ...]] = Counter()
        self._at: dict[Session, int] = {}
        self.bills: dict[tuple[Session, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.answered: list[Asked] = []
        self.faults: Counter[str] = Counter()

    def turn(self, seen: Seen) -> Answer:
        asked = read(seen)
        with self._lock:
            number = len(self.answered)
            again = self._times[asked.key]
            self._times[asked.key] += 1
            fault, says = spoken(asked)
            passing = passing_fault(asked) if again == 0 else None
            answer = (passing or fault).spoil(says, "chat", "test-model")
            self.faults[(passing or fault).name] += 1
            # A second look is part of the round that is under way.
            at = self._at[asked.session] = asked.round or self._at[asked.session]
            self.bills[asked.session, at][asked.life].append(billed(answer))
            if passing is None:
                self.answered.append(asked)
        self.before(number)
        return answer

    @property
    def tokens(self) -> int:
        """What a run must say that it has cost: what went to the last process that asked about each round.

        Those before it died with the answer in their hands.
        """
        return sum(sum(lives[max(lives)]) for lives in self.bills.values())

    def rounds(self, session: Session) -> list[tuple[int, int]]:
        """(process, round) of every good answer in a session, in order, second looks left out."""
        return [
            (asked.life, asked.round) for asked in self.answered if asked.session == session and asked.round
        ]


def read(seen: Seen) -> Asked:
    """What a request is about."""
    messages = seen.body["messages"]
    life = int(seen.headers["authorization"].rpartition("-")[2])
    users = [message["content"] for message in messages if message["role"] == "user"]
    first = users[0]
    text = " ".join(part["text"] for part in first if part["type"] == "text")
    picture = next(part["image_url"]["url"] for part in first if part["type"] == "image_url")
    asked = next(wanted.query for wanted in CLASSES if wanted.query in text)
    session = (hashlib.sha256(picture.encode()).hexdigest(), asked)
    if "wrong_ids" in str(messages[0]["content"]):
        return Asked(life, session, 0, hashlib.sha256(json.dumps(users).encode()).hexdigest())
    told = [int(number) for number in re.findall(r"After round (\d+)\.", json.dumps(users))]
    nudged = "nudged" if NUDGE in json.dumps(users[-1]) else "plain"
    room = seen.body.get("max_completion_tokens") or seen.body.get("max_tokens")
    return Asked(life, session, max(told, default=0) + 1, f"{nudged} {room}")


def passing_fault(asked: Asked) -> Fault | None:
    chance = random.Random(f"passing {asked.key}")
    return chance.choice(PASS) if chance.random() < PASSING_RATE else None


def spoken(asked: Asked) -> tuple[Fault, Says]:
    """What the model says to this, and what becomes of that."""
    chance = random.Random(f"spoken {asked.key}")
    tokens = (chance.randint(500, 1500), 0, chance.randint(20, 90), 0)
    if not asked.round:
        missed = ["one at the edge"] if chance.random() < OBJECTS_RATE else []
        return Fault("none"), Says(json.dumps({"wrong_ids": [], "missed": missed, "why": ""}), tokens=tokens)
    name, given = _call(asked.round, asked.session[1].split()[-1], chance)
    says = Says("I see.", ((name, {**given, "rating": chance.randint(20, 95)}),), tokens=tokens)
    spoils = "nudged" not in asked.detail and chance.random() < ANSWERING_RATE
    return chance.choice(SPOIL) if spoils else Fault("none"), says


def _call(number: int, word: str, chance: random.Random) -> tuple[str, Mapping[str, Any]]:
    if number == 1:
        return "set_text_prompt", {"text": word}
    x, y = chance.randrange(700), chance.randrange(700)
    moves: Sequence[tuple[int, str, Mapping[str, Any]]] = (
        (7, "finish", {"verdict": "complete", "reason": "all is there"}),
        (1, "finish", {"verdict": "absent", "reason": "nothing is there"}),
        (4, "set_threshold", {"value": chance.choice([0.2, 0.4, 0.6])}),
        (2, "set_text_prompt", {"text": "thing"}),
        (2, "add_positive_box", {"x0": x, "y0": y, "x1": x + 300, "y1": y + 300}),
        (2, "drop_masks", {"ids": [1]}),
        (2, "keep_masks", {"ids": [1]}),
        (1, "make_coffee", {"cups": 2}),
    )
    _, name, given = chance.choices(moves, [weight for weight, *_ in moves])[0]
    return name, given


def billed(answer: Answer) -> int:
    """Tokens that whoever gets an answer learns of."""
    if answer.status != 200 or answer.cut_at is not None:
        return 0
    try:
        usage = json.loads(answer.body)["usage"]
    except (ValueError, KeyError):
        return 0
    return int(usage["prompt_tokens"]) + int(usage["completion_tokens"])


class Loud:
    """A policy or a watch that tells when something happens, so that somebody can choose a moment."""

    def __init__(self, policy: Policy, tell: Callable[[str], None]) -> None:
        self._policy, self._tell, self.description = policy, tell, policy.description

    def decide(self, observation: Observation) -> Decision:
        self._tell("asks")
        decision = self._policy.decide(observation)
        self._tell("decides")
        return decision


class Told:
    """A watch."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __call__(self, standing: Standing) -> None:
        self._tell("commits")

    def note(self, message: str) -> None: ...


def label(
    run: Path,
    images: Path,
    url: str,
    *,
    scenes: int,
    life: int = 1,
    workers: int = WORKERS,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Label drawn scenes, or go on with that.

    Args:
        run: the run folder.
        images: with the scenes of `small_scenes(scenes)`.
        url: of the model.
        life: number of the process that does so.
        tell: is told of events as they happen, from any thread.
    """
    settings = MllmSettings(
        "test-model",
        base_url=url,
        call_style="native",
        coords="1000-xyxy",
        max_side=96,
        price_in=PRICE_IN,
        price_out=PRICE_OUT,
    )
    with OpenAIWire(
        settings.model, base_url=url, api_key=f"life-{life}", prices=settings.prices, sleep=lambda _: None
    ) as wire:
        quiet = pilots.mllm(wire, settings, Memory())
        job = Job(
            classes=CLASSES,
            segmenter=segmenter_of(small_scenes(scenes)),
            first=replace(quiet, make=lambda wanted: Loud(quiet.make(wanted), tell)),
            budget=Budget(max_rounds=8),
        )
        return run_labeling(Plan(images, job, workers=workers), run, watch=Told(tell))
