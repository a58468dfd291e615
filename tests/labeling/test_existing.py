"""Labels that are there already: which image they are of, and what becomes of them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from maskpilot import masks
from maskpilot.errors import DatasetError
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.types import LabelClass
from maskpilot.types import Box, Mask
from tests.labeling.samples import SIZE, drawn_mask

WIDTH, HEIGHT = SIZE
CUP, PLATE = LabelClass("cup", "the cups"), LabelClass("plate")
SQUARE = [[10, 20, 18, 20, 18, 28, 10, 28]]
PARTS = [[22, 2, 27, 2, 27, 6, 22, 6], [28, 20, 36, 20, 36, 27, 28, 27]]


def packed(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode()}


def unpacked(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": masks.run_lengths(mask).tolist()}


def annotation(number: int, segmentation: object, **more: object) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": 7, "segmentation": segmentation, **more}


def content(*annotations: dict[str, Any], names: tuple[str, ...] = ("a.jpg",)) -> dict[str, Any]:
    """A file of images that are numbered from 1, with cups (7) and plates (8)."""
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(names, start=1)
    ]
    categories = [{"id": 7, "name": "cup"}, {"id": 8, "name": "plate"}]
    return {"images": images, "annotations": list(annotations), "categories": categories}


def existing(folder: Path, what: dict[str, Any], *paths: str) -> ExistingLabels:
    (folder / "labels.json").write_text(json.dumps(what))
    return ExistingLabels.read(folder / "labels.json", paths or ("a.jpg",))


@pytest.mark.parametrize("written", [packed, unpacked], ids=["compressed", "uncompressed"])
@pytest.mark.parametrize("shape", ["donut", "parts", "pixel", "square"])
def test_run_lengths_come_back_as_they_were(
    tmp_path: Path, written: Callable[[Mask], dict[str, Any]], shape: str
) -> None:
    labels = existing(tmp_path, content(annotation(1, written(drawn_mask(shape)))))
    found = labels.start("a.jpg", SIZE, [CUP])["cup"]
    assert [masks.decode(one.mask).tolist() for one in found] == [masks.decode(drawn_mask(shape)).tolist()]
    assert found[0].box == masks.tight_box(drawn_mask(shape))


@pytest.mark.parametrize(("polygons", "shape"), [(SQUARE, "square"), (PARTS, "parts")])
def test_polygons_of_several_parts_are_one_instance(tmp_path: Path, polygons: object, shape: str) -> None:
    found = existing(tmp_path, content(annotation(1, polygons))).start("a.jpg", SIZE, [CUP])["cup"]
    assert np.array_equal(masks.decode(found[0].mask), masks.decode(drawn_mask(shape)))


def test_instances_are_numbered_by_class_in_the_file_s_order(tmp_path: Path) -> None:
    nothing = unpacked(masks.encode(np.zeros((HEIGHT, WIDTH), np.bool_)))
    labels = existing(
        tmp_path,
        content(
            annotation(5, SQUARE),
            annotation(3, PARTS, category_id=8),
            annotation(4, nothing),
            annotation(2, packed(drawn_mask("donut"))),
            annotation(1, packed(drawn_mask("pixel")), iscrowd=1),
        ),
    )
    found = labels.start("a.jpg", SIZE, [PLATE, CUP, LabelClass("spoon")])
    assert list(found) == ["plate", "cup", "spoon"]
    assert [(one.id, one.score, one.text) for one in found["cup"]] == [(1, 1.0, None), (2, 1.0, None)]
    assert [one.box for one in found["cup"]] == [Box(10, 20, 18, 28), Box(4, 4, 18, 18)]
    assert [one.id for one in found["plate"]] == [1]
    assert found["spoon"] == ()
    assert (labels.classes, labels.crowds) == (("cup", "plate"), 1)


def test_an_image_is_labeled_where_it_has_labels(tmp_path: Path) -> None:
    what = content(annotation(1, SQUARE), names=("a.jpg", "b.jpg"))
    labels = existing(tmp_path, what, "a.jpg", "b.jpg", "c.jpg")
    assert [labels.has(path) for path in ("a.jpg", "b.jpg", "c.jpg")] == [True, False, False]
    assert labels.labeled == {"a.jpg"}
    assert labels.start("b.jpg", SIZE, [CUP]) == labels.start("c.jpg", SIZE, [CUP]) == {"cup": ()}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.jpg", "a.jpg"),
        ("val/a.jpg", "val/a.jpg"),
        ("./val/a.jpg", "val/a.jpg"),
        ("val\\a.jpg", "val/a.jpg"),
        ("a\\b.jpg", "a\\b.jpg"),
        ("a.jpg", "deep/val/a.jpg"),
        ("val/a.jpg", "deep/val/a.jpg"),
        ("C:\\data\\val\\a.jpg", "val/a.jpg"),
        ("/data/val/a.jpg", "a.jpg"),
        ("two\nlines \udcff.jpg", "two\nlines \udcff.jpg"),
    ],
)
def test_names_and_paths_that_are_the_same_image(tmp_path: Path, name: str, path: str) -> None:
    assert existing(tmp_path, content(annotation(1, SQUARE), names=(name,)), path).has(path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("train/a.jpg", "val/a.jpg"),
        ("a.jpg", "a.png"),
        ("a.jpg", "ba.jpg"),
        ("A.jpg", "a.jpg"),
        ("", "a.jpg"),
    ],
)
def test_names_and_paths_that_are_not(tmp_path: Path, name: str, path: str) -> None:
    assert not existing(tmp_path, content(annotation(1, SQUARE), names=(name,)), path).has(path)


def test_an_equal_name_goes_before_a_similar_one(tmp_path: Path) -> None:
    what = content(annotation(1, SQUARE), names=("a.jpg", "x/a.jpg"))
    labels = existing(tmp_path, what, "y/a.jpg", "x/a.jpg", "a.jpg")
    assert labels.labeled == {"a.jpg"}


def test_one_path_for_two_images_is_refused_and_both_are_named(tmp_path: Path) -> None:
    what = content(names=("train/a.jpg", "val/a.jpg"))
    with pytest.raises(
        DatasetError, match=r"labels\.json: 'a\.jpg' could be .*'train/a\.jpg' or 'val/a\.jpg'"
    ):
        existing(tmp_path, what, "a.jpg")


def test_two_paths_for_one_image_are_refused_and_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"the image 'a\.jpg' could be 'x/a\.jpg' or 'y/a\.jpg'"):
        existing(tmp_path, content(), "x/a.jpg", "y/a.jpg")


def test_masks_are_made_only_of_images_that_are_asked_for(tmp_path: Path) -> None:
    broken = {**annotation(2, "no mask at all"), "image_id": 2}
    labels = existing(
        tmp_path, content(annotation(1, SQUARE), broken, names=("a.jpg", "b.jpg")), "a.jpg", "b.jpg"
    )
    assert len(labels.start("a.jpg", SIZE, [CUP])["cup"]) == 1
    assert labels.has("b.jpg")
    with pytest.raises(DatasetError, match=r"labels\.json: annotation 2: segmentation: expected polygons"):
        labels.start("b.jpg", SIZE, [CUP])


def test_an_image_of_another_size(tmp_path: Path) -> None:
    labels = existing(tmp_path, content(annotation(1, SQUARE)))
    with pytest.raises(DatasetError, match=r"labels\.json: image 1: is 40x30 px there, .* 41x30 px$"):
        labels.start("a.jpg", (41, 30), [CUP])
    with pytest.raises(DatasetError, match="before its EXIF rotation"):
        labels.start("a.jpg", (30, 40), [CUP])


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 5, 5]], "at least three points"),
        ([[1, 1, 5, 5, float("nan"), 3]], "at least three points"),
        ([[1, 1, 5, 5, 1e9, 3]], "far outside the image"),
        ([], "expected polygons or run lengths"),
        (None, "expected polygons or run lengths"),
        ({"size": [30, 41], "counts": [1230]}, "the image is 40x30"),
        ({"size": [30, 40], "counts": [7]}, "run lengths sum to 7"),
        ({"size": [30, 40], "counts": "0"}, "do not cover"),
        ({"size": [30, 40], "counts": "\x00\xff"}, "codec|form"),
        ({"size": [30, 40]}, "expected 'counts'"),
    ],
)
def test_labels_that_are_no_masks(tmp_path: Path, segmentation: object, message: str) -> None:
    labels = existing(tmp_path, content(annotation(4, segmentation)))
    with pytest.raises(DatasetError, match=rf"labels\.json: annotation 4: .*({message})"):
        labels.start("a.jpg", SIZE, [CUP])


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data.pop("images"), "field 'images': expected list, got nothing"),
        (lambda data: data.pop("annotations"), "field 'annotations': expected list"),
        (lambda data: data.pop("categories"), "field 'categories': expected list"),
        (lambda data: data["images"][0].pop("id"), r"images\[0\]: field 'id'"),
        (lambda data: data["images"].append(data["images"][0]), r"images\[1\]: duplicate id '1'"),
        (lambda data: data["images"][0].pop("file_name"), "image 1: field 'file_name'"),
        (lambda data: data["images"].append({**data["images"][0], "id": 2}), "images 1 and 2 are both named"),
        (lambda data: data["annotations"].append(annotation(1, [])), r"annotations\[1\]: duplicate id '1'"),
        (lambda data: data["annotations"][0].update(image_id=9), "annotation 1: is of image 9"),
        (lambda data: data["annotations"][0].update(category_id=9), "annotation 1: is of category 9"),
        (lambda data: data["annotations"][0].update(category_id=[7]), r"annotation 1: is of category \[7\]"),
        (lambda data: data["annotations"][0].pop("category_id"), "annotation 1: is of category None"),
        (lambda data: data["categories"][0].pop("name"), "category 7: field 'name'"),
        (lambda data: data["categories"].append("cup"), r"categories\[2\]: field 'id'"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, edit: Edit, message: str) -> None:
    what = content(annotation(1, SQUARE))
    edit(what)
    with pytest.raises(DatasetError, match=rf"labels\.json: .*{message}"):
        existing(tmp_path, what)


@pytest.mark.parametrize("key", ["width", "height"])
def test_an_image_without_a_size_is_said_when_it_is_used(tmp_path: Path, key: str) -> None:
    what = content(annotation(1, SQUARE))
    del what["images"][0][key]
    labels = existing(tmp_path, what)
    assert labels.has("a.jpg")
    with pytest.raises(DatasetError, match=f"image 1: field '{key}': expected whole number"):
        labels.start("a.jpg", SIZE, [CUP])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b'{"images": [}', r"not valid JSON \(.*line 1 column 13"),
        (b'{\n"images": [],\n"annotations": [1 2]}', "line 3 column 19"),
        (b"", "not valid JSON"),
        (b"[]", "expected a JSON object, got a list"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_what_is_no_json(tmp_path: Path, source: bytes, message: str) -> None:
    (tmp_path / "labels.json").write_bytes(source)
    with pytest.raises(DatasetError, match=rf"labels\.json: .*{message}"):
        ExistingLabels.read(tmp_path / "labels.json", ["a.jpg"])


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # which must not be waited for
    for name, message in (("gone.json", "No such file"), (".", "a folder"), ("pipe", "no regular file")):
        with pytest.raises(DatasetError, match=message):
            ExistingLabels.read(tmp_path / name, ["a.jpg"])


def test_what_pycocotools_writes_is_read(tmp_path: Path) -> None:
    """A foreign writer's own bytes, not ours."""
    pixels = masks.decode(drawn_mask("donut"))
    rle = coco.encode(np.asfortranarray(pixels.astype(np.uint8)))
    rle["counts"] = rle["counts"].decode()
    found = existing(tmp_path, content(annotation(1, rle))).start("a.jpg", SIZE, [CUP])["cup"]
    assert np.array_equal(masks.decode(found[0].mask), pixels)
