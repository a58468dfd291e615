"""An observation in words and pictures, as one model counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from PIL import Image

from maskpilot.agent.mllm.coordinates import Frame
from maskpilot.agent.policy import Observation
from maskpilot.render import Marks, contact_sheets, crop, overlay
from maskpilot.trajectory import Step
from maskpilot.types import Budget, Instance, PromptState

__all__ = [
    "Shown",
    "listed",
    "masks_text",
    "observation_message",
    "overlay_pictures",
    "resized",
    "round_line",
    "start_message",
]

MAX_LISTED = 60
"""Masks that are listed with their boxes; of more, the ids are on the picture."""

MAX_ZOOMS = 2
SMALL = 0.04
"""A mask whose longer side is below this share of the image's is small."""

MANY = 4
"""This many small masks are worth a contact sheet."""

SHEET_SIDE = 768
LEAST_SHEET_SIDE = 256
"""Also beside the picture of a long strip: its short side has no room for tiles."""

MAX_ERROR, MAX_NOTE = 400, 2400
"""Characters; a second look may have found much, and all of it is worth telling."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a model is shown of a round.

    Attributes:
        text: all there is to read.
        pictures: RGB, in the order that the text tells.
        line: what stands for it once its pictures are gone.
        overlay: whether the masks of the whole image are among the pictures.
    """

    text: str
    pictures: tuple[Image.Image, ...]
    line: str
    overlay: bool


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image at the size at which it is sent."""
    return image.copy() if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def observation_message(
    observation: Observation, frame: Frame, *, rulers: bool, overlay_needed: bool = True
) -> Shown:
    """Tell what the last round did and what is shown now.

    Args:
        observation: after at least one round.
        frame: in whose unit coordinates are.
        rulers: draw the unit along the pictures' edges.
        overlay_needed: False where the model still has an overlay of these very masks and prompts.
    """
    pictures: list[Image.Image] = []
    told: list[str] = []
    if overlay_needed:
        pictures, told = overlay_pictures(observation, frame, rulers=rulers)
    else:
        told.append("The masks are the same as in the last overlay.")
    for index, box in enumerate(observation.zooms[:MAX_ZOOMS], start=1):
        looked = crop(
            observation.image,
            observation.state.shown,
            box,
            exemplars=observation.state.prompts.boxes,
            marks=_marks(observation),
            ruler=frame.ruler if rulers else None,
            max_side=max(frame.sent),
        )
        pictures += [looked.plain, looked.overlay]
        told.append(f"Zoom {index}, without and with masks: [{frame.text(looked.region)}].")
    if len(observation.zooms) > MAX_ZOOMS:
        told.append(f"Only the first {MAX_ZOOMS} zooms are shown; call zoom again for the others.")
    number = len(observation.steps)
    text = "\n".join(
        [
            f"After round {number}. {_left(observation.left)}",
            *_last_calls(observation),
            f"Prompts: {_prompts(observation.state.prompts, frame)}",
            *_ledger(observation),
            *_changes(observation),
            masks_text(observation.state.shown, frame),
            *told,
        ]
    )
    return Shown(text, tuple(pictures), round_line(observation.steps[-1]), overlay_needed)


def start_message(
    observation: Observation, frame: Frame, *, rulers: bool
) -> tuple[str, tuple[Image.Image, ...]]:
    """Tell of masks that were there before the first round: words and pictures that follow the image."""
    pictures, told = overlay_pictures(observation, frame, rulers=rulers)
    shows = "The second picture shows these masks over the image."
    lines = [
        *_last_calls(observation),
        *_ledger(observation),
        masks_text(observation.state.shown, frame),
        *(shows, *told[1:]),
    ]
    return "\n".join(lines), tuple(pictures)


def overlay_pictures(
    observation: Observation, frame: Frame, *, rulers: bool
) -> tuple[list[Image.Image], list[str]]:
    """The overlay, and a contact sheet where masks are small or could not be labelled; and what they are."""
    shown, marks = observation.state.shown, _marks(observation)
    drawn = overlay(
        observation.image,
        shown,
        exemplars=observation.state.prompts.boxes,
        marks=marks,
        ruler=frame.ruler if rulers else None,
        size=frame.sent,
    )
    pictures, told = [drawn.image], ["The picture shows the masks over the image."]
    small = _hard_to_see(shown, frame.size, drawn.unlabelled)
    if small:
        side = max(min(SHEET_SIDE, *frame.sent), LEAST_SHEET_SIDE)
        sheets = contact_sheets(observation.image, small, marks=marks, max_side=side)
        pictures.append(sheets[0])
        told.append(f"The next one shows small masks larger: {listed(one.id for one in small[:30])}.")
    return pictures, told


def masks_text(shown: tuple[Instance, ...], frame: Frame) -> str:
    """Ids, boxes and scores of what is shown."""
    if not shown:
        return "Masks shown: none."
    several = len({one.text for one in shown}) > 1  # else the phrase stands among the prompts
    lines = [
        f"{one.id}: [{frame.text(one.box)}] {one.score:.2f}" + (f" {one.text!r}" if several else "")
        for one in shown[:MAX_LISTED]
    ]
    if len(shown) > MAX_LISTED:
        lines.append(f"... and {len(shown) - MAX_LISTED} more, on the picture")
    edges = ", ".join(frame.convention.edges)
    return "\n".join([f"Masks shown: {len(shown)}, as id: [{edges}] score", *lines])


def round_line(step: Step) -> str:
    """A round in one line, for when its pictures are gone."""
    calls = ", ".join(call.name for call in step.decision.calls[:6]) or "no call"
    phrase = "no phrase" if step.prompts.text is None else repr(step.prompts.text)
    failed = f"; failed: {_short(step.errors[0])}" if step.errors else ""
    return (
        f"[Round {step.index + 1}: {calls}; {phrase}, {len(step.prompts.boxes)} boxes, "
        f"threshold {step.prompts.threshold:g}; {len(step.instances)} masks{failed}. Its pictures are gone.]"
    )


def listed(numbers: Collection[int] | Iterator[int]) -> str:
    """1, 2, 5."""
    return ", ".join(str(number) for number in sorted(numbers)) or "none"


def _left(left: Budget) -> str:
    amounts = [
        f"{left.max_rounds} rounds" if left.max_rounds is not None else "",
        f"{left.max_seconds:.0f} seconds" if left.max_seconds is not None else "",
        f"{left.max_tokens} tokens" if left.max_tokens is not None else "",
        f"{left.max_cost:.3g} of the cost limit" if left.max_cost is not None else "",
    ]
    told = ", ".join(filter(None, amounts))
    return f"Left: {told}." if told else ""


def _last_calls(observation: Observation) -> list[str]:
    """What went wrong comes first among the notes: errors are as many as the last step had."""
    errors = len(observation.steps[-1].errors) if observation.steps else 0
    notes = observation.notes
    return [
        *(f"Error: {_short(note)}" for note in notes[:errors]),
        *(f"Note: {_short(note, MAX_NOTE)}" for note in notes[errors:]),
    ]


def _prompts(prompts: PromptState, frame: Frame) -> str:
    boxes = [
        f"{'positive' if exemplar.positive else 'negative'} box [{frame.text(exemplar.box)}]"
        for exemplar in prompts.boxes
    ]
    phrase = "no phrase" if prompts.text is None else repr(prompts.text)
    return "; ".join([phrase, *boxes, f"threshold {prompts.threshold:g}"])


def _ledger(observation: Observation) -> list[str]:
    state = observation.state
    told = []
    if state.locked:
        told.append(f"Locked: {listed(one.id for one in state.locked)}")
    if state.dropped:
        told.append(f"Dropped: {listed(one.id for one in state.dropped)}")
    return told


def _changes(observation: Observation) -> list[str]:
    changes = observation.changes
    told = [
        f"{name} {listed(numbers)}"
        for name, numbers in (("new", changes.new), ("changed", changes.changed), ("gone", changes.gone))
        if numbers
    ]
    return [f"Against the round before: {'; '.join(told) or 'nothing changed'}"]


def _marks(observation: Observation) -> Marks:
    return Marks(
        new=observation.changes.new,
        changed=observation.changes.changed,
        locked=frozenset(instance.id for instance in observation.state.locked),
    )


def _hard_to_see(
    shown: tuple[Instance, ...], size: tuple[int, int], unlabelled: tuple[int, ...]
) -> tuple[Instance, ...]:
    small = [one for one in shown if max(one.box.width, one.box.height) < SMALL * max(size)]
    if len(small) < MANY:
        small = []
    return tuple(one for one in shown if one.id in unlabelled or one in small)


def _short(text: str, longest: int = MAX_ERROR) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
