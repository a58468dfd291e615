"""Many sessions of the MLLM policy against the faulty server, an oracle speaking for the model.

Whenever a session is about to ask the model, the oracle decides first, and its decision lies on a desk from
where the server takes it, as often as the wire asks. So faults and good calls mix as they would in the field,
and what the sessions come to can be held against the truth.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskpilot import masks
from maskpilot.agent import Observation, Oracle, Policy, run_session
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.wire import API, OpenAIWire
from maskpilot.demo import union_iou
from maskpilot.errors import SessionFailed
from maskpilot.scenes import Scene, SceneQuery, make_scene, queries
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.testing import FaultMix, FaultyServer, Says, Seen
from maskpilot.testing.faults import ANSWERING, FILTERED, PASSING, REFUSED
from maskpilot.tools import FULL
from maskpilot.trajectory import Setup, Trajectory
from maskpilot.types import Budget, Decision, ImageRef, Stop, Usage

WAYS: tuple[tuple[API, str], ...] = (
    ("chat", "auto"),
    ("responses", "auto"),
    ("chat", "schema"),
    ("responses", "text"),
)
"""API and call style, one pair for each thread."""

SIZE = (192, 144)
FAULTS = (*PASSING, *ANSWERING, REFUSED, FILTERED)
SATISFIED = Says('{"wrong_ids": [], "missed": [], "why": "all is right"}')


@dataclass(frozen=True)
class Outcome:
    """How one session ended.

    Attributes:
        raised: what it raised; empty where it did as it should.
    """

    stop: Stop
    iou: float
    rounds: int
    usage: Usage
    raised: str = ""


@dataclass(frozen=True)
class Soak:
    """What a soak came to."""

    outcomes: tuple[Outcome, ...]
    faults: Counter[str]
    requests: int

    @property
    def raised(self) -> list[str]:
        return [outcome.raised for outcome in self.outcomes if outcome.raised]

    @property
    def mean_iou(self) -> float:
        return float(np.mean([outcome.iou for outcome in self.outcomes]))

    def __str__(self) -> str:
        stops = Counter(outcome.stop.value for outcome in self.outcomes)
        rounds = float(np.mean([outcome.rounds for outcome in self.outcomes]))
        lines = [
            f"{len(self.outcomes)} sessions, {self.requests} requests, {self.faults.total()} of them faulty, "
            f"{len(self.raised)} sessions raised",
            f"mean IoU {self.mean_iou:.3f}, {rounds:.1f} rounds; ended in "
            + ", ".join(f"{name} {count}" for name, count in stops.most_common()),
        ]
        if self.faults:
            lines.append("faults: " + ", ".join(f"{name} {n}" for name, n in self.faults.most_common()))
        return "\n".join([*lines, *self.raised])


def soak(sessions: int, rate: float, *, seed: int = 0) -> Soak:
    """Run sessions in threads; a share `rate` of all replies is faulty.

    Each thread has its own server, wire and chance, and so gives the same every time.
    """
    shares = [range(worker, sessions, len(WAYS)) for worker in range(len(WAYS))]
    with ThreadPoolExecutor(len(shares)) as pool:
        parts = list(pool.map(lambda share: _work(share, rate, seed), shares))
    return Soak(
        outcomes=tuple(outcome for part in parts for outcome in part.outcomes),
        faults=sum((part.faults for part in parts), Counter()),
        requests=sum(part.requests for part in parts),
    )


def _work(share: Sequence[int], rate: float, seed: int) -> Soak:
    """One thread's sessions, one after the other."""
    api, style = WAYS[share[0]]
    desk = Desk()
    mix = FaultMix(rate, FAULTS, seed=1000 * seed + share[0])
    chance = random.Random(share[0])
    settings = MllmSettings("soak-model", call_style=style, coords="1000-xyxy", max_side=SIZE[0])
    memory = Memory()
    with (
        FaultyServer(desk.turn, mix=mix) as server,
        OpenAIWire(
            settings.model,
            base_url=server.url,
            api_key="soak",
            api=api,
            sleep=lambda _: None,
            jitter=chance.random,
        ) as wire,
    ):
        outcomes = tuple(
            _session(number, lambda: MllmPolicy(wire, settings, memory=memory), desk) for number in share
        )
        return Soak(outcomes, mix.drawn, len(server.seen))


