"""Ticks and numbers along the picture's edges, in a model's own coordinate unit.

They lie inside the picture: margins around it would shift what a model reads as pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from maskpilot.render.view import Rect, Ruler, View, font

__all__ = ["Number", "Tick", "numbers", "ticks"]


class Tick(NamedTuple):
    """One tick: `at` picture pixels along the axis, standing for `value`."""

    axis: str
    at: int
    value: float


class Number(NamedTuple):
    """A tick's number and the rectangle that it takes up."""

    text: str
    rect: Rect


def ticks(ruler: Ruler, view: View, image_size: tuple[int, int], spacing: int) -> tuple[Tick, ...]:
    """Round values of the ruler that the view shows, at least `spacing` pixels apart.

    Args:
        ruler: its ends stand for the whole image's right and lower edge, whatever part the view shows.
        view: the picture.
        image_size: (width, height) of the whole image in pixels.
        spacing: pixels of the picture.

    Returns:
        The ticks; none for a picture so low or narrow that numbers would fill it.
    """
    if min(view.width, view.height) < spacing:
        return ()
    found: list[Tick] = []
    region, (sx, sy) = view.region, view.scale
    axes = (
        ("x", ruler.x_max / image_size[0], region.x0, region.x1, sx),
        ("y", ruler.y_max / image_size[1], region.y0, region.y1, sy),
    )
    for axis, units, low, high, scale in axes:
        step = _round_step(spacing / scale * units)
        for count in range(math.ceil(low * units / step + 1e-9), math.floor(high * units / step - 1e-9) + 1):
            at = round((count * step / units - low) * scale)
            if spacing // 3 <= at <= (high - low) * scale - spacing // 3:
                found.append(Tick(axis, at, count * step))
    return tuple(found)


def numbers(marks: tuple[Tick, ...], length: int, size: int) -> tuple[Number, ...]:
    """The ticks' numbers, just inside the upper and the left edge.

    Args:
        marks: the ticks.
        length: of a tick, in pixels.
        size: of the font.
    """
    placed: list[Number] = []
    for tick in marks:
        text = f"{tick.value:g}"
        width, height = math.ceil(font(size).getlength(text)), size
        x0 = tick.at - width // 2 if tick.axis == "x" else length + 2
        y0 = tick.at - height // 2 if tick.axis == "y" else length + 2
        placed.append(Number(text, Rect(x0 - 1, y0 - 1, x0 + width + 1, y0 + height + 1)))
    return tuple(placed)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
