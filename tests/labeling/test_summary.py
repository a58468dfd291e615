"""What a run comes to, counted in the database."""

from pathlib import Path

import pytest

from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.summary import ClassFigures, summarise, summary_record
from maskpilot.labeling.types import Failure, LabelClass, Review
from maskpilot.types import Usage
from tests.labeling.samples import class_labels, image_labels, label

CLASSES = (LabelClass("ring"), LabelClass("pair"), LabelClass("ghost"))


def test_classes_in_numbers(tmp_path: Path) -> None:
    second = image_labels(
        2,
        class_labels("ring", label("donut", 1, 0.3, Review.overlap), label("pixel", 2, 0.3, Review.overlap)),
        class_labels("pair", review=(Review.overlap, Review.budget)),
        class_labels("ghost"),
    )
    with Store(tmp_path / LABELS) as store:
        store.commit(image_labels(1))
        store.commit(second)
        summary = summarise(store, CLASSES)
    ring, pair, ghost = summary.classes
    assert (ring.name, ring.images, ring.instances, ring.review) == ("ring", 2, 4, 1.0)
    assert ring.mean_score == pytest.approx((0.9 + 0.51 + 0.3 + 0.3) / 4)
    assert pair == ClassFigures("pair", 1, 1, 0.8, 0.5)
    assert ghost == ClassFigures("ghost", 0, 0, None, 0.5)
    assert (summary.images, summary.instances, summary.review) == (2, 5, 2)
    assert summary.reasons == {"near_threshold": 1, "none_found": 1, "overlap": 2, "budget": 1}
    assert summary.usage.tokens == 2 * image_labels().usage.tokens


def test_failures_by_cause_with_the_first_paths(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        for number in range(7):
            store.fail(Failure(f"{number}.png", "ImageError", f"{number} is empty"))
        store.fail(Failure("z.png", "SegmenterError", "no memory", usage=Usage(calls=1, prompt_tokens=5)))
        summary = summarise(store, CLASSES, Usage(prompt_tokens=7))
    first, second = summary.failures
    assert (first.cause, first.count) == ("ImageError", 7)
    assert list(first.examples) == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    assert second.examples == {"z.png": "no memory"}
    assert summary.failed == 8
    assert summary_record(summary)["tokens"] == 12


def test_a_run_without_labels_has_figures_too(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        record = summary_record(summarise(store, CLASSES))
    assert (record["images"], record["failures"], record["cost"]) == (0, [], None)
    assert record["classes"][0] == {
        "name": "ring",
        "images": 0,
        "instances": 0,
        "mean_score": None,
        "review": 0.0,
    }
