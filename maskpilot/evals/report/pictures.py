"""An answer beside the truth, in three colours, small enough to lie inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskpilot import masks
from maskpilot.evals.metrics import measure
from maskpilot.evals.metrics.measure import near
from maskpilot.evals.types import Truth
from maskpilot.render import display_size
from maskpilot.types import Exemplar, Instance, Mask

__all__ = ["FOUND", "MISSED", "WRONG", "against_truth", "data_uri", "true_picture"]

FOUND, MISSED, WRONG = (0, 158, 115), (240, 228, 66), (213, 94, 0)
"""Bluish green, yellow, vermillion: told apart by colour-blind eyes too (Okabe and Ito, 2002)."""

IGNORED = (150, 150, 150)
STRENGTH = 0.6
MAX_SIDE = 400
DIMMED = 0.75
"""How much of the image's brightness is left under an answer, and no colour: the three are the only ones."""


def against_truth(
    image: Image.Image, shown: Sequence[Instance], truth: Truth, exemplars: Sequence[Exemplar] = ()
) -> Image.Image:
    """What is shown against what is true: found, missed and wrong pixels in their colours.

    Of several annotators, the one that the answer fits best. What counts for nothing is grey. Prompt boxes
    are drawn white, negative ones crossed out.

    Args:
        image: upright RGB; its own pixels are not written to.
        shown: masks of its size.
        truth: masks of its size.
        exemplars: prompt boxes in pixels of the image.
    """
    annotated = truth.annotators[0]
    if len(truth.annotators) > 1:
        annotated = max(truth.annotators, key=lambda one: _iou(shown, one, truth.ignore, image.size))
    size = display_size(*image.size, max_side=MAX_SIDE)
    answer = [one.mask for one in shown]
    counted = answer if truth.exhaustive else near(answer, annotated)
    ours, theirs = _pixels(counted, image, size), _pixels(annotated, image, size)
    painted = _paint(
        image,
        size,
        [
            (_pixels(answer, image, size), IGNORED),
            (ours & theirs, FOUND),
            (theirs & ~ours, MISSED),
            (ours & ~theirs, WRONG),
            *_ignored(truth, image, size),
        ],
    )
    _draw_boxes(painted, exemplars, image.size)
    return painted


def true_picture(image: Image.Image, truth: Truth) -> Image.Image:
    """The image in its own colours, with the outlines of the first annotator's truth; ignored pixels grey."""
    size = display_size(*image.size, max_side=MAX_SIDE)
    canvas = np.array(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    for pixels, colour in _ignored(truth, image, size):
        canvas[pixels] = colour
    for mask in truth.instances:
        pixels = _pixels([mask], image, size)
        inner = _eroded(pixels)
        canvas[pixels & ~inner] = (255, 255, 255)
        canvas[inner & ~_eroded(inner)] = FOUND
    return Image.fromarray(canvas)


def data_uri(picture: Image.Image) -> str:
    """A picture as a data: address: WebP, about half the bytes of a JPEG that looks the same."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=72, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _paint(
    image: Image.Image,
    size: tuple[int, int],
    layers: Sequence[tuple[NDArray[np.bool_], tuple[int, int, int]]],
) -> Image.Image:
    grey = image.convert("L").resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    original = np.repeat(np.asarray(grey, np.float32)[..., None] * DIMMED, 3, axis=2)
    canvas = original.copy()
    for pixels, colour in layers:
        canvas[pixels] = (1 - STRENGTH) * original[pixels] + STRENGTH * np.array(colour, np.float32)
    return Image.fromarray(canvas.astype(np.uint8))


def _pixels(shapes: Sequence[Mask], image: Image.Image, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of masks as (H, W) bool of the picture: the nearest pixel of the image each."""
    (width, height), (columns, rows) = image.size, size
    if not shapes:
        return np.zeros((rows, columns), np.bool_)
    whole = masks.decode(masks.union(shapes, width=width, height=height))
    nearest: NDArray[np.bool_] = whole[
        np.ix_(np.arange(rows) * height // rows, np.arange(columns) * width // columns)
    ]
    return nearest


def _ignored(
    truth: Truth, image: Image.Image, size: tuple[int, int]
) -> list[tuple[NDArray[np.bool_], tuple[int, int, int]]]:
    return [] if truth.ignore is None else [(_pixels([truth.ignore], image, size), IGNORED)]


def _eroded(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the outermost pixel on each side."""
    padded = np.pad(pixels, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _draw_boxes(picture: Image.Image, exemplars: Sequence[Exemplar], size: tuple[int, int]) -> None:
    brush = ImageDraw.Draw(picture)
    across, down = picture.width / size[0], picture.height / size[1]
    for exemplar in exemplars:
        box = exemplar.box
        corners = [(box.x0 * across, box.y0 * down), (box.x1 * across - 1, box.y1 * down - 1)]
        if corners[1][0] < corners[0][0] or corners[1][1] < corners[0][1]:
            continue  # thinner than a pixel of the picture
        brush.rectangle(corners, outline="black", width=3)
        brush.rectangle(corners, outline="white", width=1)
        if not exemplar.positive:
            brush.line(corners, fill="white", width=1)


def _iou(
    shown: Sequence[Instance], annotated: Sequence[Mask], ignore: Mask | None, size: tuple[int, int]
) -> float:
    alone = Truth((tuple(annotated),), ignore, is_instances=False)
    return float(measure(shown, alone, size)["iou"])
