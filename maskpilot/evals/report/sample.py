"""One sample: the picture of every round beside the truth. A page of its own, or a part of the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import Image

from maskpilot.evals.report.document import document
from maskpilot.evals.report.pictures import against_truth, data_uri, true_picture
from maskpilot.evals.types import SampleScore, Truth
from maskpilot.report.markup import Markup, join, tag
from maskpilot.report.parts import facts, words
from maskpilot.report.session import banners
from maskpilot.trajectory import Step, Trajectory
from maskpilot.types import ToolCall
from maskpilot.wording import counted

__all__ = ["LEGEND", "sample_page", "sample_rounds"]

LEGEND = tag(
    "p",
    tag("span", "found", class_="key found"),
    tag("span", "missed", class_="key missed"),
    tag("span", "wrong", class_="key wrong"),
    tag("span", "White boxes: positive exemplars; with a diagonal: negative ones.", class_="quiet"),
    class_="legend",
)

MAX_WORDS = 300


def sample_page(score: SampleScore, trajectory: Trajectory, truth: Truth, image: Image.Image) -> str:
    """A sample as a page of its own.

    Args:
        score: with the values of `session_values`.
        trajectory: its session.
        truth: its truth.
        image: upright RGB.
    """
    values = score.values
    about = {
        "IoU": f"{values['iou']:.3f}",
        "One shot": None if values["one_shot_iou"] is None else f"{values['one_shot_iou']:.3f}",
        "Stop": values["stop"],
        "Verdict": values["verdict"],
        "Rounds": str(values["rounds"]),
        "Tokens": str(values["tokens"]) if values["tokens"] else None,
        "Cost": _cost(values["cost"]),
        "Recorded cost": _cost(values.get("recorded_cost")),
        "Sample": score.sample,
        "Image": score.image_id,
    }
    body = tag(
        "body",
        tag("header", *(tag("p", notice, class_="banner") for notice in banners(trajectory.setup))),
        tag("p", tag("a", "All samples", href="../report.html")),
        tag("h1", words(score.query)),
        facts(about),
        facts(score.tags) if score.tags else None,  # apart: one may be called like a line above
        LEGEND,
        sample_rounds(values, trajectory, truth, image),
    )
    return document(f"sample {score.sample}", body)


def sample_rounds(
    values: Mapping[str, Any], trajectory: Trajectory, truth: Truth, image: Image.Image
) -> Markup:
    """The truth, then every round; a round that shows the same as the one before it gets no picture."""
    expected = counted(len(truth.instances), "mask") if truth.is_instances else "truth"
    figures = [
        _figure(
            true_picture(image, truth), tag("b", "Truth"), f": {expected}" if truth.is_instances else None
        )
    ]
    best = trajectory.ending.best if trajectory.ending else None
    before: Step | None = None
    for step in trajectory.steps:
        same = before is not None and _looks(before) == _looks(step)
        picture = None if same else against_truth(image, step.instances, truth, step.prompts.boxes)
        iou = values["iou_per_round"][step.index]
        pill = tag("span", "result", class_="pill good") if step.index == best else None
        title = tag("b", f"Round {step.index + 1}: IoU {iou:.3f} ")
        figures.append(_figure(picture, title, pill, *_said(step)))
        before = step
    if best is None:
        figures.append(_figure(None, tag("b", f"Result: nothing, IoU {values['result_iou']:.3f}")))
    return tag("div", *figures, class_="rounds")


def _cost(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _figure(picture: Image.Image | None, *caption: str | None) -> Markup:
    if picture is None:
        return tag("figure", tag("figcaption", *caption), class_="same")
    shown = tag(
        "img",
        src=data_uri(picture),
        alt="",
        width=str(picture.width),
        height=str(picture.height),
        loading="lazy",
    )
    return tag("figure", shown, tag("figcaption", *caption))


def _looks(step: Step) -> object:
    return step.instances, step.prompts.boxes


def _said(step: Step) -> list[Markup]:
    calls = join(tag("code", _call(call)) for call in step.decision.calls) or tag("code", "no call")
    thought = _cut(step.decision.thought)
    return [
        tag("span", calls, class_="calls"),
        *([tag("span", thought, class_="quiet", dir="auto")] if thought else []),
        *(tag("span", _cut(error), class_="error") for error in step.errors),
    ]


def _call(call: ToolCall) -> str:
    arguments = ", ".join(
        f"{name}={json.dumps(_rounded(value), ensure_ascii=False, default=repr)}"
        for name, value in call.arguments.items()
    )
    return _cut(f"{call.name}({arguments})")


def _rounded(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
