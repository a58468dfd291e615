"""The outlines of the shapes: polygons in the unit square around the origin.

An outline is a list of polygons that are painted in order: the first fills, the next ones cut holes. x runs
to the right, y down; the longest side of every outline is 1, so size means the same for all shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["MAX_TILT", "alpha_of", "outline"]

Polygon = NDArray[np.float64]
"""(n, 2) float64, x and y, in units of the object's longest side."""

SUPERSAMPLING = 4

MAX_TILT: Mapping[str, float] = MappingProxyType(
    {
        "square": 12,
        "diamond": 8,
        "cross": 14,
        "heart": 35,
        "drop": 40,
        "bolt": 20,
        "house": 20,
        "triangle": 35,
    }
)
"""Degrees that a shape may be turned either way and keep its name; 180 for those not listed."""


def outline(shape: str) -> tuple[Polygon, ...]:
    """The polygons of a shape: the first fills, the others cut holes.

    Raises:
        KeyError: no such shape.
    """
    return _outline(shape)


def alpha_of(shape: str, *, length: float, tilt: float, stretch: float = 1.0) -> NDArray[np.uint8]:
    """Draw a shape: (h, w) uint8 coverage, 0 outside and 255 inside, tight around it.

    Args:
        length: longest side before turning, in pixels.
        tilt: degrees, clockwise.
        stretch: width over height, applied before turning; near 1.
    """
    polygons = outline(shape)
    turn = np.deg2rad(tilt)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    scale = np.array([np.sqrt(stretch), 1 / np.sqrt(stretch)]) * length * SUPERSAMPLING
    placed = [(polygon * scale) @ rotation for polygon in polygons]
    low, high = placed[0].min(axis=0), placed[0].max(axis=0)
    width, height = (np.ceil((high - low) / SUPERSAMPLING).astype(int) + 1).tolist()
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    for index, polygon in enumerate(placed):
        draw.polygon((polygon - low + 1).ravel().tolist(), fill=0 if index else 255)
    return np.asarray(canvas.reduce(SUPERSAMPLING))


def _arc(radius: float = 0.5, *, x: float = 0.0, y: float = 0.0, points: int = 40) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _points(*xy: tuple[float, float]) -> Polygon:
    return np.array(xy, np.float64)


def _spikes(*, count: int, inner: float) -> Polygon:
    angle = np.arange(2 * count) * np.pi / count - np.pi / 2
    radius = np.where(np.arange(2 * count) % 2, inner, 1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _heart() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _flower() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = 0.5 + 0.5 * np.abs(np.cos(2.5 * t)) ** 0.7
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def _moon() -> Polygon:
    horn, centre = np.deg2rad(40), 0.45
    outer = np.linspace(horn, 2 * np.pi - horn, 36)
    # The inner arc goes through both horns, around a centre further to the right.
    x, y = np.cos(horn) - centre, np.sin(horn)
    reach = np.pi - np.arctan2(y, x)
    inner = np.linspace(-reach, reach, 24)
    bite = np.stack([centre - np.hypot(x, y) * np.cos(inner), np.hypot(x, y) * np.sin(inner)], axis=1)
    return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), bite])


def _drop() -> Polygon:
    angle = np.deg2rad(np.linspace(-25, 205, 36))
    return np.concatenate([np.stack([np.cos(angle), np.sin(angle)], axis=1), _points((0, -2.1))])


_MAKERS: Mapping[str, Callable[[], Polygon]] = MappingProxyType(
    {
        "circle": _arc,
        "ring": _arc,
        "square": lambda: _points((0, 0), (1, 0), (1, 1), (0, 1)),
        "triangle": lambda: _points((0, -1), (0.95, 0.65), (-0.95, 0.65)),
        "star": lambda: _spikes(count=5, inner=0.42),
        "heart": _heart,
        "cross": lambda: _points(
            (1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1)
        ),
        "diamond": lambda: _points((0, -1), (0.75, 0), (0, 1), (-0.75, 0)),
        "moon": _moon,
        "arrow": lambda: _points(
            (0, -0.32), (1.0, -0.32), (1.0, -0.85), (2.0, 0), (1.0, 0.85), (1.0, 0.32), (0, 0.32)
        ),
        "flower": _flower,
        "drop": _drop,
        "bolt": lambda: _points(
            (0.55, 0), (1.25, 0), (0.95, 0.75), (1.45, 0.75), (0.35, 2.05), (0.6, 1.15), (0.1, 1.15)
        ),
        "house": lambda: _points(
            (0, -1.05), (1, -0.15), (0.75, -0.15), (0.75, 0.9), (-0.75, 0.9), (-0.75, -0.15), (-1, -0.15)
        ),
    }
)


@cache
def _outline(shape: str) -> tuple[Polygon, ...]:
    points = _MAKERS[shape]()
    low, high = points.min(axis=0), points.max(axis=0)
    body = (points - (low + high) / 2) / (high - low).max()
    return (body, _arc(0.26)) if shape == "ring" else (body,)
