"""One round of the report: what was shown after it, what the policy said, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from PIL import Image

from maskpilot.report.markup import Markup, join, tag
from maskpilot.report.parts import facts, instance_table, numbers, words
from maskpilot.report.pictures import data_uri, round_picture, zoom_picture
from maskpilot.trajectory import Changes, Step, changes
from maskpilot.types import Box, Instance, ToolCall
from maskpilot.wording import counted

__all__ = ["round_card"]

MAX_ZOOMS = 4
"""Pictures of zooms that one round may have in the page; a model can ask for any number."""


def round_card(
    steps: Sequence[Step],
    index: int,
    image: Image.Image | None,
    *,
    is_result: bool,
    start: Sequence[Instance] = (),
) -> Markup:
    """A round as a card; the rating shown is the one that the next round gave to its masks."""
    step, changed = steps[index], changes(steps, index, start=start)
    rating = steps[index + 1].rating if index + 1 < len(steps) else None
    pills = [
        tag("span", f"masks rated {rating:.3g}", class_="pill") if rating is not None else None,
        tag("span", "result", class_="pill good") if is_result else None,
        tag("span", f"{step.seconds:.1f} s", class_="pill") if step.seconds else None,
    ]
    says = [
        tag("blockquote", words(step.decision.thought)) if step.decision.thought.strip() else None,
        tag("ul", *(tag("li", _call(call)) for call in step.decision.calls), class_="calls")
        if step.decision.calls
        else tag("p", "No call.", class_="quiet"),
        _messages("error", step.errors),
        _messages("note", step.notes),
        _prompts(step),
        instance_table(step.instances, changed, step.locked),
    ]
    return tag(
        "article",
        tag("h3", f"Round {step.index + 1} ", *pills),
        tag("div", _figure(steps, index, image, changed), tag("div", *says), class_="round"),
        class_="card",
    )


def _figure(steps: Sequence[Step], index: int, image: Image.Image | None, changed: Changes) -> Markup | None:
    step = steps[index]
    if image is None:
        return None
    caption = f"{counted(len(step.instances), 'mask')} after this round"
    if index and _same_picture(steps[index - 1], step):
        picture = tag("p", "The picture is the same as after the round before.", class_="quiet")
    else:
        shown, unlabelled = round_picture(image, step, changed)
        picture = tag("img", src=data_uri(shown), alt=caption)
        if unlabelled:
            caption += "; no room for the ids " + ", ".join(map(str, unlabelled))
    zooms = [
        tag("img", src=data_uri(zoom_picture(image, step, changed, box)), alt="zoom", class_="zoom")
        for box in step.zooms[:MAX_ZOOMS]
        if box.intersection(Box(0, 0, *image.size)) > 0
    ]
    return tag("figure", picture, *zooms, tag("figcaption", caption))


def _same_picture(before: Step, step: Step) -> bool:
    return (before.instances, before.prompts.boxes, before.locked) == (
        step.instances,
        step.prompts.boxes,
        step.locked,
    )


def _call(call: ToolCall) -> Markup:
    arguments = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=repr)}"
        for name, value in call.arguments.items()
    )
    return tag("code", tag("b", call.name), words(f"({arguments})"))


def _messages(kind: str, messages: Sequence[str]) -> Markup:
    return join(tag("div", words(message), class_=kind) for message in messages)


def _prompts(step: Step) -> Markup:
    prompts = step.prompts
    boxes = [
        f"{'+' if exemplar.positive else '−'} {numbers(exemplar.box.xyxy)}" for exemplar in prompts.boxes
    ]
    return facts(
        {
            "Text": prompts.text,
            "Threshold": f"{prompts.threshold:g}",
            "Boxes": "; ".join(boxes) or None,
            "Locked": ", ".join(map(str, step.locked)) or None,
            "Dropped": ", ".join(map(str, step.dropped)) or None,
        }
    )
