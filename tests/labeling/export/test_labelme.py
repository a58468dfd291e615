"""What labelme finds beside an image."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskpilot import masks
from maskpilot.types import Mask
from tests.labeling.export.written import negative, picture, written
from tests.labeling.samples import SIZE, drawn_mask


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def mask_of(shape: dict[str, Any]) -> Mask:
    """As labelme does it: the patch lies between its two points, both of them included."""
    array = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    (x0, y0), (x1, y1) = shape["points"]
    patch = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
    array[y0 : y1 + 1, x0 : x1 + 1] = patch.astype(np.bool_)
    return masks.encode(array)


def test_every_mask_comes_back(tmp_path: Path) -> None:
    back = written(tmp_path, "labelme", picture(images=""))
    shapes = read(tmp_path / "1.json")["shapes"]
    assert [mask_of(shape) for shape in shapes] == back
    assert back == [drawn_mask("donut"), drawn_mask("pixel"), drawn_mask("parts")]
    assert {shape["shape_type"] for shape in shapes} == {"mask"}


def test_a_shape_says_its_class_and_what_is_doubtful_about_it(tmp_path: Path) -> None:
    written(tmp_path, "labelme", picture(images=""))
    shapes = read(tmp_path / "1.json")["shapes"]
    assert [shape["label"] for shape in shapes] == ["ring", "ring", "pair"]
    assert [shape["flags"]["needs_review"] for shape in shapes] == [False, True, False]
    assert [shape["description"] for shape in shapes] == ["", "near_threshold", ""]
    assert [shape["group_id"] for shape in shapes] == [1, 2, 3]  # all different: each is an object of its own


def test_the_file_names_the_image_beside_it(tmp_path: Path) -> None:
    written(
        tmp_path, "labelme", picture(1, "a/b.jpg", split="train", images="train"), splits=("train", "val")
    )
    found = read(tmp_path / "train/a/b.json")
    assert found["imagePath"] == "b.jpg"
    assert found["imageData"] is None
    assert (found["imageWidth"], found["imageHeight"]) == SIZE


def test_an_image_elsewhere_is_named_by_its_whole_path(tmp_path: Path) -> None:
    written(tmp_path, "labelme", picture(1, "a/b.jpg", images="/photos"), images="/photos")
    assert read(tmp_path / "a/b.json")["imagePath"] == "/photos/a/b.jpg"


def test_a_picture_without_labels_has_a_file_without_shapes(tmp_path: Path) -> None:
    written(tmp_path, "labelme", negative(2))
    found = read(tmp_path / "2.json")
    assert found["shapes"] == []
    assert found["flags"] == {"needs_review": False}


def test_a_doubtful_absence_is_a_flag_of_the_picture(tmp_path: Path) -> None:
    written(tmp_path, "labelme", picture())  # "ghost" was not found, and nobody confirmed it
    assert read(tmp_path / "1.json")["flags"] == {"needs_review": True}
