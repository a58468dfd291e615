"""What is left will take about as much as what is done."""

import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.labeling.estimate import expected, first_request_tokens, measured, t_quantile
from maskpilot.labeling.store import LABELS, Store
from maskpilot.tools import CORE, FULL
from maskpilot.types import Usage
from tests.labeling.samples import class_labels, image_labels


def test_the_quantile_is_that_of_student() -> None:
    for freedom in (2, 3, 5, 10, 19, 100, 10_000):
        assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


def test_the_interval_holds_the_sum_that_comes_as_often_as_it_says() -> None:
    choice = random.Random(4)
    held = 0
    for _ in range(1000):
        seen = [choice.gauss(1000, 300) for _ in range(20)]
        found = expected(seen, 50)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= sum(choice.gauss(1000, 300) for _ in range(50)) <= found.high
    assert 930 <= held <= 970


def test_it_is_the_mean_times_the_images() -> None:
    found = expected([100, 200, 300], 10)
    assert found is not None
    assert found.value == 2000
    assert found.low == 0  # and no less: nothing costs less than nothing
    assert found.scaled(0.5).value == 1000


def test_of_few_images_there_is_no_interval() -> None:
    found = expected([100, 300], 10)
    assert found is not None
    assert (found.value, found.low, found.high) == (2000, None, None)
    assert expected([], 10) is None


def test_what_images_took_is_read_from_the_run(tmp_path: Path) -> None:
    free = replace(class_labels("ring"), usage=Usage())
    with Store(tmp_path / LABELS) as store:
        store.commit(image_labels(1))
        store.commit(image_labels(2, class_labels("ring"), free))
        store.commit(image_labels(3, free))
        found = measured(store)
    assert found.images == 3
    assert list(found.tokens) == [3150, 1050, 0]
    assert list(found.costs) == [0.75, 0.25, 0]
    assert statistics.fmean(found.seconds) == 1.5


def test_without_prices_no_cost_is_known(tmp_path: Path) -> None:
    free = replace(class_labels("ring"), usage=Usage())
    unknown = replace(class_labels("ring"), usage=Usage(calls=2, prompt_tokens=100))
    with Store(tmp_path / LABELS) as store:
        store.commit(image_labels(1, free))
        store.commit(image_labels(2, unknown))
        assert measured(store).costs == ()
        store.commit(image_labels(3))
        assert sorted(measured(store).costs) == [0, 0.75]


def test_a_first_request_is_weighed_and_not_sent() -> None:
    settings = MllmSettings("qwen3-vl", base_url="http://localhost/v1")
    small = first_request_tokens(settings, "cup", FULL, (640, 480))
    assert 1000 < small < 10_000
    assert first_request_tokens(settings, "cup", CORE, (640, 480)) < small
    assert first_request_tokens(settings, "cup\n- no mugs", FULL, (640, 480)) > small
