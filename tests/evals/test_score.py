"""Predictions of any system, from the file to the number."""

import json
from pathlib import Path
from typing import Any

import pytest

from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.commands import check_dataset, list_datasets, score_predictions
from maskpilot.evals.datasets import DATASETS, open_dataset
from maskpilot.evals.predictions import read_predictions
from tests.evals.datasets import layouts
from tests.evals.datasets.layouts import LEFT, RIGHT
from tests.evals.drawn import as_json, rectangle


def value(record: dict[str, Any], metric: str) -> float:
    found = record["metrics"][metric]["value"]
    assert isinstance(found, float)
    return found


def results(path: Path, *entries: dict[str, Any]) -> Path:
    return layouts.write(path / "results.json", list(entries))


def test_coco_results(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    right = {"image_id": 1, "category_id": 1, "segmentation": as_json(LEFT), "score": 0.9}
    wrong = {"image_id": 2, "category_id": 3, "segmentation": as_json(RIGHT), "score": 0.8}
    record = score_predictions("coco", tmp_path, results(tmp_path, right, wrong))
    assert record["samples"] == 6
    assert record["without_predictions"] == 4
    assert value(record, "ap") == 1.0  # cats alone have a true instance
    assert value(record, "giou") == pytest.approx(5 / 6)
    assert value(record, "ciou") == pytest.approx(50 / (50 + 36))


def test_scores_below_the_threshold_are_no_answer(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    faint = {"image_id": 1, "category_id": 1, "segmentation": as_json(LEFT), "score": 0.3}
    file = results(tmp_path, faint)
    record = score_predictions("coco", tmp_path, file)
    assert value(record, "giou") == pytest.approx(5 / 6)
    assert record["below_threshold"] == 1
    assert value(score_predictions("coco", tmp_path, file, threshold=0.2), "giou") == 1.0
    assert value(score_predictions("coco", tmp_path, file), "ap") == 1.0
    with pytest.raises(InvalidInput, match=r"--threshold: expected a number in 0\.\.1, got 2"):
        score_predictions("coco", tmp_path, file, threshold=2)


def test_saco_predictions(tmp_path: Path) -> None:
    layouts.gold(tmp_path)
    entry = {"category_id": 1, "bbox": [0, 0, 0.25, 1], "score": 0.9}
    file = results(
        tmp_path,
        {**entry, "image_id": 100, "segmentation": as_json(LEFT)},
        {**entry, "image_id": 102, "segmentation": as_json(LEFT)},
    )
    record = score_predictions("saco-gold", tmp_path, file)
    assert value(record, "cgf1") == pytest.approx(1, abs=2e-4)  # annotator b saw LEFT alone
    assert record["left_out"] == {"predictions for what is not asked": 1}
    assert record["without_predictions"] == 1


def test_short_and_long_queries_are_scored_apart(tmp_path: Path) -> None:
    layouts.reasonseg(tmp_path)
    record = score_predictions("reasonseg", tmp_path, results(tmp_path))
    apart = record["metrics_by_tag"]["length"]
    assert value(record, "giou") == 0.5
    assert (apart["long"]["samples"], value(apart["long"], "giou"), value(apart["long"], "ciou")) == (1, 0, 0)
    assert value(apart["short"], "giou") == 1.0  # nothing is there, and nothing was found
    assert apart["short"]["metrics"]["ciou"] is None


def test_results_for_sentences_name_the_sample(tmp_path: Path) -> None:
    layouts.refcoco(tmp_path)
    file = results(tmp_path, {"sample": "5-50", "segmentation": as_json(LEFT), "score": 1})
    record = score_predictions("refcoco", tmp_path, file)
    assert value(record, "oiou") == 0.5
    assert value(record, "p_at_90") == 0.5
    assert record["without_predictions"] == 1


def test_a_folder_of_mask_images(tmp_path: Path) -> None:
    layouts.folder(tmp_path / "data")
    layouts.mask_image(tmp_path / "masks" / "a-1.png", LEFT, RIGHT)
    layouts.mask_image(tmp_path / "masks" / "a-3.png", LEFT)
    record = score_predictions("folder", tmp_path / "data", tmp_path / "masks")
    assert value(record, "giou") == 1.0
    assert record["without_predictions"] == 1  # of elephants: nothing found, and rightly so


def test_boundaries_when_asked_for(tmp_path: Path) -> None:
    layouts.folder(tmp_path / "data")
    layouts.mask_image(tmp_path / "masks" / "a-1.png", LEFT, RIGHT)
    record = score_predictions("folder", tmp_path / "data", tmp_path / "masks", boundary=True)
    assert 0.6 < value(record, "boundary_iou") < 0.7


def test_intervals_come_with_the_means(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    record = score_predictions("coco", tmp_path, results(tmp_path))
    assert record["metrics"]["giou"]["clusters"] == 2
    assert record["metrics"]["giou"]["low"] is not None
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": float("nan")}, "prediction 0: score is nan; expected a finite number"),
        ({"score": 10**400}, "prediction 0: score is inf; expected a finite number"),
        ({"score": None}, "prediction 0: field 'score': expected whole number or number, got nothing"),
        ({"score": True}, "prediction 0: field 'score'"),
        ({"image_id": 77}, r"prediction 0: no image 77 or no category 1 in instances\.json"),
        ({"image_id": [1]}, r"prediction 0: no image \[1\]"),
        ({"category_id": 9}, "prediction 0: no image 1 or no category 9"),
        ({"segmentation": as_json(rectangle(0, 0, 3, 3))}, r"prediction 0 \(1-1\): .*the image is 20x10"),
        ({"segmentation": None}, r"prediction 0 \(1-1\): segmentation: expected polygons or run lengths"),
    ],
)
def test_results_that_cannot_be_used(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    entry = {"image_id": 1, "category_id": 1, "segmentation": as_json(LEFT), "score": 0.9}
    file = results(tmp_path, {**entry, **changes})
    with pytest.raises(DatasetError, match=message) as caught:
        score_predictions("coco", tmp_path, file)
    assert str(file) in str(caught.value)


def test_boxes_are_no_masks(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    file = results(tmp_path, {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 10], "score": 0.9})
    with pytest.raises(DatasetError, match="no 'segmentation'; a box is not scored as a mask"):
        score_predictions("coco", tmp_path, file)


def test_an_id_twice(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": as_json(LEFT), "score": 0.9}
    with pytest.raises(DatasetError, match="prediction 1: duplicate id '1'"):
        score_predictions("coco", tmp_path, results(tmp_path, entry, entry))


@pytest.mark.parametrize("content", ["{", "{}", "[3]", "null"])
def test_results_that_are_no_list(content: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DatasetError, match=r"results\.json: "):
        score_predictions("coco", tmp_path, tmp_path / "results.json")


def test_masks_without_a_pixel_are_counted_and_gone(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    nothing = {"size": [10, 20], "counts": [200]}
    file = results(tmp_path, {"image_id": 1, "category_id": 1, "segmentation": nothing, "score": 0.9})
    assert score_predictions("coco", tmp_path, file)["left_out"] == {"masks without a pixel": 1}


def test_mask_images_that_cannot_be_used(tmp_path: Path) -> None:
    layouts.folder(tmp_path / "data")
    dataset = open_dataset("folder", tmp_path / "data")
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match=r"no PNG files in it; expected SAMPLE\.png"):
        read_predictions(tmp_path / "masks", dataset)
    with pytest.raises(DatasetError, match="no such file; expected COCO results"):
        read_predictions(tmp_path / "nowhere", dataset)
    layouts.mask_image(tmp_path / "masks" / "zebra.png", LEFT)
    with pytest.raises(DatasetError, match=r"zebra\.png: no sample 'zebra' in folder"):
        read_predictions(tmp_path / "masks", dataset)
    (tmp_path / "masks" / "zebra.png").unlink()
    layouts.mask_image(tmp_path / "masks" / "a-1.png", rectangle(0, 0, 3, 3))
    with pytest.raises(DatasetError, match=r"a-1\.png: is 10x10 px, the image is 20x10"):
        score_predictions("folder", tmp_path / "data", tmp_path / "masks")


def test_the_list_names_licence_and_source() -> None:
    listed = list_datasets()
    assert [about["name"] for about in listed] == list(DATASETS)
    assert all(about["licence"] and about["citation"] and about["home"] for about in listed)


def test_a_check_finds_what_is_missing(tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    good = check_dataset("coco", tmp_path)
    assert (good["samples"], good["images"], good["faults"]) == (4, 2, [])
    assert good["first"][0] == {"sample": "1-1", "image_id": "1", "query": "cat"}
    assert good["tags"]["present"] == {"yes": 2, "no": 2}
    (tmp_path / "images" / "b.jpg").unlink()
    faults = check_dataset("coco", tmp_path, everything=True)["faults"]
    assert len(faults) == 1
    assert "b.jpg: no such image" in faults[0]
