"""CVAT for images 1.1: one XML file, every instance a mask in run lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from maskpilot.labeling.export.markup import hex_colour, xml_text
from maskpilot.labeling.export.pixels import cropped, row_runs
from maskpilot.labeling.export.writer import Format, Picture, Target
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["FORMAT"]

ATTRIBUTES = (("needs_review", "checkbox", "false"), ("reasons", "text", ""), ("score", "text", ""))
"""Of every label: name, kind of input, default."""


class Writer:
    """annotations.xml; and labels.json for the raw editor of labels, which CVAT wants before the rest."""

    def __init__(self, target: Target) -> None:
        raw = json.dumps([_raw_label(number, name) for number, name in enumerate(target.classes)], indent=1)
        (target.folder / "labels.json").write_text(raw + "\n", encoding="utf-8")
        self._file = (target.folder / "annotations.xml").open("w", encoding="utf-8")
        self._file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        self._write(_meta(target))

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """See `writer.Writer`."""
        image = Element("image", id=str(picture.id - 1), name=xml_text(picture.file_name))
        if picture.split:
            image.set("subset", picture.split)
        image.set("width", str(picture.width))
        image.set("height", str(picture.height))
        image.extend(_mask(one, label) for one, label in picture.labels)
        self._write(image)
        return [label.instance.mask for _, label in picture.labels]

    def close(self) -> None:
        """See `writer.Writer`."""
        with self._file:
            self._file.write("</annotations>\n")

    def _write(self, element: Element) -> None:
        indent(element, " ")
        self._file.write(tostring(element, "unicode") + "\n")


def _meta(target: Target) -> Element:
    """A task, or a project with a task for each split."""
    meta = Element("meta")
    if target.splits == ("",):
        top = _child(meta, "task")
        _child(top, "name", "maskpilot")
    else:
        top = _child(meta, "project")
        _child(top, "name", "maskpilot")
        _child(top, "subsets", "\n".join(target.splits))
        tasks = _child(top, "tasks")
        for split in target.splits:
            task = _child(tasks, "task")
            _child(task, "name", split)
            _child(task, "subset", split)
    labels = _child(top, "labels")
    for number, name in enumerate(target.classes):
        label = _child(labels, "label")
        _child(label, "name", xml_text(name))
        _child(label, "color", hex_colour(number))
        _child(label, "type", "any")
        attributes = _child(label, "attributes")
        for attribute, kind, default in ATTRIBUTES:
            found = _child(attributes, "attribute")
            _child(found, "name", attribute)
            _child(found, "mutable", "False")
            _child(found, "input_type", kind)
            _child(found, "default_value", default)
            _child(found, "values", default)
    return meta


def _child(parent: Element, tag: str, text: str | None = None) -> Element:
    child = SubElement(parent, tag)
    child.text = text
    return child


def _raw_label(number: int, name: str) -> dict[str, object]:
    return {
        "name": xml_text(name),
        "color": hex_colour(number),
        "type": "any",
        "attributes": [
            {
                "name": attribute,
                "input_type": kind,
                "mutable": False,
                "values": [default],
                "default_value": default,
            }
            for attribute, kind, default in ATTRIBUTES
        ],
    }


def _mask(one: ClassLabels, label: Label) -> Element:
    """An instance: run lengths along the rows of its box, background first."""
    reasons = one.reasons(label)
    pixels, left, top = cropped(label.instance.mask)
    height, width = pixels.shape
    found = Element("mask", label=xml_text(one.name), source="auto", occluded="0")
    found.set("rle", ", ".join(map(str, row_runs(pixels))))
    for side, length in {"left": left, "top": top, "width": width, "height": height}.items():
        found.set(side, str(length))
    found.set("z_order", "0")
    values = "true" if reasons else "false", ", ".join(reasons), f"{label.instance.score:.4f}"
    for (attribute, _, _), value in zip(ATTRIBUTES, values, strict=True):
        SubElement(found, "attribute", name=attribute).text = value
    return found


FORMAT = Format(
    name="cvat",
    summary="CVAT for images 1.1: annotations.xml with masks, labels.json with the labels to set up",
    limits="",
    open=Writer,
    images=lambda split: f"images/{split}" if split else "images",
)
