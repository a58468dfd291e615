"""Runs of label to export, with image files that are what was labeled."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from maskpilot.labeling.export.formats import find_format
from maskpilot.labeling.export.order import Order
from maskpilot.labeling.export.run import export
from maskpilot.labeling.store import LABELS, SeenFile, Store
from maskpilot.labeling.types import ClassLabels, ImageLabels
from maskpilot.types import ImageRef
from tests.labeling.samples import SIZE, class_labels, image_labels

NAMES = ("ring", "pair", "ghost")
"""Classes of the usual labels."""

NOTHING = tuple(class_labels(name) for name in NAMES)
"""An image on which nothing is, and nobody doubts it."""


def png(number: int) -> bytes:
    """An image of SIZE that no other number gives."""
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def make_run(
    folder: Path,
    files: Mapping[str, tuple[ClassLabels, ...]],
    *,
    names: tuple[str, ...] = NAMES,
    content: Mapping[str, bytes] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Path:
    """A run of label in folder/run on images in folder/images.

    Args:
        folder: an empty one.
        files: path below the folder of images -> labels of its image; the usual ones where there are none.
        names: of the classes.
        content: of image files, where it matters; otherwise each file has its own.
        sizes: of images that are not of SIZE.
    """
    run, images = folder / "run", folder / "images"
    run.mkdir()
    with Store(run / LABELS) as store:
        for number, (path, classes) in enumerate(files.items(), start=1):
            source = (content or {}).get(path, png(number))
            file = images / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
            digest = hashlib.sha256(source).hexdigest()
            image = ImageRef(
                digest,
                ".png",
                os.fsencode(file.name).decode("utf-8", "replace"),
                *(sizes or {}).get(path, SIZE),
            )
            store.commit(ImageLabels(image, classes or image_labels().classes, 0.5))
            store.seen(path, SeenFile(len(source), number, digest))
    settings = {"classes": [{"name": name, "query": f"every {name}", "hints": []} for name in names]}
    record = {"command": "label", "images": str(images), "settings": settings}
    (run / "run.json").write_text(json.dumps(record))
    return run


def export_as(name: str, run: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Export a run, and return the account."""
    account = export(Order(run, out, find_format(name), **options))
    assert json.loads((out / "export.json").read_text()).items() >= account.items()
    return account


def files_of(folder: Path) -> set[str]:
    """All files of an export but hidden ones."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
