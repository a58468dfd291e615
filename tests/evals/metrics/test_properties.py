"""What holds for every answer and every truth."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskpilot import masks
from maskpilot.annotations.shapes import to_mask
from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.metrics.assignment import best_pairs
from maskpilot.evals.types import Truth
from maskpilot.types import Instance, Mask
from tests.evals.drawn import instance

WIDTH, HEIGHT = SIZE = (9, 7)
OFFICIAL_CONSTANTS = 2e-4
"""How far the small constants of the official cgF1 keep a perfect result below 1."""


def not_empty(bits: int) -> Mask:
    pixels = np.array([bits >> place & 1 for place in range(WIDTH * HEIGHT)], np.bool_)
    return masks.encode(pixels.reshape(HEIGHT, WIDTH))


MASKS = st.integers(1, 2 ** (WIDTH * HEIGHT) - 1).map(not_empty)
SEVERAL = st.lists(MASKS, max_size=4)
SCORES = st.floats(0, 1)


def answer(shapes: list[Mask], scores: list[float]) -> list[Instance]:
    pairs = zip(shapes, scores, strict=False)
    return [instance(mask, score, number) for number, (mask, score) in enumerate(pairs, start=1)]


@given(SEVERAL, SEVERAL, st.permutations(range(4)), st.permutations(range(4)))
def test_order_changes_nothing(
    predicted: list[Mask], truth: list[Mask], mine: list[int], yours: list[int]
) -> None:
    scores = [0.9, 0.8, 0.7, 0.6]
    found = answer(predicted, scores)
    mixed = [found[place] for place in mine if place < len(found)]
    turned = [truth[place] for place in yours if place < len(truth)]
    first = measure(found, Truth((tuple(truth),)), SIZE, boundary=True)
    second = measure(mixed, Truth((tuple(turned),)), SIZE, boundary=True)
    # Instances of equal IoU may pair differently, and then hit other levels.
    paired = {"cgf1", "pmf1", "il_mcc", "ap"} if _has_ties(predicted, truth) else set()
    for name, metric in METRICS.items():
        if name not in paired:
            assert metric.aggregate([first]) == pytest.approx(metric.aggregate([second])), name


@given(st.lists(MASKS, min_size=1, max_size=4, unique_by=lambda mask: mask.counts))
def test_a_perfect_prediction_scores_one(truth: list[Mask]) -> None:
    found = answer(truth, [0.9, 0.8, 0.7, 0.6])
    right = measure(found, Truth((tuple(truth),)), SIZE, boundary=True)
    nothing = measure([], Truth(((),)), SIZE, boundary=True)
    for name, metric in METRICS.items():
        assert metric.aggregate([right, nothing]) == pytest.approx(1.0, abs=OFFICIAL_CONSTANTS), name


@given(SEVERAL, SEVERAL)
def test_every_metric_stays_in_its_range(predicted: list[Mask], truth: list[Mask]) -> None:
    values = [measure(answer(predicted, [0.5] * 4), Truth((tuple(truth),)), SIZE, boundary=True)]
    for name, metric in METRICS.items():
        found = metric.aggregate(values)
        low = -1.0 if name in {"il_mcc", "cgf1"} else 0.0
        assert found is None or low <= found <= 1.0, name


@given(MASKS, st.integers(0, WIDTH * HEIGHT - 1), st.integers(0, WIDTH * HEIGHT - 1))
def test_a_pixel_more_of_the_truth_is_never_worse(truth: Mask, grown: int, start: int) -> None:
    inside = np.flatnonzero(masks.decode(truth).ravel())
    pixels = np.zeros(WIDTH * HEIGHT, np.bool_)
    pixels[inside[start % len(inside)]] = True
    smaller = masks.encode(pixels.reshape(HEIGHT, WIDTH).copy())
    pixels[inside[grown % len(inside)]] = True
    larger = masks.encode(pixels.reshape(HEIGHT, WIDTH).copy())
    before, after = (measure(answer([mask], [0.9]), Truth(((truth,),)), SIZE) for mask in (smaller, larger))
    for name in ("giou", "ciou", "p_at_50", "pmf1", "ap"):
        worse, better = METRICS[name].aggregate([before]), METRICS[name].aggregate([after])
        assert worse is not None
        assert better is not None
        assert worse <= better + 1e-12, name


@given(MASKS, MASKS)
def test_pixels_that_are_ignored_do_not_matter(truth: Mask, ignore: Mask) -> None:
    outside = masks.decode(truth) & ~masks.decode(ignore)
    kept = (masks.encode(outside),) if outside.any() else ()
    with_ignored = measure(answer([truth], [0.9]), Truth((kept,), ignore=ignore), SIZE)
    assert with_ignored["iou"] == 1.0


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_other_pairing_gains_more(rows: list[list[float]]) -> None:
    gains = np.array(rows)
    found = gains[best_pairs(gains)].sum()
    rng = np.random.default_rng(0)
    for _ in range(20):
        size = min(gains.shape)
        guess = gains[rng.permutation(len(gains))[:size], rng.permutation(3)[:size]].sum()
        assert guess <= found + 1e-9


@settings(max_examples=200)
@given(MASKS)
def test_run_lengths_go_round(mask: Mask) -> None:
    written = json.loads(json.dumps({"size": [HEIGHT, WIDTH], "counts": mask.counts.decode()}))
    assert to_mask(written, SIZE, "here") == mask
    columns = masks.decode(mask).ravel(order="F")
    changes = np.flatnonzero(np.diff(columns, prepend=False))
    lengths = np.diff([0, *changes.tolist(), columns.size]).tolist()
    assert to_mask({"size": [HEIGHT, WIDTH], "counts": lengths}, SIZE, "here") == mask


def _has_ties(predicted: list[Mask], truth: list[Mask]) -> bool:
    overlaps = masks.iou_matrix(predicted, truth).ravel()
    positive = overlaps[overlaps > 0]
    sums = {round(float(value), 9) for value in positive}
    return len(sums) < len(positive) or len(positive) > 4
