"""Colours and textures: what an object's surface looks like.

Each colour is a cloud around one RGB value, far from the other clouds: a person names it without doubt.
A texture lays a second, neutral tone over at most half of the surface: the colour's name stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE", "SECOND_TONE", "paint", "pattern", "tint"]

PALETTE: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (208, 28, 32),
        "orange": (247, 128, 12),
        "yellow": (248, 222, 36),
        "green": (40, 150, 52),
        "blue": (36, 84, 214),
        "purple": (122, 42, 164),
        "pink": (250, 142, 190),
        "brown": (122, 72, 36),
        "black": (20, 20, 22),
        "white": (248, 248, 246),
    }
)
"""RGB, 0-255: the middle of each colour's cloud."""

_CREAM, _CHARCOAL, _GREY = (243, 238, 224), (48, 46, 50), (136, 136, 138)
SECOND_TONE: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": _CREAM,
        "orange": _CHARCOAL,
        "yellow": _CHARCOAL,
        "green": _CREAM,
        "blue": _CREAM,
        "purple": _CREAM,
        "pink": _CHARCOAL,
        "brown": _CREAM,
        # A zebra is neither white nor black: grey beside either leaves the name clear.
        "black": _GREY,
        "white": _GREY,
    }
)

FINEST = 0.03
"""The shortest period of a texture, as a share of the image's mean side."""


def tint(colour: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """One RGB value of a colour's cloud: (3,) float32, 0-255."""
    middle = np.asarray(PALETTE[colour], np.float32)
    # Neutral tones take on a hue sooner than strong ones.
    spread = 3 if colour in {"black", "white"} else 9
    return np.clip(middle * rng.uniform(0.9, 1.06) + rng.uniform(-spread, spread, 3), 0, 255).astype(
        np.float32
    )


def pattern(
    texture: str, height: int, width: int, *, period: float, rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Where the second tone lies: (height, width) bool, or None for a plain surface.

    Args:
        period: pixels from one stripe, spot or pair of checks to the next.

    Raises:
        ValueError: no such texture.
    """
    if texture == "plain":
        return None
    turn, shift = rng.uniform(0, np.pi), rng.uniform(0, 1, 2)
    x, y = np.arange(width)[None, :] / period, np.arange(height)[:, None] / period
    u = (x * np.cos(turn) + y * np.sin(turn) + shift[0]) % 1.0
    v = (y * np.cos(turn) - x * np.sin(turn) + shift[1]) % 1.0
    second: NDArray[np.bool_]
    if texture == "striped":
        second = u < 0.4
    elif texture == "spotted":
        second = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.31**2
    elif texture == "checkered":
        second = (u < 0.5) ^ (v < 0.5)
    else:
        raise ValueError(f"pattern: expected one of plain, striped, spotted, checkered, got {texture!r}")
    return second


def paint(
    alpha: NDArray[np.uint8], *, colour: str, texture: str, period: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The surface of an object: (h, w, 3) float32 RGB, 0-255, lit a little from one side."""
    height, width = alpha.shape
    surface = np.empty((height, width, 3), np.float32)
    surface[:] = tint(colour, rng)
    second = pattern(texture, height, width, period=period, rng=rng)
    if second is not None:
        surface[second] = np.asarray(SECOND_TONE[colour], np.float32) + rng.uniform(-8, 8)
    across, down = rng.uniform(-0.09, 0.09, 2)
    light = 1.0 + across * np.linspace(-1, 1, width)[None, :] + down * np.linspace(-1, 1, height)[:, None]
    surface *= light.astype(np.float32)[:, :, None]
    return surface
