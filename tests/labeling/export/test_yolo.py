"""What trainers that read YOLO's polygons find."""

import json
from pathlib import Path

import numpy as np

from maskpilot import masks
from maskpilot.labeling.export.centres import painted
from tests.labeling.export.written import labeled, negative, picture, written
from tests.labeling.samples import SIZE, class_labels, drawn_mask, image_labels


def rows(path: Path) -> list[tuple[int, list[float]]]:
    found = [line.split() for line in path.read_text().splitlines()]
    return [(int(number), [float(value) for value in values]) for number, *values in found]


def corners(values: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """In pixels of the image."""
    return np.array(values).reshape(-1, 2) * SIZE


def test_every_instance_is_a_row_with_the_number_of_its_class(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", picture())
    assert [number for number, _ in rows(tmp_path / "labels/1.txt")] == [0, 0, 1]


def test_what_is_said_to_come_back_does_whichever_way_a_reader_rounds(
    tmp_path: Path,
) -> None:
    back = written(tmp_path, "yolo-seg", picture())
    for (_, values), mask in zip(rows(tmp_path / "labels/1.txt"), back, strict=True):
        for pixels in (np.floor(corners(values)), np.round(corners(values))):
            assert painted(pixels.astype(np.int64), SIZE) == mask


def test_donut_and_pixel_survive_and_two_parts_gain_the_line_between_them(tmp_path: Path) -> None:
    donut, pixel, parts = written(tmp_path, "yolo-seg", picture())
    assert donut == drawn_mask("donut")
    assert pixel == drawn_mask("pixel")
    assert parts is not None
    assert masks.area(parts) == masks.area(drawn_mask("parts")) + 14


def test_a_pixel_has_a_polygon_with_an_area(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", picture())
    points = corners(rows(tmp_path / "labels/1.txt")[1][1])
    assert len(points) >= 3
    assert (np.ptp(points, axis=0) > 0.3).all()


def test_a_picture_without_labels_has_an_empty_file(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", negative(2))
    assert (tmp_path / "labels/2.txt").read_text() == ""


def test_labels_mirror_the_folders_of_the_images(tmp_path: Path) -> None:
    splits = ("train", "val")
    pictures = [
        picture(1, "a/1.jpg", split="train", images="images/train"),
        picture(2, "b.c.png", split="val", images="images/val"),
    ]
    written(tmp_path, "yolo-seg", *pictures, splits=splits)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt"))
    assert found == ["labels/train/a/1.txt", "labels/val/b.c.txt"]
    assert "train: images/train\nval: images/val\n" in (tmp_path / "data.yaml").read_text()


def test_a_folder_called_images_among_the_images_gets_labels_where_ultralytics_looks(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", picture(1, "cats/images/1.jpg"))
    assert (tmp_path / "images/cats/labels/1.txt").exists()


def test_without_a_split_one_folder_serves_for_both_and_the_file_says_so(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", picture())
    data = (tmp_path / "data.yaml").read_text()
    assert "\ntrain: images\nval: images\n" in data
    assert data.startswith("# Not split")


def test_a_split_without_images_has_its_folder_all_the_same(tmp_path: Path) -> None:
    written(tmp_path, "yolo-seg", splits=("train", "val"))
    assert (tmp_path / "images/val").is_dir()


def test_names_of_classes_stay_data(tmp_path: Path) -> None:
    names = ['a: b # "c"', "- x\ny", "null", "\u2028 \x7f 🐈"]
    written(tmp_path, "yolo-seg", classes=names)
    lines = (tmp_path / "data.yaml").read_text().splitlines()
    found = [line.split(": ", 1) for line in lines[lines.index("names:") + 1 :]]
    assert [key for key, _ in found] == ["  0", "  1", "  2", "  3"]
    assert [json.loads(value) for _, value in found[:3]] == names[:3]
    assert found[3][1] == '"\\U00002028 \\U0000007f 🐈"'


def test_a_line_of_pixels_is_a_row_too(tmp_path: Path) -> None:
    array = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    array[29, 30:40] = True  # in the corner of the image, where shares must stay below one
    line = masks.encode(array)
    labels = image_labels(1, class_labels("ring", labeled(line)))
    back = written(tmp_path, "yolo-seg", picture(labels=labels))
    assert back == [line]
    values = rows(tmp_path / "labels/1.txt")[0][1]
    assert max(values) < 1
    assert painted(np.floor(corners(values)).astype(np.int64), SIZE) == line
