"""What the model can call. Each tool is a pure function from a state to an outcome.

A tool's name, description and parameters as the model sees them are read from the function's signature and
docstring (`maskpilot.tools.schema`), so these docstrings are written for the model. Coordinates arrive here
in pixels of the original image; messages name no coordinates, since the model may count in another unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from maskpilot.errors import InvalidCall
from maskpilot.tools.state import SessionState
from maskpilot.types import Box, Exemplar, Instance, PromptState, Verdict

__all__ = ["MAX_PHRASE", "TOOLS", "Outcome"]

MAX_PHRASE = 200
"""Characters of a text prompt; SAM 3's text encoder reads 32 tokens and cuts the rest."""

LONG_PHRASE_WORDS = 8

MAX_LISTED = 10
"""Wrong numbers that are named; a model that gives thousands is not sent them all back."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a call did.

    Attributes:
        state: after the call.
        notes: for the model: warnings, and what was repaired.
        zoom: a place to look at closer, in pixels.
        verdict: set by `finish` alone.
        reason: the model's own words beside the verdict.
    """

    state: SessionState
    notes: tuple[str, ...] = ()
    zoom: Box | None = None
    verdict: Verdict | None = None
    reason: str = ""


def set_text_prompt(state: SessionState, text: str) -> Outcome:
    """Find every instance of a short noun phrase. Starts a new concept: boxes go, locked masks stay.

    Args:
        text: a short, singular noun phrase that names the target itself, such as "striped cup".
    """
    phrase = " ".join(text.split())
    if not phrase:
        raise InvalidCall("text is empty; give a short noun phrase, such as 'striped cup'")
    if len(phrase) > MAX_PHRASE:
        raise InvalidCall(f"text has {len(phrase)} characters; give a short noun phrase of a few words")
    notes = []
    if len(phrase.split()) > LONG_PHRASE_WORDS:
        notes.append("long phrases are understood badly; name the object in one to four words")
    if phrase == state.prompts.text and not state.prompts.boxes:
        notes.append("this phrase was set already; rewrite it, change the threshold or add a box")
    prompts = PromptState(text=phrase, threshold=state.prompts.threshold)
    return Outcome(state.changed(prompts=prompts), tuple(notes))


def add_positive_box(state: SessionState, x0: float, y0: float, x1: float, y1: float) -> Outcome:
    """Give an example of what to find: one whole object that was missed. All objects like it are found.

    Args:
        x0: left edge of the object.
        y0: top edge of the object.
        x1: right edge of the object.
        y1: bottom edge of the object.
    """
    box, notes = _usable_box(state, x0, y0, x1, y1)
    same = [shown.id for shown in state.shown if shown.box.iou(box) >= 0.5]
    if same:
        notes.append(f"mask {same[0]} already covers this; a positive box is for an object that was missed")
    return _with_exemplar(state, Exemplar(box, positive=True), notes)


def add_negative_box(state: SessionState, x0: float, y0: float, x1: float, y1: float) -> Outcome:
    """Give an example of what is not wanted: one object that was wrongly found. Objects like it go.

    Args:
        x0: left edge of the wrong object.
        y0: top edge of the wrong object.
        x1: right edge of the wrong object.
        y1: bottom edge of the wrong object.
    """
    box, notes = _usable_box(state, x0, y0, x1, y1)
    if not any(shown.box.intersection(box) for shown in state.shown):
        notes.append("no mask is shown there; a negative box is for an object that was wrongly found")
    return _with_exemplar(state, Exemplar(box, positive=False), notes)


def set_threshold(state: SessionState, value: float) -> Outcome:
    """Keep candidates that score above a confidence. Lower it to show more, raise it to show fewer.

    Args:
        value: between 0 and 1; 0.5 at the start.
    """
    if not 0.0 <= value <= 1.0:
        raise InvalidCall("value must lie between 0 and 1, for example 0.3")
    notes = ("the threshold had this value already",) if value == state.prompts.threshold else ()
    return Outcome(state.changed(prompts=state.prompts.with_threshold(value)), notes)


def reset(state: SessionState) -> Outcome:
    """Clear the phrase, the boxes, the threshold and the dropped masks. Locked masks stay."""
    return Outcome(state.changed(prompts=PromptState(), dropped=()))


def keep_masks(state: SessionState, ids: list[int]) -> Outcome:
    """Lock masks into the result: they stay through new phrases, boxes and thresholds.

    Args:
        ids: numbers of masks that are shown, such as [1, 4].
    """
    wanted = _by_id(ids, (*state.shown, *state.dropped))
    numbers = {instance.id for instance in wanted}
    already = {instance.id for instance in state.locked}
    notes = (f"already locked: {_listed(numbers & already)}",) if numbers & already else ()
    return Outcome(
        state.changed(
            locked=(*state.locked, *(instance for instance in wanted if instance.id not in already)),
            dropped=_without(state.dropped, numbers),
            found=_without(state.found, numbers),
        ),
        notes,
    )


