"""What CVAT is given: one XML file, masks as run lengths."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import numpy as np

from maskpilot import masks
from maskpilot.types import Mask
from tests.labeling.export.written import negative, picture, written
from tests.labeling.samples import SIZE, class_labels, drawn_mask, image_labels, label


def read(folder: Path) -> Element:
    return ET.fromstring((folder / "annotations.xml").read_text(encoding="utf-8"))


def mask_of(found: Element) -> Mask:
    """Runs along the rows of a box, background first."""
    left, top, width, height = (int(found.attrib[side]) for side in ("left", "top", "width", "height"))
    runs = [int(run) for run in found.attrib["rle"].split(",")]
    patch = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    array = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    array[top : top + height, left : left + width] = patch
    return masks.encode(array)


def test_every_mask_comes_back(tmp_path: Path) -> None:
    back = written(tmp_path, "cvat", picture())
    assert [mask_of(found) for found in read(tmp_path).iter("mask")] == back
    assert back == [drawn_mask("donut"), drawn_mask("pixel"), drawn_mask("parts")]


def test_a_mask_says_its_class_score_and_why_it_should_be_looked_at(tmp_path: Path) -> None:
    written(tmp_path, "cvat", picture())
    found = list(read(tmp_path).iter("mask"))
    assert [one.get("label") for one in found] == ["ring", "ring", "pair"]
    attributes = [{each.get("name"): each.text for each in one} for one in found]
    assert attributes[0] == {"needs_review": "false", "reasons": None, "score": "0.9000"}
    assert attributes[1] == {"needs_review": "true", "reasons": "near_threshold", "score": "0.5100"}


def test_images_are_numbered_from_zero_and_those_without_labels_are_kept(tmp_path: Path) -> None:
    written(tmp_path, "cvat", picture(1, "a/b.png"), negative(2))
    found = [(one.get("id"), one.get("name"), len(one)) for one in read(tmp_path).iter("image")]
    assert found == [("0", "a/b.png", 3), ("1", "2.png", 0)]


def test_every_class_is_set_up_with_a_colour_and_attributes(tmp_path: Path) -> None:
    written(tmp_path, "cvat")
    labels = read(tmp_path).findall("meta/task/labels/label")
    assert [one.findtext("name") for one in labels] == ["ring", "pair", "ghost"]
    assert len({one.findtext("color") for one in labels}) == 3
    attributes = [one.text for one in labels[0].iterfind("attributes/attribute/name")]
    assert attributes == ["needs_review", "reasons", "score"]
    raw = json.loads((tmp_path / "labels.json").read_text())
    assert [one["name"] for one in raw] == ["ring", "pair", "ghost"]
    assert [one["color"] for one in raw] == [one.findtext("color") for one in labels]


def test_a_split_is_a_project_with_two_subsets(tmp_path: Path) -> None:
    pictures = [picture(1, split="train"), picture(2, split="val")]
    written(tmp_path, "cvat", *pictures, splits=("train", "val"))
    root = read(tmp_path)
    assert [one.text for one in root.iter("subset")] == ["train", "val"]
    assert [one.get("subset") for one in root.iter("image")] == ["train", "val"]


def test_names_stay_data(tmp_path: Path) -> None:
    name = '</label><image> "a" & \x01\n'
    labels = image_labels(1, class_labels(name, label("square")))
    written(tmp_path, "cvat", picture(1, "<&>.png", labels=labels), classes=[name])
    root = read(tmp_path)
    expected = name.replace("\x01", "\ufffd")
    assert root.findtext("meta/task/labels/label/name") == expected
    assert [one.get("label") for one in root.iter("mask")] == [expected]
    assert [one.get("name") for one in root.findall("image")] == ["<&>.png"]
