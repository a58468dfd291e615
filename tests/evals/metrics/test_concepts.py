"""cgF1 by hand, and beside the official evaluator that comes with sam3."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.metrics.assignment import best_pairs
from maskpilot.evals.metrics.concepts import best_counts, count
from maskpilot.evals.predictions import read_predictions
from maskpilot.evals.score import score
from maskpilot.evals.types import Truth
from tests.evals.drawn import as_json, blob, instances, rectangle, shifted

SIZE = (10, 10)
A, B = rectangle(0, 0, 10, 4), rectangle(0, 6, 10, 10)  # 40 px each
MOST_OF_A = rectangle(0, 0, 10, 3)  # IoU .75 with A
ELSEWHERE = rectangle(0, 4, 1, 5)


def official() -> ModuleType:
    """sam3's evaluator by its file: importing the package would load torch and the model."""
    pytest.importorskip("scipy")
    package = importlib.util.find_spec("sam3")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "eval" / "cgf1_eval.py"
    spec = importlib.util.spec_from_file_location("cgf1_eval", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hits_by_level() -> None:
    counts = count([MOST_OF_A, ELSEWHERE], [A, B])
    assert (counts.predicted, counts.truth) == (2, 2)
    assert counts.hits == (1, 1, 1, 1, 1, 1, 0, 0, 0, 0)  # .75 reaches the levels .50 to .75


def test_pmf1_by_hand() -> None:
    """Two predicted, two true, one hit at six of ten levels: F1 is .5 at these, 0 at the others."""
    values = measure(instances(MOST_OF_A, ELSEWHERE), Truth(((A, B),)), SIZE)
    assert METRICS["pmf1"].aggregate([values]) == pytest.approx(0.6 * 0.5, abs=1e-4)


def test_il_mcc_by_hand() -> None:
    """TP 2, FP 1, FN 1, TN 2: (4 - 1) / sqrt(3 * 3 * 3 * 3)."""
    scores = [
        *[measure(instances(A), Truth(((A,),)), SIZE)] * 2,
        measure(instances(A), Truth(((),)), SIZE),
        measure([], Truth(((A,),)), SIZE),
        *[measure([], Truth(((),)), SIZE)] * 2,
    ]
    assert METRICS["il_mcc"].aggregate(scores) == pytest.approx(3 / 9, abs=1e-6)
    product = METRICS["pmf1"].aggregate(scores), METRICS["il_mcc"].aggregate(scores)
    assert None not in product
    assert METRICS["cgf1"].aggregate(scores) == pytest.approx(np.prod(np.array(product, float)))


def test_masks_found_where_nothing_is_do_not_touch_pmf1() -> None:
    right = measure(instances(A), Truth(((A,),)), SIZE)
    wrong = measure(instances(A, B), Truth(((),)), SIZE)
    assert METRICS["pmf1"].aggregate([right, wrong]) == METRICS["pmf1"].aggregate([right])


def test_presence_is_undefined_without_both_kinds_of_pairs() -> None:
    positive = measure(instances(A), Truth(((A,),)), SIZE)
    assert METRICS["il_mcc"].aggregate([positive]) is None
    assert METRICS["cgf1"].aggregate([positive]) is None
    assert METRICS["pmf1"].aggregate([positive]) == pytest.approx(1, abs=2e-4)


def test_the_annotator_who_agrees_best() -> None:
    assert best_counts([A], [[A, B], [A]]).truth == 1
    assert best_counts([], [[A], []]) == count([], [])
    assert best_counts([A], [[], [B]]).truth == 0  # both 0: the first


def test_ignored_pixels_are_taken_from_every_mask() -> None:
    truth = Truth(((A, B),), ignore=B)
    values = measure(instances(A, B), truth, SIZE)
    assert (values["predicted_count"], values["truth_count"]) == (1, 1)


def test_a_class_that_has_crowds_alone_is_absent() -> None:
    inside = measure(instances(B), Truth(((),), ignore=B), SIZE)
    assert (inside["predicted_count"], inside["truth_count"], inside["iou"]) == (0, 0, 1.0)


def test_nobody_finds_a_true_mask_without_a_pixel() -> None:
    """One of one predicted, one of two true: F1 is 2/3."""
    values = measure(instances(A), Truth(((A, rectangle(0, 0, 0, 0)),)), SIZE)
    assert METRICS["pmf1"].aggregate([values]) == pytest.approx(2 / 3, abs=1e-3)
    assert METRICS["ap"].aggregate([values]) == pytest.approx(51 / 101)


def test_a_union_is_not_counted() -> None:
    values = measure(instances(A), Truth(((A,),), is_instances=False), SIZE)
    assert "hits" not in values
    assert METRICS["cgf1"].aggregate([values]) is None
    assert METRICS["ap"].aggregate([values]) is None


def test_pairs_are_the_best_on_the_whole() -> None:
    gains = np.array([[0.9, 0.8], [0.7, 0.0]])
    rows, columns = best_pairs(gains)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert [axis.tolist() for axis in best_pairs(np.array([[0.1, 0.5, 0.2]]))] == [[0], [1]]
    with pytest.raises(ValueError, match="finite"):
        best_pairs(np.array([[np.nan]]))


def test_pairs_beside_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    for _ in range(200):
        gains = rng.random(rng.integers(1, 9, 2)) * (rng.random() < 0.8)
        gains = np.where(rng.random(gains.shape) < 0.5, gains, 0.0)
        rows, columns = best_pairs(gains)
        assert len(set(columns.tolist())) == len(rows) == min(gains.shape)
        expected = optimize.linear_sum_assignment(-gains)
        assert gains[rows, columns].sum() == pytest.approx(gains[expected].sum())


@pytest.mark.parametrize("seed", range(4))
def test_beside_the_official_evaluator(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Three annotators, negatives, pairs that are not exhaustive, crowds, low scores: the same numbers."""
    files, predictions = _write_gold(tmp_path, np.random.default_rng(seed))
    evaluator = official().CGF1Evaluator([str(file) for file in files])
    expected = evaluator.evaluate(str(predictions))
    capsys.readouterr()

    dataset = open_dataset("saco-gold", tmp_path)
    scored = score(dataset, read_predictions(predictions, dataset))
    values = [one.values for one in scored.scores]
    for ours, theirs in (("cgf1", "cgF1"), ("pmf1", "positive_micro_F1"), ("il_mcc", "IL_MCC")):
        assert METRICS[ours].aggregate(values) == pytest.approx(
            expected[f"cgF1_eval_segm_{theirs}"], abs=1e-12
        )
    assert scored.notes["predictions for what is not asked"] > 0


def _write_gold(folder: Path, rng: np.random.Generator) -> tuple[list[Path], Path]:
    size, pairs = (40, 30), range(12)
    shapes = {pair: [blob(rng, size) for _ in range(rng.integers(0, 4))] for pair in pairs}
    not_exhaustive = {1: 3, 2: 5}  # annotator: pair
    files = []
    for number, annotator in enumerate("abc"):
        images = [
            {
                "id": 1000 + pair,
                "file_name": f"{pair // 2}.jpg",
                "text_input": f"thing {pair}",
                "width": size[0],
                "height": size[1],
                "is_instance_exhaustive": int(not_exhaustive.get(number) != pair),
            }
            for pair in pairs
        ]
        annotations: list[dict[str, Any]] = []
        for pair in pairs:
            for shape in shapes[pair]:
                if rng.random() < 0.8:
                    segmentation = as_json(shifted(shape, int(rng.integers(0, 4))))
                    crowd = int(rng.random() < 0.1)
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": 1000 + pair,
                            "category_id": 1,
                            "segmentation": segmentation,
                            "iscrowd": crowd,
                        }
                    )
        file = folder / f"gold_metaclip_merged_{annotator}_release_test.json"
        categories = [{"id": 1, "name": "object"}]
        file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
        files.append(file)
    found = [
        {
            "image_id": 1000 + pair,
            "category_id": 1,
            "segmentation": as_json(shifted(shape, int(rng.integers(0, 5)))),
            "bbox": [0.0, 0.0, 1.0, 1.0],  # not looked at, but the official code fails without it
            "score": float(rng.uniform(0.3, 1.0)),
        }
        for pair in pairs
        for shape in [*shapes[pair], *([blob(rng, size)] if rng.random() < 0.4 or pair == 3 else [])]
    ]
    predictions = folder / "predictions.json"
    predictions.write_text(json.dumps(found))
    return files, predictions