def _session(number: int, pilot: Any, desk: "Desk") -> Outcome:
    scene, query = task(number)
    truth = [masks.encode(scene.objects[index].mask) for index in query.answer]
    policy = Prompted(pilot(), Oracle(truth, [query.phrase, *query.also]), desk)
    image = ImageRef("0" * 64, ".png", f"scene-{number}.png", *SIZE)
    setup = Setup(query.text, image, FULL, Budget(max_rounds=12))
    raised = ""
    try:
        done = run_session(setup, scene.image, segmenter_of(scene).open(scene.image), policy)
    except SessionFailed as error:
        done, raised = error.trajectory, f"session {number}: {error}"
    return _outcome(done, raised, union_iou(done.result, truth, image))


def _outcome(done: Trajectory, raised: str, iou: float) -> Outcome:
    assert done.ending is not None
    return Outcome(done.ending.stop, iou, len(done.steps), done.ending.usage, raised)


def task(number: int) -> tuple[Scene, SceneQuery]:
    """A small scene and one of its queries."""
    for seed in range(100 * number, 100 * (number + 1)):
        scene = make_scene(seed, size=SIZE, count=6)
        asked = queries(scene)
        if asked:
            return scene, asked[number % len(asked)]
    raise AssertionError("no scene with a query")


def segmenter_of(scene: Scene) -> FakeSegmenter:
    """Finds too much by a phrase (what shares a word with it), and some things only with a low threshold."""
    chance = random.Random(scene.seed)
    return FakeSegmenter(
        [
            FakeObject(
                thing.mask,
                frozenset({thing.shape, thing.colour, thing.texture, thing.size, "thing"}),
                score=round(chance.uniform(0.3, 0.95), 3),
            )
            for thing in scene.objects
        ]
    )


class Desk:
    """Where the oracle leaves what the model is to say, in the form in which it is asked."""

    def __init__(self) -> None:
        self.decision = Decision()
        self.size = SIZE

    def turn(self, seen: Seen) -> Says:
        """The reply to a request."""
        head = json.dumps(seen.body.get("instructions") or seen.body["messages"][0])
        if "wrong_ids" in head:
            return SATISFIED
        calls = [(call.name, self._in_unit(call.arguments)) for call in self.decision.calls]
        rating = self.decision.rating or 0
        if "tools" in seen.body:
            return Says("I see.", tuple((name, {**given, "rating": rating}) for name, given in calls))
        if "response_format" in seen.body or "text" in seen.body:
            flat = [{"name": name, **given} for name, given in calls]
            return Says(json.dumps({"thought": "I see.", "rating": rating, "calls": flat}))
        tagged = (
            json.dumps({"name": name, "arguments": {**given, "rating": rating}}) for name, given in calls
        )
        return Says("\n".join(f"<tool_call>{call}</tool_call>" for call in tagged))

    def _in_unit(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Boxes in thousandths of the image, as the model is asked to give them."""
        ends = {"x0": self.size[0], "x1": self.size[0], "y0": self.size[1], "y1": self.size[1]}
        return {
            name: round(min(max(value / ends[name], 0.0), 1.0) * 1000) if name in ends else value
            for name, value in arguments.items()
        }


class Prompted:
    """A policy whose model says what an oracle decides."""

    def __init__(self, policy: Policy, oracle: Oracle, desk: Desk) -> None:
        self._policy = policy
        self._oracle = oracle
        self._desk = desk
        self.description = policy.description

    def decide(self, observation: Observation) -> Decision:
        # An oracle never tries the same twice: where the fault ate its words, it must say them again.
        heard = not observation.steps or observation.steps[-1].decision.calls
        if heard:
            self._desk.decision = self._oracle.decide(observation)
        return self._policy.decide(observation)
