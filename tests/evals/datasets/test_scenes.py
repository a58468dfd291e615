"""Scenes as a data set."""

from collections import Counter
from itertools import pairwise

import pytest

from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.datasets.scenes import FIRST_SEED
from maskpilot.evals.types import Sample
from maskpilot.scenes import KINDS
from maskpilot.segmenters.nano import evaluate, train


def test_kinds_of_queries_take_turns() -> None:
    kinds = Counter(sample.tags["kind"] for sample in open_dataset("scenes", count=2 * len(KINDS)))
    assert kinds == dict.fromkeys(KINDS, 2)


def test_they_say_that_they_are_simulated() -> None:
    assert "drawn scenes" in open_dataset("scenes", count=1).facts["simulated"]


def test_the_same_seed_gives_the_same_scenes() -> None:
    first, again, longer = (open_dataset("scenes", count=count, seed=7) for count in (3, 3, 5))
    assert list(first) == list(again) == list(longer)[:3]
    for sample in first:
        assert first.image(sample).sha256 == again.image(sample).sha256
        assert first.image(sample).image.size == (sample.width, sample.height)
        assert first.truth(sample) == longer.truth(sample)


def test_another_seed_gives_others() -> None:
    first, other = (open_dataset("scenes", count=3, seed=seed) for seed in (0, 1))
    assert not {sample.id for sample in first} & {sample.id for sample in other}
    digests = [{data.image(sample).sha256 for sample in data} for data in (first, other)]
    assert not digests[0] & digests[1]


def test_only_what_has_no_answer_is_empty() -> None:
    dataset = open_dataset("scenes", count=20)
    for sample in dataset:
        assert bool(dataset.truth(sample).instances) == (sample.tags["kind"] != "absent")


def test_one_kind_can_be_chosen() -> None:
    assert {sample.tags["kind"] for sample in open_dataset("scenes", count=4, split="ordinal")} == {"ordinal"}


def test_seeds_are_far_from_those_of_training() -> None:
    seeds = sorted([train.FIRST_SEED, train.LAST_SEED, evaluate.FIRST_SEED, FIRST_SEED])
    assert seeds[-1] == FIRST_SEED
    assert all(later - earlier > 10_000_000 for earlier, later in pairwise(seeds))


@pytest.mark.parametrize("wrong", [{"count": 0}, {"seed": -1}, {"split": "riddles"}])
def test_what_cannot_be_drawn(wrong: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInput, match="scenes"):
        open_dataset("scenes", **wrong)


@pytest.mark.parametrize("name", ["0-00009", "0-x", "1-00000", "0-000000"])
def test_a_sample_of_another_set(name: str) -> None:
    dataset = open_dataset("scenes", count=2)
    with pytest.raises(DatasetError, match=f"no sample '{name}'"):
        dataset.truth(Sample(id=name, image_id=name, query="x"))
