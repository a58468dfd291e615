"""PNG images of masks, read back with Pillow."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskpilot import masks
from maskpilot.images import load_truth
from tests.labeling.export.runs import NOTHING, export_as, make_run
from tests.labeling.samples import SIZE, class_labels, drawn_mask, label


def test_pixels_hold_the_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": (), "b/b.png": NOTHING})
    account = export_as("masks", run, tmp_path / "out")
    with Image.open(tmp_path / "out" / "instances" / "a.png") as image:
        assert image.mode == "I;16"
        numbers = np.asarray(image)
    rows = [json.loads(line) for line in (tmp_path / "out" / "instances.jsonl").read_text().splitlines()]
    assert [(one["number"], one["class"]) for one in rows[0]["instances"]] == [
        (1, "ring"),
        (2, "ring"),
        (3, "pair"),
    ]
    for number, shape in enumerate(("donut", "pixel", "parts"), start=1):
        assert masks.encode(numbers == number) == drawn_mask(shape)
    assert rows[1]["instances"] == []
    assert (account["loss"]["changed"], account["loss"]["lost"]) == (0, 0)


def test_classes_are_an_image_with_a_palette(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": ()})
    export_as("masks", run, tmp_path / "out")
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels["classes"] == {"1": "ring", "2": "pair", "3": "ghost"}
    with Image.open(tmp_path / "out" / "classes" / "a.png") as image:
        assert image.mode == "P"
        classes = np.asarray(image)
        colours = np.asarray(image.convert("RGB"))
    ring = masks.decode(
        masks.union([drawn_mask("donut"), drawn_mask("pixel")], width=SIZE[0], height=SIZE[1])
    )
    assert ((classes == 1) == ring).all()
    assert ((classes == 2) == masks.decode(drawn_mask("parts"))).all()
    assert (colours[ring] == labels["colours"]["1"]).all()
    assert (colours[classes == 0] == 0).all()


def test_many_classes_take_16_bits(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(300))
    run = make_run(tmp_path, {"a.png": (class_labels(names[299], label("donut")),)}, names=names)
    export_as("masks", run, tmp_path / "out")
    with Image.open(tmp_path / "out" / "classes" / "a.png") as image:
        assert image.mode == "I;16"
        assert set(np.unique(np.asarray(image)).tolist()) == {0, 300}


def test_what_is_hidden_is_counted(tmp_path: Path) -> None:
    classes = (
        class_labels("ring", label("donut", 1, 0.9), label("donut", 2, 0.8)),
        class_labels("pair", label("square", 1, 0.95)),
    )
    run = make_run(tmp_path, {"a.png": classes}, names=("ring", "pair"))
    over = masks.decode(drawn_mask("square")) & masks.decode(drawn_mask("donut"))
    assert not over.any()
    loss = export_as("masks", run, tmp_path / "out")["loss"]
    assert (loss["lost"], loss["classes"]["ring"]["lost"], loss["changed"]) == (1, 1, 0)


def test_the_better_score_is_on_top(tmp_path: Path) -> None:
    whole = np.ones((SIZE[1], SIZE[0]), np.bool_)
    box = masks.tight_box(masks.encode(whole))
    assert box is not None
    below = label("square", 1, 0.5)
    background = type(below)(type(below.instance)(1, masks.encode(whole), box, 0.5))
    classes = (class_labels("ring", label("donut", 1, 0.9)), class_labels("pair", background))
    run = make_run(tmp_path, {"a.png": classes}, names=("ring", "pair"))
    loss = export_as("masks", run, tmp_path / "out")["loss"]
    donut, all_pixels = masks.area(drawn_mask("donut")), SIZE[0] * SIZE[1]
    assert loss["classes"]["ring"]["lowest_iou"] == 1.0
    assert loss["classes"]["pair"]["lowest_iou"] == pytest.approx((all_pixels - donut) / all_pixels)


def test_our_own_reader_takes_them_as_masks(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": ()})
    export_as("masks", run, tmp_path / "out")
    found = load_truth(tmp_path / "out" / "instances" / "a.png", SIZE)
    assert list(found) == [drawn_mask(shape) for shape in ("donut", "pixel", "parts")]
