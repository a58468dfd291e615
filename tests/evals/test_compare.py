"""Two runs side by side."""

from pathlib import Path
from typing import Any

import pytest

from maskpilot.errors import InvalidInput, RunFolderError
from maskpilot.evals.compare import compare, comparison_record
from maskpilot.evals.pilots import one_shot, oracle
from maskpilot.evals.run import read_run
from maskpilot.evals.summary import summarise
from maskpilot.segmenters.scripted import FakeSegmenter
from maskpilot.types import Budget
from tests.evals.tables import Tables, evaluate


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    """One shot finds half of the cups, the plate, no mug, and rightly no spoon; the oracle finds all."""
    first = evaluate(tmp_path / "one_shot", Tables(8), one_shot())
    second = evaluate(tmp_path / "oracle", Tables(8))
    return first, second


def test_differences_are_paired(runs: Any) -> None:
    found = compare(*runs)
    gain = found.metrics["giou"]
    # cup .5 -> 1, plate 1 -> 1, mug 0 -> 1, spoon 1 -> 1 on both images: +.375 each, so no spread
    assert gain.value == pytest.approx(0.375)
    assert gain.standard_error == pytest.approx(0.0, abs=1e-12)
    assert (gain.samples, gain.clusters) == (8, 2)
    assert found.loop["iou"].value == pytest.approx(0.375)
    assert (found.wins, found.losses, found.ties) == (4, 0, 4)


def test_a_ratio_is_compared_as_a_ratio(runs: Any) -> None:
    # Per image: cups 400 of 800, plate 800 of 800, mug 0 of 400, spoon 0 of 0: 1200 / 2000; then all of it.
    assert compare(*runs).metrics["ciou"].value == pytest.approx(1 - 1200 / 2000)


def test_precision_is_compared_without_an_interval(tmp_path: Path) -> None:
    class Classes(Tables):
        metrics = ("ap",)

    first = evaluate(tmp_path / "one_shot", Classes(8), one_shot())
    second = evaluate(tmp_path / "oracle", Classes(8))
    found = compare(first, second).metrics["ap"]
    # Of eight objects one shot finds four, and nothing else: 51 of 101 points of recall.
    assert found.value == pytest.approx(1 - 51 / 101)
    assert (found.low, found.samples, found.clusters) == (None, 8, 2)


def test_boundaries_when_asked_for(tmp_path: Path) -> None:
    runs = [
        evaluate(tmp_path / pilot.settings["name"], Tables(4), pilot, boundary=True)
        for pilot in (one_shot(), oracle())
    ]
    assert [run.settings["dataset"]["metrics"] for run in runs] == [["giou", "ciou", "boundary_iou"]] * 2
    found = summarise(runs[1]).official["boundary_iou"]
    assert found is not None
    assert (found.value, found.samples) == (1.0, 4)
    assert compare(*runs).metrics["boundary_iou"].value > 0


def test_settings_that_differ_are_named(runs: Any, tmp_path: Path) -> None:
    short = evaluate(tmp_path / "short", Tables(8), budget=Budget(max_rounds=7))
    found = compare(runs[1], short)
    assert comparison_record(found)["settings_changed"] == ["budget.max_rounds: was 20, now 7"]
    assert "rounds_to_85" not in found.loop
    assert "rounds_to_85" in compare(runs[1], runs[1]).loop


def test_the_other_way_round_everything_turns_over(runs: Any) -> None:
    found = compare(runs[1], runs[0])
    assert found.metrics["giou"].value == pytest.approx(-0.375)
    assert (found.wins, found.losses) == (0, 4)


def test_the_samples_that_differ_most_come_first(runs: Any) -> None:
    record = comparison_record(compare(*runs), most=3)
    assert [one["sample"] for one in record["differ_most"]] == ["s0002", "s0006", "s0000"]
    assert record["differ_most"][0] == {
        "sample": "s0002",
        "query": "mug",
        "iou": [0.0, 1.0],
        "difference": 1.0,
    }
    assert record["sees_truth"] == [False, True]


def test_samples_in_one_run_alone_are_counted(runs: Any, tmp_path: Path) -> None:
    other = evaluate(tmp_path / "longer", Tables(11, broken=["s0001", "s0009"]))
    record = comparison_record(compare(runs[0], other))
    assert record["samples"] == 7
    assert record["only_in"] == [0, 3]
    assert record["failed"] == [0, 2]


def test_failures_count_when_asked(runs: Any, tmp_path: Path) -> None:
    evaluate(tmp_path / "failing", Tables(8, broken=["i0"]))
    plain = compare(read_run(tmp_path / "failing"), runs[1])
    counted = compare(read_run(tmp_path / "failing", failures_as_zero=True), runs[1])
    assert plain.metrics["giou"].value == 0.0
    assert plain.metrics["giou"].samples == 4
    # On one of the two images everything counts as wrong, the absent spoon included.
    assert counted.metrics["giou"].samples == 8
    assert counted.metrics["giou"].value == pytest.approx(0.5)
    assert counted.loop["iou"].samples == 8
    assert counted.loop["iou"].value == pytest.approx(0.5)
    assert counted.loop["rounds"].samples == 4  # a sample that failed has no session


def test_other_data_sets_are_refused(runs: Any, tmp_path: Path) -> None:
    class Chairs(Tables):
        name = "chairs"

    chairs = evaluate(tmp_path / "chairs", Chairs(8))
    with pytest.raises(InvalidInput, match=r"different data sets: .* on tables, .* on chairs"):
        compare(runs[0], chairs)
    asked = evaluate(tmp_path / "asked", Tables(8, queries={"s0003": "a fork"}))
    with pytest.raises(InvalidInput, match=r"sample 's0003' is 'spoon' in .* and 'a fork'"):
        compare(runs[0], asked)


def test_nothing_in_common_is_refused(runs: Any, tmp_path: Path) -> None:
    failing = evaluate(tmp_path / "failing", Tables(2, broken=["i0"]), segmenter=FakeSegmenter([]))
    with pytest.raises(InvalidInput, match="no scored sample in common"):
        compare(failing, runs[0])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"run.json is missing"):
        read_run(tmp_path)


def test_a_run_with_itself_is_all_ties(runs: Any) -> None:
    found = compare(runs[0], runs[0])
    assert (found.wins, found.losses, found.ties) == (0, 0, 8)
    assert found.metrics["ciou"].value == 0.0
