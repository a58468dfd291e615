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
        ({"images": [{"id": n, "file_name": f"{n}/a.jpg"} for n in (7, 8)]}, "images are called 'a'"),
        ({"images": [{"id": n, "file_name": f"a.{n}"} for n in (7, 8)]}, "images are called 'a'"),
    ],
)
def test_what_cannot_be_matched_is_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    with pytest.raises(DatasetError, match=told):
        score_predictions("coco", tmp_path, exported(tmp_path, **changes))


def coco_in_folders(root: Path, *folders: str) -> None:
    """The tiny COCO data set with images that all are called a.jpg, in folders of their own."""
    layouts.coco(root)
    file = root / "instances.json"
    content = json.loads(file.read_text())
    for image, folder in zip(content["images"], folders, strict=True):
        image["file_name"] = f"{folder}/a.jpg"
    layouts.write(file, content)


def test_images_of_the_data_set_that_only_folders_tell_apart_are_not_guessed(tmp_path: Path) -> None:
    coco_in_folders(tmp_path, "0", "1")
    with pytest.raises(DatasetError, match="several images are called 'a'"):
        score_predictions("coco", tmp_path, exported(tmp_path))


@pytest.mark.parametrize("above", ["", "photos/", "data/photos/"])
def test_folders_tell_images_of_one_name_apart(above: str, tmp_path: Path) -> None:
    coco_in_folders(tmp_path, "left", "right")
    images = [
        {"id": number, "file_name": f"{above}{folder}/a.jpg", "width": WIDTH, "height": HEIGHT}
        for number, folder in ((7, "right"), (8, "left"))
    ]
    record = score_predictions("coco", tmp_path, exported(tmp_path, images=images))
    assert record["metrics"]["ap"]["value"] == 1.0
    swapped = [{**images[0], "id": 8}, {**images[1], "id": 7}]
    record = score_predictions("coco", tmp_path, exported(tmp_path, images=swapped))
    assert record["metrics"]["ap"]["value"] == 0.0


def test_labels_of_images_of_one_name_are_scored_from_their_export(tmp_path: Path) -> None:
    """Two images called 1.jpg, in folders; on one there is a thing to the left, on the other to the right."""
    found = {"a/1.jpg": LEFT, "b/1.jpg": RIGHT}
    names = ("thing",)
    files = {path: (class_labels("thing", Label(instance(mask, 0.9, 1))),) for path, mask in found.items()}
    run = make_run(tmp_path, files, names=names, sizes=dict.fromkeys(files, layouts.SIZE))
    export_as("coco", run, tmp_path / "out")
    truth = tmp_path / "truth"
    for path, mask in found.items():
        layouts.picture(truth / "images" / path)
        layouts.mask_image(truth / "masks" / f"{path[0]}.png", mask)
    lines = [{"image": path, "query": "thing", "mask": f"{path[0]}.png"} for path in found]
    (truth / "queries.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    record = score_predictions("folder", truth, tmp_path / "out/annotations/instances_default.json")
    assert record["metrics"]["giou"]["value"] == 1.0
    assert record["without_predictions"] == 0
