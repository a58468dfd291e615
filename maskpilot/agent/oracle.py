"""A simulated annotator: it sees the ground truth and makes errors at a rate that is asked for.

It is an upper bound, a test bed and the demo's pilot. Nothing it scores may be presented as the work of a
model that looks at pictures; its description says "simulated", and every report repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from maskpilot import masks
from maskpilot.agent.policy import Observation
from maskpilot.tools import SessionState
from maskpilot.types import Box, Decision, Instance, Mask, ToolCall

__all__ = ["Oracle", "OracleErrors"]

GOOD_IOU = 0.7
"""A shown mask is right when it overlaps a true one at least this much."""

NEAR_IOU = 0.3
"""... and wrong when it overlaps none at least this much."""

LOWER_THRESHOLDS = (0.3, 0.15, 0.05)
MAX_BOXES = 4


@dataclass(frozen=True, slots=True)
class OracleErrors:
    """How often the annotator errs; all are probabilities per decision, but for the first.

    Attributes:
        box_jitter: standard deviation of each box edge, as a share of the box's side.
        missed_fix: overlooks one fault.
        wrong_call: does something valid and wrong instead.
        malformed_call: makes a call that cannot be applied.
        early_stop: finishes as complete though faults are left.
        late_stop: goes on though all is right.

    Raises:
        ValueError: a value outside [0, 1].
    """

    box_jitter: float = 0.0
    missed_fix: float = 0.0
    wrong_call: float = 0.0
    malformed_call: float = 0.0
    early_stop: float = 0.0
    late_stop: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"OracleErrors.{name}: expected a share in [0, 1], got {value!r}")

    @classmethod
    def at_rate(cls, rate: float) -> OracleErrors:
        """A share `rate` of all decisions goes wrong: half by wrong calls, the rest in the other ways."""
        return cls(
            box_jitter=rate / 2,
            missed_fix=rate / 4,
            wrong_call=rate / 2,
            malformed_call=rate / 8,
            early_stop=rate / 16,
            late_stop=rate / 16,
        )


@dataclass(frozen=True)
class _View:
    """The shown masks held against the truth.

    A shown mask that covers a true one badly is neither right nor wrong: the true one counts as missed, and
    the bad mask is left alone, since rejecting it would also hide a better one of the same object.
    """

    observation: Observation
    right: tuple[Instance, ...]
    wrong: tuple[Instance, ...]
    missed: tuple[Mask, ...]

    def offers(self, tool: str) -> bool:
        return tool in self.observation.tools


class Oracle:
    """Pilots with the ground truth in sight.

    Its order of means is the one that helps with SAM 3: select, then another phrase, then the threshold,
    then boxes. It never tries the same means in the same place twice, so it always comes to an end.

    In a session that is gone on with it first goes through the rounds there are, so that it has tried what
    was tried and errs where it would have erred: the session ends as if it had not been cut.

    Args:
        truth: the masks that answer the query; none where nothing matches.
        phrases: noun phrases for the text prompt, the best first; at least one.
        errors: how often it errs.
        seed: of its errors.

    Raises:
        ValueError: no phrase is given.
    """

    def __init__(
        self,
        truth: Sequence[Mask],
        phrases: Sequence[str],
        *,
        errors: OracleErrors | None = None,
        seed: int = 0,
    ) -> None:
        if not phrases:
            raise ValueError("Oracle.phrases: expected at least one phrase")
        self._truth = tuple(truth)
        self._phrases = list(phrases)
        self._errors = errors or OracleErrors()
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 (simulation, not secrets)
        self._phrase = ""
        self._rounds = 0
        self._tried: set[tuple[object, ...]] = set()

    @property
    def description(self) -> Mapping[str, Any]:
        return {"name": "oracle", "simulated": True, "seed": self._seed, "errors": asdict(self._errors)}

    def decide(self, observation: Observation) -> Decision:
        while self._rounds < len(observation.steps):
            self._decide(_as_it_was(observation, self._rounds))
        return self._decide(observation)

    def _decide(self, observation: Observation) -> Decision:
        self._rounds += 1
        rating = 100.0 * self._iou(observation)
        if not observation.steps:
            return Decision((self._next_phrase(),), rating=rating)
        view = self._view(observation)
        calls = self._slip(view) or self._verdict(view) or self._fix(view)
        return Decision(calls or (_finish("best_effort", "no means left"),), rating=rating)

    def _view(self, observation: Observation) -> _View:
        shown = observation.state.shown
        pairs = masks.match([instance.mask for instance in shown], self._truth, at_least=NEAR_IOU)
        overlaps = masks.iou_matrix([instance.mask for instance in shown], self._truth)
        good = {row: column for row, column in pairs.items() if overlaps[row, column] >= GOOD_IOU}
        right = tuple(shown[row] for row in good)
        wrong = tuple(instance for row, instance in enumerate(shown) if row not in pairs)
        found = set(good.values())
        missed = tuple(mask for number, mask in enumerate(self._truth) if number not in found)
        if self._errs(self._errors.missed_fix):
            # One fault escapes its eye; which kind is a coin's toss where both exist.
            if wrong and (not missed or self._errs(0.5)):
                wrong = wrong[1:]
            else:
                missed = missed[1:]
        return _View(observation, right, wrong, missed)

    def _slip(self, view: _View) -> tuple[ToolCall, ...]:
        """An error, where one is due."""
        if self._errs(self._errors.malformed_call):
            return (ToolCall("set_threshold", {"value": "a little lower"}),)
        if self._errs(self._errors.wrong_call):
            return (self._wrong_call(view),)
        if self._errs(self._errors.early_stop):
            return (_finish("complete", "looks complete"),)
        return ()

    def _verdict(self, view: _View) -> tuple[ToolCall, ...]:
        if not self._truth:
            return (_finish("absent", "nothing in the image matches"),)
        if view.wrong or view.missed:
            return ()
        if self._errs(self._errors.late_stop):
            return (self._wrong_call(view),)
        return (_finish("complete", "all found, nothing else"),)

    def _fix(self, view: _View) -> tuple[ToolCall, ...]:
        """Select what can be selected, and use the first means that was not tried in this place."""
        calls = self._select(view)
        if calls:
            view = replace(view, wrong=())
        if not (view.wrong or view.missed):
            return calls
        means: tuple[Callable[[_View], tuple[ToolCall, ...]], ...] = (
            self._raise_threshold,
            self._positive_box,
            self._negative_box,
            self._lower_threshold,
            self._rephrase,
        )
        for one in means:
            if more := one(view):
                return (*calls, *more)
        return calls

    def _select(self, view: _View) -> tuple[ToolCall, ...]:
        if not (view.offers("keep_masks") and view.offers("drop_masks")):
            return ()
        locked = {instance.id for instance in view.observation.state.locked}
        keep = [instance.id for instance in view.right if instance.id not in locked]
        drop = [instance.id for instance in view.wrong]
        calls = []
        if keep and view.missed:  # with nothing missed, what is shown already is the result
            calls.append(ToolCall("keep_masks", {"ids": sorted(keep)}))
        if drop:
            calls.append(ToolCall("drop_masks", {"ids": sorted(drop)}))
        return tuple(calls)

    def _raise_threshold(self, view: _View) -> tuple[ToolCall, ...]:
        """Where the wrong ones score below the right ones, a threshold between them parts them."""
        if not (view.offers("set_threshold") and view.wrong and view.right):
            return ()
        highest_wrong = max(instance.score for instance in view.wrong)
        lowest_right = min(instance.score for instance in view.right)
        value = round((highest_wrong + lowest_right) / 2, 3)
        if not highest_wrong < value < lowest_right:
            return ()
        return self._once("set_threshold", {"value": value}, self._phrase)

    def _lower_threshold(self, view: _View) -> tuple[ToolCall, ...]:
        if not (view.offers("set_threshold") and view.missed):
            return ()
        now = view.observation.state.prompts.threshold
        for value in LOWER_THRESHOLDS:
            place = (self._phrase, view.observation.state.prompts.boxes)
            if value < now and (calls := self._once("set_threshold", {"value": value}, *place)):
                return calls
        return ()

    def _positive_box(self, view: _View) -> tuple[ToolCall, ...]:
        for mask in sorted(view.missed, key=masks.area, reverse=True):
            if calls := self._box("add_positive_box", masks.tight_box(mask), view):
                return calls
        return ()

    def _negative_box(self, view: _View) -> tuple[ToolCall, ...]:
        truth = [masks.tight_box(mask) for mask in self._truth]
        for instance in sorted(view.wrong, key=lambda wrong: -wrong.score):
            # A box that reaches into a true object would ask for the opposite of what is wanted.
            if any(box and box.intersection(instance.box) > 0.1 * instance.box.area for box in truth):
                continue
            if calls := self._box("add_negative_box", instance.box, view):
                return calls
        return ()

    def _box(self, tool: str, box: Box | None, view: _View) -> tuple[ToolCall, ...]:
        boxes = view.observation.state.prompts.boxes
        if not view.offers(tool) or box is None or len(boxes) >= MAX_BOXES:
            return ()
        if any(exemplar.box.iou(box) > 0.6 for exemplar in boxes):
            return ()
        if (tool, box, self._phrase) in self._tried:
            return ()
        self._tried.add((tool, box, self._phrase))
        return (ToolCall(tool, self._jittered(box)),)

    def _rephrase(self, view: _View) -> tuple[ToolCall, ...]:
        return (self._next_phrase(),) if self._phrases and view.missed else ()

    def _once(self, tool: str, arguments: dict[str, Any], *place: object) -> tuple[ToolCall, ...]:
        attempt = (tool, str(arguments), *place)
        if attempt in self._tried:
            return ()
        self._tried.add(attempt)
        return (ToolCall(tool, arguments),)

    def _next_phrase(self) -> ToolCall:
        self._phrase = self._phrases.pop(0)
        return ToolCall("set_text_prompt", {"text": self._phrase})

    def _wrong_call(self, view: _View) -> ToolCall:
        """Something that can be done and should not be."""
        observation, choice = view.observation, self._random
        options = [ToolCall("set_threshold", {"value": round(choice.uniform(0.05, 0.95), 2)})]
        if view.right:
            options.append(ToolCall("drop_masks", {"ids": [choice.choice(view.right).id]}))
            options.append(ToolCall("add_negative_box", self._jittered(choice.choice(view.right).box)))
        if view.wrong:
            options.append(ToolCall("keep_masks", {"ids": [choice.choice(view.wrong).id]}))
        width, height = observation.image.size
        left, top = choice.uniform(0, width * 0.8), choice.uniform(0, height * 0.8)
        anywhere = Box(left, top, left + width * 0.2, top + height * 0.2)
        options.append(ToolCall("add_positive_box", self._jittered(anywhere)))
        offered = [call for call in options if view.offers(call.name)]
        return choice.choice(offered) if offered else ToolCall("set_text_prompt", {"text": "thing"})

    def _jittered(self, box: Box) -> dict[str, Any]:
        noise = self._errors.box_jitter
        across, down = box.width * noise, box.height * noise
        edges = (
            box.x0 + self._random.gauss(0, across),
            box.y0 + self._random.gauss(0, down),
            box.x1 + self._random.gauss(0, across),
            box.y1 + self._random.gauss(0, down),
        )
        return dict(zip(("x0", "y0", "x1", "y1"), edges, strict=True))

    def _errs(self, rate: float) -> bool:
        return self._random.random() < rate

    def _iou(self, observation: Observation) -> float:
        width, height = observation.state.width, observation.state.height
        shown = [instance.mask for instance in observation.state.shown]
        if not shown and not self._truth:
            return 1.0
        both = [masks.union(one, width=width, height=height) for one in (shown, self._truth)]
        return float(masks.iou_matrix(both[:1], both[1:])[0, 0])


def _as_it_was(observation: Observation, rounds: int) -> Observation:
    """What was to be seen after so many of the rounds, as far as an annotator looks at it."""
    state, steps = observation.state, observation.steps[:rounds]
    if not steps:
        return replace(observation, state=SessionState(state.width, state.height), steps=())
    last = steps[-1]
    now = SessionState(
        state.width,
        state.height,
        last.prompts,
        locked=tuple(one for one in last.instances if one.id in last.locked),
        found=tuple(one for one in last.instances if one.id not in last.locked),
    )
    return replace(observation, state=now, steps=steps)


def _finish(verdict: str, reason: str) -> ToolCall:
    return ToolCall("finish", {"verdict": verdict, "reason": reason})
