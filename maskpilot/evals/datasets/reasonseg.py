"""ReasonSeg: queries that need reasoning, one an image, as LISA reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskpilot import masks
from maskpilot.annotations.files import field, first_that_exists, parse_json, safe_id
from maskpilot.annotations.shapes import paint
from maskpilot.errors import DatasetError
from maskpilot.evals.datasets.entry import About, Listed, Options, Record, file_digest
from maskpilot.evals.types import Dataset, Sample, Truth

__all__ = ["ABOUT", "open_reasonseg"]

ABOUT = About(
    name="reasonseg",
    summary="ReasonSeg: queries that need reasoning; short and long ones apart by the tag 'length'",
    licence="annotations: Apache-2.0, as LISA's repository; images: OpenImages' (CC BY 2.0) and ScanNet v2's",
    citation="Lai et al., LISA: Reasoning Segmentation via Large Language Model, CVPR 2024, arXiv 2308.00692",
    home="https://github.com/JIA-Lab-research/LISA (ReasonSeg in its README)",
    layout="{split}/X.jpg + {split}/X.json, perhaps below ReasonSeg/",
    splits=("val", "test", "train"),
    metrics=("giou", "ciou"),
)
TARGET, IGNORED = 1, 255


def open_reasonseg(path: Path, options: Options) -> Dataset:
    """Read the JSON files of a split; masks are painted when asked for.

    Raises:
        DatasetError: the split is missing, or a file is damaged.
    """
    split = options.split or ABOUT.splits[0]
    folder = first_that_exists(
        [path / split, path / "ReasonSeg" / split], f"the {split} split of ReasonSeg", ABOUT.home
    )
    records = {}
    for file in sorted(folder.glob("*.json")):
        record = _record(file)
        records[record.sample.id] = record
    return Listed(ABOUT, records, {"split": split}, where=folder)


def _record(file: Path) -> Record:
    where, content = str(file), _read(file)
    texts = field(content, "text", list, where)
    if not texts or not isinstance(texts[0], str):
        raise DatasetError(f"{where}: field 'text': expected a list of texts; the first is the query")
    length = "long" if content.get("is_sentence") else "short"
    identity = safe_id(file.stem)
    sample = Sample(
        id=identity, image_id=identity, query=texts[0], tags={"length": length}, phrases=(texts[0],)
    )
    # The content is not kept: 779 files of outlines are read again for their masks.
    return Record(
        sample, file.with_suffix(".jpg"), partial(_truth, file), partial(file_digest, file, where), where
    )


def _read(file: Path) -> Any:
    try:
        source = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        return parse_json(source, str(file))
    except DatasetError:
        # Some files of the release are in the Windows code page.
        return parse_json(source, str(file), encoding="cp1252")


def _truth(file: Path, size: tuple[int, int]) -> Truth:
    """Polygons painted largest first, so that small ones lie on top; 255 is left out of everything.

    Source: get_mask_from_json in utils/data_processing.py of LISA. It paints with OpenCV and
    we with Pillow, which differ in single pixels along an outline.
    """
    where, layers = str(file), []
    for number, shape in enumerate(field(_read(file), "shapes", list, str(file))):
        place = f"{where}: shape {number}"
        label = field(shape, "label", str, place).lower()
        if label == "flag":  # a mark without meaning, says LISA
            continue
        points = _points(field(shape, "points", list, place), size, place)
        layer = Image.new("L", size)
        paint(layer, points, 1)
        layers.append((int(np.asarray(layer).sum()), number, points, label))
    painted = Image.new("L", size)
    for _, _, points, label in sorted(layers, key=lambda layer: layer[:2], reverse=True):
        paint(painted, points, IGNORED if "ignore" in label else TARGET)
    values = np.asarray(painted)
    target, ignored = values == TARGET, values == IGNORED
    return Truth(
        annotators=((masks.encode(target),) if target.any() else (),),
        ignore=masks.encode(ignored) if ignored.any() else None,
        is_instances=False,
    )


def _points(points: Sequence[Any], size: tuple[int, int], where: str) -> list[tuple[int, int]]:
    try:
        array = np.asarray(points, np.float64) if _are_pairs(points) else np.zeros(0)
    except OverflowError:  # a whole number of hundreds of digits
        array = np.zeros(0)
    if array.ndim != 2 or not np.isfinite(array).all() or np.abs(array).max() > 10 * max(size):
        raise DatasetError(f"{where}: expected points [x, y] near an image of {size[0]}x{size[1]}")
    return [(int(x), int(y)) for x, y in array.tolist()]


def _are_pairs(points: Sequence[Any]) -> bool:
    return bool(points) and all(
        isinstance(point, list) and len(point) == 2 and all(isinstance(value, int | float) for value in point)
        for point in points
    )
