"""Boundary IoU by hand, and beside OpenCV where it is installed."""

import numpy as np
import pytest

from maskpilot import masks
from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.metrics.boundary import boundary, boundary_iou
from maskpilot.evals.types import Truth
from tests.evals.drawn import blob, instances, rectangle

SIZE = (10, 10)


def test_a_ring_one_pixel_wide() -> None:
    """2% of a diagonal of 14 px rounds to 0, so the least counts: 1 px."""
    ring = boundary(masks.decode(rectangle(2, 2, 7, 7)))
    assert ring.sum() == 25 - 9
    assert not ring[3:6, 3:6].any()


def test_the_edge_of_the_image_is_an_outline() -> None:
    assert boundary(np.ones((10, 10), np.bool_)).sum() == 100 - 64


def test_two_squares_one_within_the_other() -> None:
    """Rings of 5x5 and 3x3 in the middle of it: 16 and 8 pixels that do not meet."""
    outer, inner = rectangle(2, 2, 7, 7), rectangle(3, 3, 6, 6)
    assert boundary_iou([outer], [inner], SIZE) == 0.0
    assert boundary_iou([outer], [outer], SIZE) == 1.0


@pytest.mark.parametrize(("predicted", "truth", "expected"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)])
def test_empty_answers(predicted: int, truth: int, expected: float) -> None:
    square = rectangle(2, 2, 7, 7)
    assert boundary_iou([square] * predicted, [square] * truth, SIZE) == expected


def test_ignored_pixels_are_left_out() -> None:
    outer, half = rectangle(0, 0, 10, 10), rectangle(0, 0, 5, 10)
    left_half = measure(
        instances(half), Truth(((outer,),), ignore=rectangle(4, 0, 10, 10)), SIZE, boundary=True
    )
    assert left_half["boundary_iou"] == 1.0
    assert METRICS["boundary_iou"].aggregate([left_half]) == 1.0


def test_it_is_computed_only_when_asked_for() -> None:
    values = measure([], Truth(((),)), SIZE)
    assert METRICS["boundary_iou"].aggregate([values]) is None


def test_beside_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    for size in ((300, 200), (64, 500), (7, 5)):
        mask = masks.decode(blob(rng, size))
        steps = max(1, round(0.02 * float(np.hypot(*size))))
        padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)[1:-1, 1:-1]
        assert np.array_equal(boundary(mask), mask & ~eroded.astype(np.bool_))
