"""What Label Studio is given: tasks with predictions, and the interface to correct them in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from maskpilot import masks
from maskpilot.types import Mask
from tests.labeling.export.written import labeled, negative, picture, written
from tests.labeling.samples import class_labels, drawn_mask, image_labels, label


def tasks(folder: Path) -> Any:
    return json.loads((folder / "tasks.json").read_text())


def mask_of(region: dict[str, Any]) -> Mask:
    """Bit by bit, as the format is described: https://github.com/thi-ng/umbrella, rle-pack."""
    bits = "".join(f"{byte:08b}" for byte in region["value"]["rle"])
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    ways = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        assert read(1) == 1
        length = read(ways[read(2)]) + 1
        values += [read(word)] * length
    assert len(bits) - place < 8
    image = np.array(values).reshape(region["original_height"], region["original_width"], 4)
    assert (image == image[:, :, :1]).all()
    return masks.encode(image[:, :, 3] == 255)


def test_every_mask_comes_back(tmp_path: Path) -> None:
    back = written(tmp_path, "label-studio", picture())
    regions = tasks(tmp_path)[0]["predictions"][0]["result"]
    assert [mask_of(region) for region in regions] == back
    assert back == [drawn_mask("donut"), drawn_mask("pixel"), drawn_mask("parts")]


def test_runs_longer_than_a_length_can_say_come_back(tmp_path: Path) -> None:
    array = np.zeros((200, 300), np.bool_)
    array[100:199, 1:] = True
    mask = masks.encode(array)
    large = picture(labels=image_labels(1, class_labels("ring", labeled(mask))))
    written(tmp_path, "label-studio", replace(large, width=300, height=200))
    assert mask_of(tasks(tmp_path)[0]["predictions"][0]["result"][0]) == mask


def test_a_prediction_says_who_made_it_how_sure_and_why_it_should_be_looked_at(tmp_path: Path) -> None:
    written(tmp_path, "label-studio", picture())
    prediction = tasks(tmp_path)[0]["predictions"][0]
    assert prediction["model_version"] == "mllm a-model"
    assert prediction["score"] == 0.51
    assert [one["score"] for one in prediction["result"]] == [0.9, 0.51, 0.8]
    assert [one["value"]["brushlabels"] for one in prediction["result"]] == [["ring"], ["ring"], ["pair"]]
    assert [one["meta"]["needs_review"] for one in prediction["result"]] == [False, True, False]
    assert prediction["result"][1]["meta"]["text"] == ["near_threshold"]
    assert len({one["id"] for one in prediction["result"]}) == 3


def test_images_are_named_as_local_files(tmp_path: Path) -> None:
    written(tmp_path, "label-studio", picture(1, "a b&c/d.png"), picture(2, "e.png", images="/photos"))
    assert [task["data"]["image"] for task in tasks(tmp_path)] == [
        "/data/local-files/?d=images/a%20b%26c/d.png",
        "/data/local-files/?d=photos/e.png",
    ]


def test_a_picture_without_labels_is_a_task_whose_prediction_is_empty(tmp_path: Path) -> None:
    written(tmp_path, "label-studio", negative(2))
    assert tasks(tmp_path)[0]["predictions"] == [{"model_version": "mllm a-model", "result": []}]
    assert tasks(tmp_path)[0]["data"]["needs_review"] is False


def test_no_pictures_are_an_empty_list(tmp_path: Path) -> None:
    written(tmp_path, "label-studio")
    assert tasks(tmp_path) == []


def test_the_interface_has_the_classes_whatever_they_are_called(tmp_path: Path) -> None:
    names = ['<b onload="x">', "a & b\nc", "cat"]
    written(tmp_path, "label-studio", classes=names)
    root = ET.fromstring((tmp_path / "label_config.xml").read_text())
    assert [found.get("value") for found in root.iter("Label")] == names
    assert len({found.get("background") for found in root.iter("Label")}) == 3
    brush = root.find("BrushLabels")
    assert brush is not None
    assert (brush.get("name"), brush.get("toName")) == ("label", "image")


def test_what_no_xml_can_hold_is_replaced_in_both_files_alike(tmp_path: Path) -> None:
    labels = image_labels(1, class_labels("a\x01b", label("square")))
    written(tmp_path, "label-studio", picture(labels=labels), classes=["a\x01b"])
    root = ET.fromstring((tmp_path / "label_config.xml").read_text())
    named = [found.get("value") for found in root.iter("Label")]
    assert tasks(tmp_path)[0]["predictions"][0]["result"][0]["value"]["brushlabels"] == named == ["a\ufffdb"]
