"""Exports as other people's libraries read them: exactly what we say that they get back."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskpilot import masks
from maskpilot.labeling.export.formats import find_format
from maskpilot.labeling.export.writer import Picture
from maskpilot.types import Mask
from tests.labeling.export.runs import NOTHING, export_as, make_run
from tests.labeling.export.written import labeled, negative, picture, written
from tests.labeling.samples import SIZE, class_labels, drawn_mask, image_labels

pytestmark = pytest.mark.foreign_formats

READERS = Path(__file__).with_name("readers.py")
PYTHON = Path(os.environ.get("FORMATS_PYTHON", ".venv-formats/bin/python"))
ODD = 'no: "one" <&> #1 🐈'
CLASSES = ("ring", "pair", ODD)

WHOLE, SPLIT = ("",), ("train", "val")

Row = tuple[str, str, Mask]


@dataclass(frozen=True)
class Read:
    """What a library made of an export."""

    images: tuple[str, ...]
    instances: tuple[Row, ...]


def read(reader: str, folder: Path) -> Read:
    assert PYTHON.exists(), "the readers are not installed; run make test-formats"
    command = [str(PYTHON), str(READERS), reader, str(folder)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    instances = tuple((image, name, _mask(rows)) for image, name, rows in found["instances"])
    return Read(tuple(found["images"]), instances)


def _mask(rows: Sequence[str]) -> Mask:
    return masks.encode(np.array([[pixel == "1" for pixel in row] for row in rows], np.bool_))


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Some readers give the instances of an image backwards."""
    return sorted(rows, key=lambda row: (row[0], row[1], row[2].counts))


def noise() -> list[Mask]:
    """Masks of many parts and holes, some of them at the image's borders."""
    random = np.random.default_rng(5)
    shape = SIZE[1], SIZE[0]
    return [masks.encode(random.random(shape) < share) for share in (0.01, 0.1, 0.5, 0.9, 0.99)]


def pictures(name: str, splits: tuple[str, ...]) -> list[Picture]:
    """The samples, nothing, and noise; the last in the last split."""
    images = find_format(name).images
    first, last = splits[0], splits[-1]
    ragged = image_labels(3, *(class_labels(ODD, labeled(mask)) for mask in noise()))
    return [
        picture(1, split=first, images=images(first)),
        negative(2, split=first, images=images(first)),
        picture(3, split=last, images=images(last), labels=ragged),
    ]


def exported(folder: Path, name: str, splits: tuple[str, ...] = WHOLE) -> list[Row]:
    """An export with its images; what we say comes back of it."""
    shown = pictures(name, splits)
    back = iter(written(folder, name, *shown, classes=CLASSES, splits=splits))
    for one in shown:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE).save(path)
    said = [(Path(one.file_name).stem, each.name, next(back)) for one in shown for each, _ in one.labels]
    return [(image, name, mask) for image, name, mask in said if mask is not None]


@pytest.mark.parametrize(
    ("name", "reader", "splits"),
    [
        ("coco", "pycocotools", WHOLE),
        ("coco", "datumaro_coco", WHOLE),
        ("coco", "datumaro_coco", SPLIT),
        ("coco-polygon", "pycocotools", WHOLE),
        ("yolo-seg", "supervision", WHOLE),
        ("yolo-seg", "supervision", SPLIT),
        ("labelme", "labelme", SPLIT),
        ("masks", "opencv", WHOLE),
        ("label-studio", "label_studio", WHOLE),
        ("cvat", "datumaro_cvat", WHOLE),
        ("cvat", "datumaro_cvat", SPLIT),
        ("parquet", "datasets", WHOLE),
    ],
)
def test_a_reader_gets_what_we_say(tmp_path: Path, name: str, reader: str, splits: tuple[str, ...]) -> None:
    said = exported(tmp_path / "export", name, splits)
    found = read(reader, tmp_path / "export")
    assert found.images == ("1", "2", "3")
    assert in_order(found.instances) == in_order(said)


@pytest.mark.parametrize("name", ["coco", "labelme", "label-studio", "cvat", "parquet"])
def test_a_lossless_format_says_that_every_mask_comes_back(tmp_path: Path, name: str) -> None:
    said = exported(tmp_path / "export", name)
    samples = [drawn_mask(shape) for shape in ("donut", "pixel", "parts")]
    assert [mask for _, _, mask in said] == [*samples, *noise()]


@pytest.mark.parametrize(
    ("name", "reader", "val"),
    [
        ("coco", "datumaro_coco", 0.0),
        ("coco", "datumaro_coco", 0.5),
        ("coco-polygon", "pycocotools", 0.0),
        ("yolo-seg", "supervision", 0.5),
        ("labelme", "labelme", 0.0),
        ("label-studio", "label_studio", 0.0),
        ("cvat", "datumaro_cvat", 0.5),
    ],
)
def test_the_account_of_an_export_has_the_figures_that_a_reader_finds(
    tmp_path: Path, name: str, reader: str, val: float
) -> None:
    ragged = class_labels(ODD, *(labeled(mask, number) for number, mask in enumerate(noise(), start=1)))
    files = {"a.png": image_labels().classes[:2], "b.png": NOTHING[:2], "c.png": (ragged,)}
    run = make_run(tmp_path, files, names=CLASSES)
    account = export_as(name, run, tmp_path / "out", val=val)
    assert account["pictures"] == 3
    assert not val or all(account["splits"].values())  # or the split is not tested

    found = read(reader, tmp_path / "out")
    assert found.images == ("a", "b", "c")
    labels = [
        (Path(path).stem, one.name, each.instance.mask)
        for path, classes in files.items()
        for one in classes
        for each in one.labels
    ]
    if not account["loss"]["changed"]:
        assert in_order(found.instances) == in_order(labels)
        return
    pairs = zip(labels, sorted(found.instances, key=lambda row: row[0]), strict=True)
    ious = [float(masks.iou_matrix([mask], [back])[0, 0]) for (_, _, mask), (_, _, back) in pairs]
    assert account["loss"]["lost"] == 0
    assert account["loss"]["lowest_iou"] == min(ious)
    assert account["loss"]["mean_iou"] == pytest.approx(sum(ious) / len(ious))
