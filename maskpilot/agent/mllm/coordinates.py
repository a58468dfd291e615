"""Boxes in a model's own unit and order, to and from pixels. Nowhere else does another convention exist.

The tools keep their four names x0, y0, x1, y1 in every convention: a name cannot be mistaken as a position in
a list can. For models trained on y before x, the schema and every list of boxes put y first, so that numbers
come in the order of their training and still have names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from maskpilot.errors import InvalidCall
from maskpilot.render import Ruler
from maskpilot.tools import ToolSpec
from maskpilot.types import Box, ToolCall

__all__ = ["EDGES", "Convention", "Frame", "box_spec", "call_in_pixels"]

EDGES = ("x0", "y0", "x1", "y1")
OVERSHOOT = 0.05
"""A value this share beyond the border is a loose box, clipped later; farther out it is another unit."""

ALIASES = {"xmin": "x0", "ymin": "y0", "xmax": "x1", "ymax": "y1"}
LISTS = ("box", "bbox", "box_2d", "bbox_2d")

Unit = Literal["pixels", "1", "100", "999", "1000"]
Order = Literal["xyxy", "yxyx"]


@dataclass(frozen=True, slots=True)
class Convention:
    """How a model counts.

    Attributes:
        unit: pixels of the picture as it was sent, or the value at its right and lower border.
        order: of the four numbers of a box.

    Raises:
        ValueError: no such unit or order.
    """

    unit: Unit
    order: Order = "xyxy"

    def __post_init__(self) -> None:
        for name, known in (("unit", get_args(Unit)), ("order", get_args(Order))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"Convention.{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )

    @classmethod
    def parse(cls, text: str) -> Convention:
        """Read "1000", "1000-yxyx", "pixels", ...

        Raises:
            ValueError: it is none of these.
        """
        found = re.fullmatch(r"(\w+?)(?:[- ](xyxy|yxyx))?", text.strip().lower())
        if not found:
            raise ValueError(f"expected a unit such as 1000, pixels or 1000-yxyx, got {text[:40]!r}")
        return cls(cast(Unit, found[1]), cast(Order, found[2] or "xyxy"))

    @property
    def name(self) -> str:
        return f"{self.unit}-{self.order}"

    @property
    def unit_text(self) -> str:
        """The unit in words, for any image."""
        if self.unit == "pixels":
            return "pixels of the picture as it was sent"
        end = self.unit
        return f"0 to {end} in both directions: x = {end} is the right border, y = {end} the lower one"

    @property
    def edges(self) -> tuple[str, ...]:
        """The four names in this order."""
        return EDGES if self.order == "xyxy" else ("y0", "x0", "y1", "x1")


@dataclass(frozen=True, slots=True)
class Frame:
    """One image as one model counts in it.

    Attributes:
        convention: how it counts.
        size: (width, height) of the image in pixels.
        sent: (width, height) of the picture that it is sent.
    """

    convention: Convention
    size: tuple[int, int]
    sent: tuple[int, int]

    @property
    def ends(self) -> tuple[float, float]:
        """The values at the right and the lower border."""
        if self.convention.unit == "pixels":
            return (float(self.sent[0]), float(self.sent[1]))
        return (float(self.convention.unit), float(self.convention.unit))

    @property
    def ruler(self) -> Ruler:
        return Ruler(*self.ends)

    @property
    def unit(self) -> str:
        """The unit in words, for this image."""
        if self.convention.unit == "pixels":
            return f"pixels of the picture, which is {self.sent[0]} wide and {self.sent[1]} high"
        return self.convention.unit_text

    @property
    def step(self) -> float:
        """The smallest difference that is told apart."""
        return {"1": 0.001, "100": 0.1}.get(self.convention.unit, 1.0)

    def pixels(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        """From this frame's unit to pixels of the image; corners stay as they are."""
        (x_end, y_end), (width, height) = self.ends, self.size
        return (x0 / x_end * width, y0 / y_end * height, x1 / x_end * width, y1 / y_end * height)

    def numbers(self, box: Box) -> tuple[float, float, float, float]:
        """The box in this frame's unit, in its order, rounded to `step`."""
        (x_end, y_end), (width, height) = self.ends, self.size
        named = dict(
            zip(
                EDGES,
                (
                    box.x0 / width * x_end,
                    box.y0 / height * y_end,
                    box.x1 / width * x_end,
                    box.y1 / height * y_end,
                ),
                strict=True,
            )
        )
        rounded = [round(named[edge] / self.step) * self.step for edge in self.convention.edges]
        return (rounded[0], rounded[1], rounded[2], rounded[3])

    def text(self, box: Box) -> str:
        """The box as the model reads it."""
        return ", ".join(f"{number:.6g}" for number in self.numbers(box))

    def check(self, values: Mapping[str, float]) -> None:
        """Refuse what cannot be in this unit.

        Raises:
            InvalidCall: a value lies far outside, or all of them are shares where larger numbers count.
        """
        for name, value in values.items():
            end = self.ends[0] if name.startswith("x") else self.ends[1]
            if not -OVERSHOOT * end <= value <= (1 + OVERSHOOT) * end:
                raise InvalidCall(f"{name} = {value:.6g} lies outside the image: coordinates are {self.unit}")
        if self.convention.unit != "1" and all(0 <= value <= 1 for value in values.values()):
            raise InvalidCall(
                f"all coordinates are at most 1, which is next to nothing here: they are {self.unit}"
            )


def box_spec(spec: ToolSpec, convention: Convention) -> ToolSpec:
    """A tool as a model is told of it: its box, where it has one, in the model's unit and order.

    The picture's size is not named, so that all images share one description and caches hit it.
    """
    properties = spec.parameters["properties"]
    if not set(EDGES) <= set(properties):
        return spec
    unit = "pixels of the picture" if convention.unit == "pixels" else f"0 to {convention.unit}"
    edges = {
        edge: {**properties[edge], "description": f"{properties[edge]['description'].rstrip('.')}; {unit}"}
        for edge in convention.edges
    }
    rest = {name: value for name, value in properties.items() if name not in EDGES}
    required = [*convention.edges, *(name for name in spec.parameters["required"] if name not in EDGES)]
    return replace(
        spec, parameters={**spec.parameters, "properties": {**edges, **rest}, "required": required}
    )


def call_in_pixels(call: ToolCall, frame: Frame) -> ToolCall:
    """A call with its box in pixels of the image; one without a whole box of numbers stays as it is.

    Raises:
        InvalidCall: the box cannot be in the frame's unit.
    """
    arguments = _named(call.arguments, frame.convention)
    numbers = {edge: number for edge in EDGES if (number := _number(arguments.get(edge))) is not None}
    if len(numbers) < len(EDGES):
        return replace(call, arguments=arguments)
    try:
        frame.check(numbers)
    except InvalidCall as error:
        raise InvalidCall(f"{call.name}: {error}") from error
    pixels = frame.pixels(*(numbers[edge] for edge in EDGES))
    return replace(call, arguments={**arguments, **dict(zip(EDGES, pixels, strict=True))})


def _named(given: Mapping[str, Any], convention: Convention) -> dict[str, Any]:
    """Other spellings of a box that mean one thing only: a list in the declared order, xmin for x0."""
    arguments = {ALIASES.get(name, name): value for name, value in given.items()}
    for name in LISTS:
        box = arguments.get(name)
        if isinstance(box, list) and len(box) == 4 and not any(edge in arguments for edge in EDGES):
            arguments |= dict(zip(convention.edges, arguments.pop(name), strict=True))
    return arguments


def _number(value: object) -> float | None:
    """A finite number, or None; what is wrong with another value is for the tool to say."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
