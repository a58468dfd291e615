"""COCO files: pycocotools reads back every pixel."""

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO

from maskpilot import masks
from maskpilot.labeling.export.formats import find_format
from maskpilot.labeling.export.writer import Picture, Target
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Instance
from tests.labeling.export.runs import NOTHING, export_as, files_of, make_run
from tests.labeling.samples import SIZE, class_labels, drawn_mask, image_labels, label

SHAPES = ("donut", "pixel", "parts")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path, {"b/two.png": NOTHING, "one.png": ()})


def read_back(file: Path) -> list[NDArray[np.bool_]]:
    coco = COCO(str(file))
    return [coco.annToMask(coco.anns[number]).astype(np.bool_) for number in sorted(coco.anns)]


@pytest.mark.parametrize("name", ["coco", "coco-polygon"])
def test_pycocotools_reads_every_pixel_back(name: str, run: Path, tmp_path: Path) -> None:
    account = export_as(name, run, tmp_path / "out")
    found = read_back(tmp_path / "out" / "annotations/instances_default.json")
    assert [masks.encode(pixels) for pixels in found] == [drawn_mask(shape) for shape in SHAPES]
    loss = account["loss"]
    assert (loss["instances"], loss["written"], loss["lost"], loss["changed"]) == (3, 3, 0, 0)
    assert loss["mean_iou"] == loss["lowest_iou"] == 1.0


def test_all_that_is_known_of_a_label_is_written(run: Path, tmp_path: Path) -> None:
    export_as("coco", run, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations/instances_default.json").read_text())
    assert content["categories"] == [
        {"id": 1, "name": "ring"},
        {"id": 2, "name": "pair"},
        {"id": 3, "name": "ghost"},
    ]
    _, pixel, parts = content["annotations"]
    assert (pixel["image_id"], pixel["category_id"], pixel["iscrowd"]) == (2, 1, 0)
    assert (pixel["bbox"], pixel["area"], pixel["score"]) == ([3, 25, 1, 1], 1, 0.51)
    assert pixel["attributes"] == {
        "query": "every ring",
        "text": "pixel",
        "policy": "mllm",
        "model": "a-model",
        "rating": 88.0,
        "rounds": 3,
        "stop": "finished",
        "needs_review": ["near_threshold"],
    }
    assert parts["attributes"]["needs_review"] == []


def test_images_without_labels_are_negatives_and_doubt_is_said(run: Path, tmp_path: Path) -> None:
    account = export_as("coco", run, tmp_path / "out")
    empty, full = json.loads((tmp_path / "out" / "annotations/instances_default.json").read_text())["images"]
    assert (empty["file_name"], empty["not_exhaustive_category_ids"]) == ("b/two.png", [])
    assert (full["file_name"], full["not_exhaustive_category_ids"]) == ("one.png", [3])
    assert (account["pictures"], account["negatives"], account["doubtful"]) == (2, 1, {"ghost": 1})
    assert files_of(tmp_path / "out") == {
        "export.json",
        "images/b/two.png",
        "images/one.png",
        "annotations/instances_default.json",
    }


def test_each_split_has_its_file(tmp_path: Path) -> None:
    run = make_run(tmp_path, {f"{number:02d}.png": () for number in range(40)})
    account = export_as("coco", run, tmp_path / "out", val=0.25)
    train = COCO(str(tmp_path / "out" / "annotations" / "instances_train.json"))
    val = COCO(str(tmp_path / "out" / "annotations" / "instances_val.json"))
    assert account["splits"] == {"train": len(train.imgs), "val": len(val.imgs)}
    assert len(train.imgs) + len(val.imgs) == 40
    assert len(val.imgs) in range(3, 20)
    assert not set(train.imgs) & set(val.imgs)
    assert not set(train.anns) & set(val.anns)


def disc() -> Label:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    mask = masks.encode((x - 15.0) ** 2 + (y - 14.0) ** 2 < 100.0)
    box = masks.tight_box(mask)
    assert box is not None
    return Label(Instance(1, mask, box, 0.9))


def test_a_tolerance_makes_fewer_corners_and_the_loss_is_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"one.png": (class_labels("ring", disc(), label("pixel", 2)),)})
    exact = export_as("coco-polygon", run, tmp_path / "exact")
    rough = export_as("coco-polygon", run, tmp_path / "rough", tolerance=1.5)
    assert corners(tmp_path / "rough") < corners(tmp_path / "exact") / 2
    assert exact["loss"]["lowest_iou"] == 1.0
    found = read_back(tmp_path / "rough" / "annotations/instances_default.json")
    ious = [
        float((pixels & true).sum() / (pixels | true).sum())
        for pixels, mask in zip(found, (disc().instance.mask, drawn_mask("pixel")), strict=True)
        for true in [masks.decode(mask)]
    ]
    assert ious[1] == 1.0
    assert rough["loss"]["lowest_iou"] == min(ious) < 1.0
    assert rough["loss"]["mean_iou"] == pytest.approx(sum(ious) / 2)
    assert rough["loss"]["worst"] == [{"image": "one.png", "class": "ring", "instance": 1, "iou": min(ious)}]


def corners(folder: Path) -> int:
    annotations: list[dict[str, Any]] = json.loads(
        (folder / "annotations/instances_default.json").read_text()
    )["annotations"]
    return sum(len(ring) for one in annotations for ring in one["segmentation"])


@pytest.mark.parametrize(
    "name", ['<script>alert("x")</script>', "a\nb: [c]", '"; DROP', "\u202eevil", "é 漢字 \N{PILE OF POO}"]
)
def test_a_class_name_is_data(name: str, tmp_path: Path) -> None:
    labels: tuple[ClassLabels, ...] = (class_labels(name, label("donut")),)
    run = make_run(tmp_path, {"one.png": labels}, names=(name,))
    export_as("coco", run, tmp_path / "out")
    coco = COCO(str(tmp_path / "out" / "annotations/instances_default.json"))
    assert coco.cats == {1: {"id": 1, "name": name}}
    assert len(coco.getAnnIds(catIds=[1])) == 1


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    classes = image_labels().classes

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        writer = find_format("coco").open(Target(folder, ("ring", "pair", "ghost")))
        gc.collect()
        tracemalloc.start()
        for number in range(1, count + 1):
            name = f"{number}.png"
            writer.add(Picture(number, name, name, name, "", "0" * 64, *SIZE, classes))
        writer.close()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(200), peak(1000)
    assert (many - few) / 800 < 500  # bytes; the labels of one image take more than a thousand


def test_classes_that_were_never_found_are_there(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"one.png": image_labels().classes}, names=("ring", "pair", "ghost"))
    export_as("coco", run, tmp_path / "out")
    assert len(COCO(str(tmp_path / "out" / "annotations/instances_default.json")).cats) == 3
