"""Standard errors against numbers worked out by hand, and against simulation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from maskpilot.evals.statistics import Z_95, clustered_mean, of_sums, paired_mean, paired_sums


def test_without_clusters_it_is_the_usual_standard_error() -> None:
    # mean 0.5; deviations -.5 -.1 .1 .5; sum of squares .52; variance .52/3; SE sqrt(.52/3/4)
    estimate = clustered_mean([0.0, 0.4, 0.6, 1.0], ["a", "b", "c", "d"])
    assert estimate is not None
    assert estimate.value == pytest.approx(0.5)
    assert estimate.standard_error == pytest.approx(math.sqrt(0.52 / 12))
    assert estimate.low == pytest.approx(0.5 - Z_95 * math.sqrt(0.52 / 12))
    assert (estimate.samples, estimate.clusters) == (4, 4)


def test_samples_on_one_image_count_less() -> None:
    # Two images of two samples; residual sums -.6 and .6; SE = sqrt(2/1 * (.36 + .36)) / 4 = .3
    estimate = clustered_mean([0.0, 0.4, 0.6, 1.0], ["a", "a", "b", "b"])
    assert estimate is not None
    assert estimate.standard_error == pytest.approx(0.3)


def test_opposite_samples_on_one_image_cancel() -> None:
    # Both images have the residual sum 0: the images agree, whatever the samples do.
    estimate = clustered_mean([0.0, 1.0, 0.0, 1.0], ["a", "a", "b", "b"])
    assert estimate is not None
    assert estimate.standard_error == 0.0


def test_the_formula_of_the_paper() -> None:
    """SE^2 = SE_CLT^2 + cross terms / n^2 of arXiv 2411.00640, but for its two different corrections."""
    generator = np.random.default_rng(0)
    scores, clusters = generator.random(60), generator.integers(0, 20, 60)
    residuals = scores - scores.mean()
    same = (clusters[:, None] == clusters[None, :]) & ~np.eye(60, dtype=bool)
    squared = (np.square(residuals).sum() + (np.outer(residuals, residuals) * same).sum()) / 60**2
    groups = len(set(clusters.tolist()))
    estimate = clustered_mean(scores.tolist(), clusters.tolist())
    assert estimate is not None
    assert estimate.standard_error == pytest.approx(math.sqrt(squared * groups / (groups - 1)))


def test_one_image_says_nothing_of_the_spread() -> None:
    estimate = clustered_mean([0.2, 0.4], ["a", "a"])
    assert estimate is not None
    assert (estimate.standard_error, estimate.low, estimate.high) == (None, None, None)
    assert estimate.value == pytest.approx(0.3)
    assert clustered_mean([], []) is None


def test_a_cluster_is_needed_for_each_value() -> None:
    with pytest.raises(ValueError, match="a cluster per value"):
        clustered_mean([1.0, 2.0], ["a"])


def test_what_both_systems_find_hard_cancels() -> None:
    first, second = [0.1, 0.5, 0.9], [0.2, 0.6, 1.0]
    estimate = paired_mean(first, second, ["a", "b", "c"])
    assert estimate is not None
    assert estimate.value == pytest.approx(0.1)
    assert estimate.standard_error == pytest.approx(0.0, abs=1e-12)


def ratio(sums: Sequence[float]) -> float | None:
    return sums[0] / sums[1] if sums[1] else None


def test_a_ratio_of_sums() -> None:
    estimate = of_sums([(1, 2), (1, 2), (8, 8)], ["a", "a", "b"], ratio, draws=4000)
    assert estimate is not None
    assert estimate.value == pytest.approx(10 / 12)
    # Two images are drawn: aa gives 1/2 (1 in 4), ab 10/12 (1 in 2), bb 1 (1 in 4).
    assert (estimate.low, estimate.high) == (0.5, 1.0)
    drawn = np.array([0.5, 10 / 12, 10 / 12, 1.0])
    assert estimate.standard_error == pytest.approx(float(drawn.std()), rel=0.05)
    assert (estimate.samples, estimate.clusters) == (3, 2)
    assert of_sums([(0, 0)], ["a"], ratio) is None
    assert of_sums([], [], ratio) is None


def test_the_bootstrap_of_a_mean_agrees_with_the_formula() -> None:
    generator = np.random.default_rng(1)
    scores, clusters = generator.random(200).tolist(), generator.integers(0, 50, 200).tolist()
    drawn = of_sums([(score, 1.0) for score in scores], clusters, ratio)
    formula = clustered_mean(scores, clusters)
    assert drawn is not None
    assert formula is not None
    assert drawn.value == pytest.approx(formula.value)
    assert drawn.standard_error == pytest.approx(formula.standard_error, rel=0.15)


def test_ratios_of_two_systems_are_drawn_together() -> None:
    """The second one is better by the same factor on every image: the difference hardly moves."""
    generator = np.random.default_rng(2)
    unions = generator.uniform(100, 200, 50)
    first = [(0.5 * union, union) for union in unions.tolist()]
    second = [(0.7 * union, union) for union in unions.tolist()]
    estimate = paired_sums(first, second, list(range(50)), ratio)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.2)
    assert estimate.standard_error == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="the same samples"):
        paired_sums(first, second[:-1], list(range(50)), ratio)
    assert paired_sums([], [], [], ratio) is None


def test_the_same_seed_gives_the_same_interval() -> None:
    terms, clusters = [(0.1, 1.0), (0.5, 2.0), (0.9, 1.0), (0.4, 2.0)], ["a", "b", "c", "d"]
    assert of_sums(terms, clusters, ratio, seed=3) == of_sums(terms, clusters, ratio, seed=3)
    assert of_sums(terms, clusters, ratio, seed=3) != of_sums(terms, clusters, ratio, seed=4)


def test_draws_that_do_not_define_the_number_are_left_out() -> None:
    estimate = of_sums([(0.0, 0.0), (3.0, 4.0)], ["a", "b"], ratio, draws=50)
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == (0.75, 0.75, 0.75)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """400 simulated evals with strong correlation inside an image; the naive interval would fail this."""
    generator = np.random.default_rng(7)
    images, hits = np.repeat(np.arange(60), 5), 0
    for _ in range(400):
        scores = generator.normal(size=60)[images] + 0.5 * generator.normal(size=300)
        estimate = clustered_mean(scores.tolist(), images.tolist())
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0.0 <= estimate.high
    assert 0.91 <= hits / 400 <= 0.98


def test_an_estimate_becomes_plain_data() -> None:
    estimate = clustered_mean([0.0, 1.0], ["a", "b"])
    assert estimate is not None
    assert estimate.is_rough
    assert estimate.record["value"] == 0.5
    assert estimate.record["clusters"] == 2
