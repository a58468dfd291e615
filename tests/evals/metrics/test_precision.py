"""COCO's AP beside pycocotools, from files to the number; and LVIS's rule by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.predictions import read_predictions
from maskpilot.evals.score import score
from maskpilot.evals.types import Truth
from tests.evals.drawn import as_json, blob, instance, instances, rectangle, shifted

SIZE = (10, 10)
A, B = rectangle(0, 0, 10, 4), rectangle(0, 6, 10, 10)
MOST_OF_A = rectangle(0, 0, 10, 3)  # IoU .75 with A


@pytest.mark.parametrize("seed", range(4))
def test_beside_pycocotools(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Several classes, crowds, more detections than count, equal scores, images in no order."""
    truth, results = _write_coco(tmp_path, np.random.default_rng(seed))
    coco = COCO(str(truth))
    official = COCOeval(coco, coco.loadRes(str(results)), "segm")
    official.evaluate()
    official.accumulate()
    official.summarize()
    capsys.readouterr()

    dataset = open_dataset("coco", tmp_path, negatives=None)
    scored = score(dataset, read_predictions(results, dataset))
    ours = METRICS["ap"].aggregate([one.values for one in scored.scores])
    assert ours == pytest.approx(official.stats[0], abs=1e-12)


def test_one_of_two_found() -> None:
    """Recall stops at one half: 51 of 101 points of recall have precision 1."""
    values = measure(instances(A), Truth(((A, B),)), SIZE)
    assert METRICS["ap"].aggregate([values]) == pytest.approx(51 / 101)


def test_a_wrong_mask_that_scores_higher_halves_precision() -> None:
    wrong = instance(rectangle(0, 4, 10, 6), 0.95)
    values = measure([instance(A, 0.9), wrong], Truth(((A,),)), SIZE)
    assert METRICS["ap"].aggregate([values]) == pytest.approx(0.5)


def test_levels_count_alike() -> None:
    values = measure(instances(MOST_OF_A), Truth(((A,),)), SIZE)
    assert METRICS["ap"].aggregate([values]) == pytest.approx(0.6)


def test_classes_count_alike_whatever_their_size() -> None:
    right = measure(instances(A, B), Truth(((A, B),)), SIZE, category="cat")
    wrong = measure(instances(B), Truth(((A,),)), SIZE, category="dog")
    absent = measure(instances(B), Truth(((),)), SIZE, category="unicorn")
    assert METRICS["ap"].aggregate([right, wrong, absent]) == pytest.approx(0.5)


def test_only_known_mistakes_count_where_a_class_is_not_exhaustive() -> None:
    first = instance(rectangle(0, 4, 10, 6), 0.95)
    answer = [first, instance(A, 0.9)]
    open_world = measure(answer, Truth(((A,),), exhaustive=False), SIZE)
    assert METRICS["ap"].aggregate([open_world]) == pytest.approx(1.0)


def test_what_lies_in_a_crowd_counts_for_nothing() -> None:
    answer = [instance(B, 0.95), instance(A, 0.9)]
    values = measure(answer, Truth(((A,),), ignore=B), SIZE)
    assert METRICS["ap"].aggregate([values]) == pytest.approx(1.0)


def _write_coco(folder: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    size = (40, 30)
    images = [
        {"id": 7 + number, "file_name": f"{number}.jpg", "width": 40, "height": 30}
        for number in rng.permutation(8).tolist()
    ]
    categories = [{"id": number, "name": f"class {number}"} for number in (2, 3, 5)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in images:
        for category in categories:
            pair = {"image_id": image["id"], "category_id": category["id"]}
            for number in range(rng.integers(0, 4)):
                shape = blob(rng, size)
                crowd = number == 2
                annotations.append(
                    pair
                    | {
                        "id": len(annotations) + 1,
                        "segmentation": as_json(shape),
                        "area": 1.0,
                        "iscrowd": int(crowd),
                    }
                )
                if rng.random() < 0.8:
                    moved = as_json(shifted(shape, int(rng.integers(0, 5))))
                    results.append(pair | {"segmentation": moved, "score": round(float(rng.random()), 1)})
            for _ in range(110 if rng.random() < 0.05 else rng.integers(0, 3)):
                extra = as_json(blob(rng, size))
                results.append(pair | {"segmentation": extra, "score": round(float(rng.random()), 1)})
    content = {"images": images, "annotations": annotations, "categories": categories, "info": {}}
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "instances.json", folder / "results.json"
