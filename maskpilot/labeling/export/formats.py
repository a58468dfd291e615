"""The formats by name; a format's module, and what it needs, loads only where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from maskpilot.errors import InvalidInput
from maskpilot.labeling.export.writer import Format

__all__ = ["FORMATS", "find_format"]

FORMATS: Mapping[str, str] = {
    "coco": "coco",
    "coco-polygon": "coco_polygon",
    "yolo-seg": "yolo",
    "labelme": "labelme",
    "masks": "masks_png",
    "label-studio": "label_studio",
    "cvat": "cvat",
    "parquet": "parquet",
}
"""Name of a format, and the module here whose FORMAT it is."""


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in FORMATS:
        raise InvalidInput(f"format: no format {name!r}; expected one of {', '.join(FORMATS)}")
    found = import_module(f"maskpilot.labeling.export.{FORMATS[name]}").FORMAT
    if not isinstance(found, Format):
        raise TypeError(f"{found!r} is no Format")
    return found
