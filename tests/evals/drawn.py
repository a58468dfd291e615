"""Small masks to score."""

from typing import Any

import numpy as np

from maskpilot import masks
from maskpilot.types import Instance, Mask


def rectangle(x0: int, y0: int, x1: int, y1: int, *, size: tuple[int, int] = (10, 10)) -> Mask:
    """Filled, half-open."""
    array = np.zeros((size[1], size[0]), np.bool_)
    array[y0:y1, x0:x1] = True
    return masks.encode(array)


def drawn(*rows: str) -> Mask:
    """A mask written out: '#' is set."""
    return masks.encode(np.array([[character == "#" for character in row] for row in rows]))


def instance(mask: Mask, score: float = 0.9, number: int = 1) -> Instance:
    box = masks.tight_box(mask)
    assert box is not None
    return Instance(number, mask, box, score)


def instances(*shapes: Mask) -> list[Instance]:
    return [instance(mask, number=number) for number, mask in enumerate(shapes, start=1)]


def as_json(mask: Mask) -> dict[str, Any]:
    """COCO's compressed run lengths."""
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode()}


def blob(rng: np.random.Generator, size: tuple[int, int]) -> Mask:
    """An ellipse somewhere in the image; of at least one pixel."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    centre, radii = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.08, 0.35, 2) * size
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    inside[int(centre[1]), int(centre[0])] = True
    return masks.encode(inside)


def shifted(mask: Mask, by: int) -> Mask:
    """Moved to the right; None of it wraps round."""
    array = masks.decode(mask)
    moved = np.zeros_like(array)
    moved[:, by:] = array[:, : array.shape[1] - by]
    return masks.encode(moved) if moved.any() else mask
