"""Draws docs/images/nano.png: what the small SAM 3 finds on held-out scenes, and where it fails.

python -m scripts.nano_pictures

One phrase of each scene, in the order of their seeds: the first ones that came out perfectly, and the first
ones that did not. Green: a mask that fits an object that was asked for; red: one that fits none; dotted: an
object that was missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from maskpilot.scenes import Scene, queries
from maskpilot.segmenters import load_segmenter
from maskpilot.segmenters.base import ImageSession
from maskpilot.segmenters.nano.evaluate import FIRST_SEED
from maskpilot.segmenters.nano.evaluation.measures import SAME, ious
from maskpilot.segmenters.nano.evaluation.tasks import held_out
from maskpilot.types import PromptState

TARGET = Path(__file__).parent.parent / "docs" / "images" / "nano.png"
EACH = 5
TILE, CAPTION = 220, 18
RIGHT, WRONG, MISSED = (0, 255, 0), (255, 0, 0), (0, 0, 0)


def main() -> None:
    """Draw and save."""
    good: list[Image.Image] = []
    bad: list[Image.Image] = []
    with closing(load_segmenter("nano", device="cpu")) as segmenter:
        for scene in held_out(500, first=FIRST_SEED):
            with closing(segmenter.open(scene.image)) as session:
                for tile, perfect in _tiles(scene, session):
                    (good if perfect else bad).append(tile)
            if min(len(good), len(bad)) >= EACH:
                break
    tiles = good[:EACH] + bad[:EACH]
    sheet = Image.new("RGB", (EACH * TILE, 2 * (TILE + CAPTION)), "white")
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % EACH * TILE, index // EACH * (TILE + CAPTION)))
    sheet.quantize(192).save(TARGET, optimize=True)


def _tiles(scene: Scene, session: ImageSession) -> Iterator[tuple[Image.Image, bool]]:
    """A picture of the first phrase, if the scene has any, and whether everything in it is right."""
    for query in queries(scene, 0, kinds=("plain", "attribute"), per_kind=1)[:1]:
        found = session.segment(PromptState(text=query.text))
        wanted = np.stack([scene.objects[index].mask for index in query.answer])
        overlaps = ious(found.masks, wanted)
        fits = [bool((row >= SAME).any()) for row in overlaps]
        seen = [bool((column >= SAME).any()) for column in overlaps.T]
        scale = (TILE - 4) / max(scene.image.size)
        size = (round(scene.width * scale), round(scene.height * scale))
        picture = np.array(scene.image.convert("RGB").resize(size))
        for mask, right in zip(found.masks, fits, strict=True):
            picture[_contour(mask, size)] = RIGHT if right else WRONG
        for mask, there in zip(wanted, seen, strict=True):
            if not there:
                contour = _contour(mask, size)
                picture[contour & _dots(contour.shape)] = MISSED
        perfect = all(seen) and len(found.masks) == len(wanted)
        yield _captioned(Image.fromarray(picture), query.text), perfect


def _contour(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A line of some pixels around a mask, in a picture of another size."""
    inside = Image.fromarray(mask).resize(size).convert("L")
    grown = inside.filter(ImageFilter.MaxFilter(5))
    return np.asarray(grown) > np.asarray(inside)


def _dots(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return np.asarray((rows + columns) % 6 < 3)


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    tile = Image.new("RGB", (TILE, TILE + CAPTION), "white")
    tile.paste(picture, ((TILE - picture.width) // 2, CAPTION + (TILE - picture.height) // 2))
    ImageDraw.Draw(tile).text((4, 3), text, fill="black")
    return tile


if __name__ == "__main__":
    main()