def drop_masks(state: SessionState, ids: list[int]) -> Outcome:
    """Reject masks from the result, locked ones too. They stay away until reset or until they are kept.

    Args:
        ids: numbers of masks that are shown, such as [2, 3].
    """
    wanted = _by_id(ids, state.shown)
    numbers = {instance.id for instance in wanted}
    return Outcome(
        state.changed(
            locked=_without(state.locked, numbers),
            dropped=(*state.dropped, *wanted),
            found=_without(state.found, numbers),
        )
    )


def undo(state: SessionState) -> Outcome:
    """Go back one change."""
    if state.previous is None:
        raise InvalidCall("there is nothing to undo")
    return Outcome(state.previous)


def zoom(state: SessionState, x0: float, y0: float, x1: float, y1: float) -> Outcome:
    """Look closer at a part of the image, with and without masks. Changes nothing.

    Args:
        x0: left edge of the part.
        y0: top edge of the part.
        x1: right edge of the part.
        y1: bottom edge of the part.
    """
    box, notes = _usable_box(state, x0, y0, x1, y1)
    return Outcome(state, tuple(notes), zoom=box)


def finish(
    state: SessionState, verdict: Literal["complete", "absent", "best_effort"], reason: str = ""
) -> Outcome:
    """End the session with the masks as they are shown.

    Args:
        verdict: complete: every object asked for has a correct mask and nothing else has one. absent:
            nothing in the image matches. best_effort: some masks are wrong or missing and cannot be mended.
        reason: one sentence; required for absent.
    """
    if verdict == "absent" and not reason.strip():
        raise InvalidCall("absent needs a reason: say what you looked for and where")
    return Outcome(state, verdict=Verdict(verdict), reason=reason.strip())


TOOLS: dict[str, Callable[..., Outcome]] = {
    tool.__name__: tool
    for tool in (
        set_text_prompt,
        add_positive_box,
        add_negative_box,
        set_threshold,
        reset,
        keep_masks,
        drop_masks,
        undo,
        zoom,
        finish,
    )
}
"""Every tool by name, in the order in which models are told of them."""


def _usable_box(state: SessionState, x0: float, y0: float, x1: float, y1: float) -> tuple[Box, list[str]]:
    """Put corners in order, clip to the image; under one pixel there is nothing to show SAM 3."""
    notes = []
    if x1 < x0 or y1 < y0:
        notes.append("the corners were reversed and have been put in order: x0, y0 is the top left one")
    left, right = sorted((x0, x1))
    top, bottom = sorted((y0, y1))
    if left < 0 or top < 0 or right > state.width or bottom > state.height:
        notes.append("the box reached over the image's border and was clipped")
    left, right = max(left, 0.0), min(right, float(state.width))
    top, bottom = max(top, 0.0), min(bottom, float(state.height))
    if right - left < 1.0 or bottom - top < 1.0:
        raise InvalidCall("less than one pixel of this box lies inside the image; check its coordinates")
    return Box(left, top, right, bottom), notes


def _with_exemplar(state: SessionState, exemplar: Exemplar, notes: list[str]) -> Outcome:
    for other in state.prompts.boxes:
        if other.positive == exemplar.positive and other.box.iou(exemplar.box) > 0.9:
            raise InvalidCall("this box was given already; the same example twice changes nothing")
        smaller = min(other.box.area, exemplar.box.area)
        if other.positive != exemplar.positive and other.box.intersection(exemplar.box) > 0.1 * smaller:
            notes.append("a positive and a negative box overlap and work against each other; undo one")
    boxes = (*state.prompts.boxes, exemplar)
    if len(boxes) > 4:
        notes.append("more than four boxes seldom help; try another phrase or keep_masks and drop_masks")
    return Outcome(state.changed(prompts=replace(state.prompts, boxes=boxes)), tuple(notes))


def _by_id(ids: list[int], instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    known = {instance.id: instance for instance in instances}
    if not ids:
        raise InvalidCall(f"ids is empty; masks with these numbers exist: {_listed(known)}")
    unknown = [number for number in ids if number not in known]
    if unknown:
        named = _listed(unknown[:MAX_LISTED])
        raise InvalidCall(f"no mask has the number {named}; masks with these numbers exist: {_listed(known)}")
    return tuple(known[number] for number in dict.fromkeys(ids))


def _without(instances: tuple[Instance, ...], numbers: set[int]) -> tuple[Instance, ...]:
    return tuple(instance for instance in instances if instance.id not in numbers)


def _listed(numbers: object) -> str:
    listed = ", ".join(str(number) for number in sorted(numbers))  # type: ignore[call-overload]
    return listed or "none"
