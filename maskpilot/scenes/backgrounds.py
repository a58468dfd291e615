"""Backgrounds that look a little like photographs: muted, uneven, and full of things that have no name.

They stay nearly grey, between the darkest and the lightest colour of the palette, so that no object drowns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["BACKGROUNDS", "background"]

Canvas = NDArray[np.float32]
"""(H, W, 3) float32 RGB, 0-255."""


def background(width: int, height: int, rng: np.random.Generator, *, kind: str | None = None) -> Canvas:
    """An empty scene: (height, width, 3) float32 RGB, 0-255.

    Args:
        kind: a key of BACKGROUNDS; drawn where None.
    """
    name = kind or tuple(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    canvas = BACKGROUNDS[name](width, height, rng)
    if rng.random() < 0.4:
        _scratch(canvas, rng)
    across, down = rng.uniform(-0.12, 0.12, 2)
    light = 1 + across * np.linspace(-1, 1, width)[None, :] + down * np.linspace(-1, 1, height)[:, None]
    canvas *= light.astype(np.float32)[:, :, None]
    return canvas


def _muted(rng: np.random.Generator, low: float = 95, high: float = 185) -> NDArray[np.float32]:
    """A nearly grey RGB value: (3,) float32."""
    return (rng.uniform(low, high) + rng.uniform(-16, 16, 3)).astype(np.float32)


def _clouds(width: int, height: int, rng: np.random.Generator, *, cells: tuple[int, int]) -> Canvas:
    """Smooth noise from -1 to 1: (height, width, 1) float32; `cells` across and down."""
    seed = rng.integers(0, 256, (cells[1], cells[0]), np.uint8)
    smooth = Image.fromarray(seed).resize((width, height), Image.Resampling.BICUBIC)
    return (np.asarray(smooth, np.float32) / 127.5 - 1)[:, :, None]


def _wall(width: int, height: int, rng: np.random.Generator) -> Canvas:
    coarse = _clouds(width, height, rng, cells=(4, 4))
    fine = _clouds(width, height, rng, cells=(24, 24))
    return np.asarray(_muted(rng) + coarse * rng.uniform(6, 20) + fine * rng.uniform(2, 10), np.float32)


def _meadow(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Sky above ground, with a soft and uneven horizon."""
    sky, ground = _muted(rng, 150, 195), _muted(rng, 90, 140)
    row = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    edge = rng.uniform(0.3, 0.7) + 0.08 * _clouds(width, height, rng, cells=(6, 1))
    below = np.clip((row - edge) * rng.uniform(6, 30) + 0.5, 0, 1).astype(np.float32)
    grain = _clouds(width, height, rng, cells=(30, 16)) * (4 + 14 * below)
    return np.asarray(sky * (1 - below) + ground * below + grain, np.float32)


def _planks(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Wood: grain that is much longer than it is wide."""
    grain = (
        _clouds(width, height, rng, cells=(3, 40))
        if rng.random() < 0.5
        else _clouds(width, height, rng, cells=(40, 3))
    )
    return _muted(rng, 110, 180) + grain * rng.uniform(8, 20) + _clouds(width, height, rng, cells=(5, 5)) * 6


def _bokeh(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Out of focus: big soft patches of several muted tones."""
    patches = rng.uniform(95, 185, (5, 6, 1)) + rng.uniform(-18, 18, (5, 6, 3))
    small = Image.fromarray(patches.astype(np.uint8))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _pebbles(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Many small rounded patches without a clear outline."""
    noise = _clouds(width, height, rng, cells=(18, 18)) + 0.5 * _clouds(width, height, rng, cells=(36, 36))
    return np.asarray(_muted(rng) + np.tanh(2 * noise) * rng.uniform(6, 16), np.float32)


def _scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Thin lines across the canvas, in place: clutter that is no object."""
    height, width = canvas.shape[:2]
    layer = Image.new("L", (width, height))
    draw = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(2, 9))):
        ends = rng.uniform(-0.1, 1.1, 4) * (width, height, width, height)
        draw.line(ends.tolist(), fill=int(rng.integers(60, 160)), width=int(rng.integers(1, 3)))
    cover = np.asarray(layer, np.float32)[:, :, None] / 255
    canvas += cover * (_muted(rng, 60, 210) - canvas)


BACKGROUNDS: dict[str, Callable[[int, int, np.random.Generator], Canvas]] = {
    "wall": _wall,
    "meadow": _meadow,
    "planks": _planks,
    "bokeh": _bokeh,
    "pebbles": _pebbles,
}
