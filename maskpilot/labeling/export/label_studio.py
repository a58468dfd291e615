"""Label Studio: tasks with predictions, which a person corrects, and the labeling interface for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from maskpilot import masks
from maskpilot.labeling.export.markup import hex_colour, xml_text
from maskpilot.labeling.export.pixels import row_runs
from maskpilot.labeling.export.writer import Format, Picture, Target
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["FORMAT"]

LENGTH_BITS = (3, 4, 8, 16)
"""A run is written with the first of these that holds its length."""


class Writer:
    """tasks.json and label_config.xml.

    Images are named by Label Studio's addresses for local files, from its document root on. That is the
    export's folder where it holds the images, and the root of the file system where it refers to them.
    """

    def __init__(self, target: Target) -> None:
        (target.folder / "label_config.xml").write_text(_config(target.classes), encoding="utf-8")
        self._tasks = (target.folder / "tasks.json").open("w", encoding="utf-8")
        self._between = "[\n"

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """See `writer.Writer`."""
        self._tasks.write(self._between + json.dumps(_task(picture)))
        self._between = ",\n"
        return [label.instance.mask for _, label in picture.labels]

    def close(self) -> None:
        """See `writer.Writer`."""
        with self._tasks:
            self._tasks.write("[]\n" if self._between == "[\n" else "\n]\n")


def _config(classes: Sequence[str]) -> str:
    labels = "".join(
        f'    <Label value={quoteattr(xml_text(name))} background="{hex_colour(number)}"/>\n'
        for number, name in enumerate(classes)
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
    )


def _task(picture: Picture) -> dict[str, Any]:
    doubtful = bool(picture.doubtful) or any(one.needs_review for one in picture.classes)
    prediction: dict[str, Any] = {
        "model_version": ", ".join(
            dict.fromkeys(f"{one.policy} {one.model}".strip() for one in picture.classes)
        ),
        "result": [
            _region(f"{picture.id}-{n}", picture, *pair) for n, pair in enumerate(picture.labels, start=1)
        ],
    }
    if picture.labels:  # the lowest, so that tasks in order of score begin with the most doubtful one
        prediction["score"] = min(label.instance.score for _, label in picture.labels)
    address = "/data/local-files/?d=" + quote(os.fsencode(picture.path.lstrip("/")))
    return {
        "data": {"image": address, "sha256": picture.sha256, "needs_review": doubtful},
        "predictions": [prediction],
    }


def _region(name: str, picture: Picture, one: ClassLabels, label: Label) -> dict[str, Any]:
    reasons = [str(reason) for reason in one.reasons(label)]
    return {
        "id": name,
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "origin": "prediction",
        "original_width": picture.width,
        "original_height": picture.height,
        "image_rotation": 0,
        "score": label.instance.score,
        "meta": {"needs_review": bool(reasons), "text": reasons},
        "value": {
            "format": "rle",
            "rle": list(_packed(label.instance.mask)),
            "brushlabels": [xml_text(one.name)],
        },
    }


def _packed(mask: Mask) -> bytes:
    """The mask as a picture of four equal channels, in the bits of thi.ng's rle-pack.

    A head says how many values there are (32 bits), how many bits each has (5), and how many a run's length
    may have (4 for each of the four ways), the last two less one. Then come runs: a 1, the way (2 bits), the
    length less one, and the value.
    """
    pixels = masks.decode(mask)
    head = [f"{4 * pixels.size:032b}", f"{8 - 1:05b}", *(f"{bits - 1:04b}" for bits in LENGTH_BITS)]
    bits = "".join([*head, *_runs(row_runs(pixels))])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _runs(lengths: Sequence[int]) -> Iterator[str]:
    longest = 1 << LENGTH_BITS[-1]
    for number, length in enumerate(lengths):
        value = f"{255 * (number % 2):08b}"
        left = 4 * length
        while left:
            run = min(left, longest)
            way = next(way for way, bits in enumerate(LENGTH_BITS) if run <= 1 << bits)
            yield f"1{way:02b}{run - 1:0{LENGTH_BITS[way]}b}{value}"
            left -= run


FORMAT = Format(
    name="label-studio",
    summary="Label Studio: tasks.json with predictions (brush), label_config.xml",
    limits="",
    open=Writer,
)
