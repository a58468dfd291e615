"""IoU and its kin on arrays small enough to count by hand."""

import pytest

from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.types import Truth
from tests.evals.drawn import drawn, instances, rectangle

SIZE = (4, 3)
LEFT = drawn("##..", "##..", "....")  # 4 px
MIDDLE = drawn(".##.", ".##.", "....")  # 4 px, 2 shared with LEFT
CORNER = drawn("....", "....", "...#")  # 1 px


def test_two_of_six_pixels() -> None:
    values = measure(instances(MIDDLE), Truth(((LEFT,),)), SIZE)
    assert values["intersection"] == 2
    assert values["union"] == 6
    assert values["iou"] == pytest.approx(1 / 3)


def test_an_answer_is_the_union_of_its_masks() -> None:
    values = measure(instances(MIDDLE, LEFT), Truth(((LEFT, CORNER),)), SIZE)
    assert (values["intersection"], values["union"]) == (4, 7)


@pytest.mark.parametrize(
    ("predicted", "truth", "iou", "union"),
    [((), (), 1.0, 0), ((LEFT,), (), 0.0, 4), ((), (LEFT,), 0.0, 4)],
    ids=["both empty", "nothing is there", "nothing was found"],
)
def test_empty_answers(predicted: tuple, truth: tuple, iou: float, union: int) -> None:  # type: ignore[type-arg]
    values = measure(instances(*predicted), Truth((truth,)), SIZE)
    assert (values["iou"], values["union"], values["intersection"]) == (iou, union, 0)


def test_ignored_pixels_count_on_neither_side() -> None:
    ignore = drawn(".#..", ".#..", "....")  # what LEFT and MIDDLE share
    values = measure(instances(MIDDLE), Truth(((LEFT,),), ignore=ignore, is_instances=False), SIZE)
    assert (values["intersection"], values["union"]) == (0, 4)
    only_ignored = measure(instances(ignore), Truth(((),), ignore=ignore, is_instances=False), SIZE)
    assert only_ignored["iou"] == 1.0


def test_lisa_means_and_sums() -> None:
    """gIoU: (1/3 + 1 + 0) / 3. cIoU: (2 + 0 + 0) / (6 + 0 + 1)."""
    scores = [
        measure(instances(MIDDLE), Truth(((LEFT,),)), SIZE),
        measure([], Truth(((),)), SIZE),
        measure(instances(CORNER), Truth(((),)), SIZE),
    ]
    assert METRICS["giou"].aggregate(scores) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert METRICS["miou"].aggregate(scores) == METRICS["giou"].aggregate(scores)
    assert METRICS["ciou"].aggregate(scores) == pytest.approx(2 / 7)
    assert METRICS["oiou"].aggregate(scores) == pytest.approx(2 / 7)


def test_precision_at_a_level_asks_samples_with_a_target_alone() -> None:
    half = measure(instances(drawn("#...", "#...", "....")), Truth(((LEFT,),)), SIZE)  # IoU 2/4
    absent = measure([], Truth(((),)), SIZE)
    assert half["iou"] == 0.5
    assert METRICS["p_at_50"].aggregate([half, absent]) == 1.0  # at least the level
    assert METRICS["p_at_60"].aggregate([half, absent]) == 0.0
    assert METRICS["p_at_50"].aggregate([absent]) is None


def test_no_target_and_target_accuracy() -> None:
    """Of two without a target one is answered with nothing; of three with one, two with something."""
    without = [measure([], Truth(((),)), SIZE), measure(instances(LEFT), Truth(((),)), SIZE)]
    with_target = [
        measure([], Truth(((LEFT,),)), SIZE),
        measure(instances(CORNER), Truth(((LEFT,),)), SIZE),
        measure(instances(LEFT), Truth(((LEFT,),)), SIZE),
    ]
    assert METRICS["n_acc"].aggregate([*without, *with_target]) == 0.5
    assert METRICS["t_acc"].aggregate([*without, *with_target]) == pytest.approx(2 / 3)


def test_the_better_of_several_annotators() -> None:
    values = measure(instances(LEFT), Truth(((MIDDLE,), (LEFT,), ())), SIZE)
    assert values["iou"] == 1.0
    assert measure([], Truth(((MIDDLE,), ())), SIZE)["iou"] == 1.0


def test_what_may_be_right_is_left_out_where_the_truth_is_not_exhaustive() -> None:
    truth = Truth(((LEFT,),), exhaustive=False)
    values = measure(instances(LEFT, CORNER), truth, SIZE)
    assert (values["iou"], values["predicted_count"]) == (1.0, 1)


def test_masks_must_have_the_size_of_the_image() -> None:
    with pytest.raises(ValueError, match=r"expected masks of 4x3 px, got one of 10x10"):
        measure(instances(rectangle(0, 0, 2, 2)), Truth(((LEFT,),)), SIZE)


def test_masks_below_the_threshold_are_no_answer() -> None:
    values = measure(instances(LEFT), Truth(((LEFT,),)), SIZE, threshold=0.95)
    assert values["predicted_pixels"] == 0
    assert len(values["detections"]["scores"]) == 1


def test_without_scores_a_metric_is_undefined() -> None:
    assert all(metric.aggregate([]) is None for metric in METRICS.values())


def test_metrics_name_themselves_and_their_source() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.source
        assert metric.title
