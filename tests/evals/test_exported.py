"""An exported COCO file is scored as it is, and as the same predictions in another form are."""

import json
from pathlib import Path
from typing import Any

import pytest

from maskpilot.errors import DatasetError
from maskpilot.evals.commands import score_predictions
from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.types import Sample
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Instance, Mask
from tests.evals.datasets import layouts
from tests.evals.datasets.layouts import HEIGHT, LEFT, RIGHT, WIDTH
from tests.evals.drawn import as_json, instance
from tests.labeling.export.runs import export_as, make_run
from tests.labeling.samples import class_labels


def found_on(sample: Sample, classes: list[str], instances: list[Instance]) -> tuple[ClassLabels, ...]:
    """Labels of a sample's image: what is found for its query, nothing of the other classes."""
    labels = tuple(Label(found) for found in instances)
    return tuple(class_labels(name, *(labels if name == sample.query else ())) for name in classes)


def test_scenes_score_as_with_plain_results(tmp_path: Path) -> None:
    scenes = open_dataset("scenes", None, count=6)
    classes = list(dict.fromkeys(sample.query for sample in scenes))
    files, content, plain = {}, {}, []
    for number, sample in enumerate(scenes):
        name = f"{sample.image_id}.png"
        content[name] = scenes.image(sample).source
        true = scenes.truth(sample).annotators[0]
        kept = [instance(mask, 0.9 - 0.1 * one, one + 1) for one, mask in enumerate(true[number % 2 :])]
        files[name] = found_on(sample, classes, kept)
        plain += [
            {"sample": sample.id, "segmentation": as_json(one.mask), "score": one.score} for one in kept
        ]
    sizes = {f"{sample.image_id}.png": (sample.width, sample.height) for sample in scenes}
    run = make_run(tmp_path, files, names=tuple(classes), content=content, sizes=sizes)
    export_as("coco", run, tmp_path / "out")
    exported = score_predictions(
        "scenes", None, tmp_path / "out" / "annotations/instances_default.json", count=6
    )
    results = score_predictions("scenes", None, layouts.write(tmp_path / "results.json", plain), count=6)
    assert exported["metrics"] == results["metrics"]
    assert exported["metrics"]["giou"]["value"] < 1.0
    assert exported["without_predictions"] == 0


def exported(tmp_path: Path, **changes: Any) -> Path:
    """Predictions for the tiny COCO data set under numbers of their own."""
    images = [
        {"id": 7, "file_name": "deep/b.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 8, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT},
    ]
    one = {"id": 1, "image_id": 8, "category_id": 5, "segmentation": as_json(LEFT), "score": 0.9}
    other = {"id": 2, "image_id": 7, "category_id": 6, "segmentation": as_json(RIGHT), "score": 0.8}
    content = {
        "images": images,
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "unicorn"}],
        "annotations": [one, other],
    }
    return layouts.write(tmp_path / "exported.json", {**content, **changes})


def test_images_and_classes_are_found_by_name(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    record = score_predictions("coco", tmp_path, exported(tmp_path))
    assert record["metrics"]["ap"]["value"] == 1.0
    assert record["left_out"] == {"predictions for what is not asked": 1}
    assert record["without_predictions"] == 4  # no class of the file is a dog or a traffic light


@pytest.mark.parametrize(
    ("name", "file", "query", "masks"),
    [
        ("folder", "a.jpg", "things", (LEFT, RIGHT)),
        ("refcoco", "COCO_train2014_000000000001.jpg", "the left one", (LEFT,)),
        ("saco-gold", "1/x.jpg", "red cup", (LEFT, RIGHT)),
        ("reasonseg", "one.jpg", "What does one sleep on?", (LEFT,)),
    ],
)
def test_images_are_called_after_their_files(
    name: str, file: str, query: str, masks: tuple[Mask, ...], tmp_path: Path
) -> None:
    root = layouts.gold(tmp_path) if name == "saco-gold" else getattr(layouts, name)(tmp_path)
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "segmentation": as_json(mask), "score": 0.9}
        for number, mask in enumerate(masks, start=1)
    ]
    predictions = exported(
        tmp_path,
        images=[{"id": 1, "file_name": file, "width": WIDTH, "height": HEIGHT}],
        categories=[{"id": 1, "name": query}],
        annotations=annotations,
    )
    record = score_predictions(name, root, predictions)
    assert record["samples"] - record["without_predictions"] == 1
    assert record["left_out"] == {}


def test_a_query_names_a_class_that_is_called_otherwise(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    one = {"id": 1, "image_id": 8, "category_id": 5, "segmentation": as_json(LEFT), "score": 0.9}
    file = exported(
        tmp_path,
        categories=[{"id": 5, "name": "Felis catus"}],
        annotations=[{**one, "attributes": {"query": "cat"}}],
    )
    assert score_predictions("coco", tmp_path, file)["metrics"]["ap"]["value"] == 1.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"annotations": [{"id": 1, "image_id": 8, "category_id": 5}]}, "score"),
        ({"images": [{"id": 8, "file_name": "zebra.jpg"}], "annotations": []}, "by name"),
        ({"images": [{"id": n, "file_name": f"{n}/a.jpg"} for n in (7, 8)]}, "second image called 'a'"),
    ],
)
def test_what_cannot_be_matched_is_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    with pytest.raises(DatasetError, match=told):
        score_predictions("coco", tmp_path, exported(tmp_path, **changes))


def test_images_of_the_data_set_that_share_a_name_are_refused(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    file = tmp_path / "instances.json"
    content = json.loads(file.read_text())
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"{number}/a.jpg"
    layouts.write(file, content)
    with pytest.raises(DatasetError, match="several images called 'a'"):
        score_predictions("coco", tmp_path, exported(tmp_path))
