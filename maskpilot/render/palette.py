"""Which colour belongs to which id.

The colours are picked greedily in OKLab, a space in which distance means visible difference
(https://bottosson.github.io/posts/oklab/): each next one lies as far as it can from the nineteen
before it, which are those that it is likely to share a picture with, and off every other.
"""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLACK", "NEGATIVE", "POSITIVE", "WHITE", "Colour", "colour", "ink", "oklab"]

Colour = tuple[int, int, int]

POSITIVE: Colour = (0, 255, 0)
NEGATIVE: Colour = (255, 0, 0)
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

UNIQUE = 200
NEIGHBOURS = 19

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def colour(mask_id: int) -> Colour:
    """The RGB colour of a mask id, from 1 on; any 200 consecutive ids differ, and they repeat after that."""
    return _colours()[(mask_id - 1) % UNIQUE]


def ink(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on the background."""
    return BLACK if oklab(np.array([background]))[0, 0] > 0.63 else WHITE


def oklab(rgb: NDArray[np.integer]) -> NDArray[np.float64]:
    """SRGB to OKLab.

    Args:
        rgb: (n, 3), 0-255.

    Returns:
        (n, 3) float64: lightness in [0, 1], then the green-red and blue-yellow axes.
    """
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T)


@cache
def _colours() -> tuple[Colour, ...]:
    levels = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab(rgb)
    vivid = (np.hypot(lab[:, 1], lab[:, 2]) > 0.08) & (lab[:, 0] > 0.5) & (lab[:, 0] < 0.92)
    for prompt in oklab(np.array([POSITIVE, NEGATIVE])):
        vivid &= np.linalg.norm(lab - prompt, axis=1) > 0.14
    rgb, lab = rgb[vivid], lab[vivid]
    # Start with a strong blue: the first mask should stand out from skin, grass and sky.
    chosen = [int(np.argmin(np.linalg.norm(rgb - np.array([30, 100, 255]), axis=1)))]
    distances = deque([_distance(lab, chosen[0])], maxlen=NEIGHBOURS)
    to_any = distances[0]
    while len(chosen) < UNIQUE:
        to_recent = np.min(distances, axis=0)
        chosen.append(int(np.argmax(np.minimum(to_recent, 4 * to_any))))
        distances.append(_distance(lab, chosen[-1]))
        to_any = np.minimum(to_any, distances[-1])
    return tuple((int(r), int(g), int(b)) for r, g, b in rgb[chosen])


def _distance(lab: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(lab - lab[index], axis=1))
