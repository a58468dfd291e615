"""Matching queries to targets."""

import pytest
import torch

pytest.importorskip("scipy", reason="the matcher's; training is an extra")

from maskpilot.segmenters.nano.training.matcher import giou, match_one, match_several

LEFT, RIGHT = [0.2, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2]
FAR = [0.5, 0.05, 0.1, 0.1]


def boxes(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_giou_of_the_same_touching_and_distant_boxes() -> None:
    unit = boxes([0.5, 0.5, 1.0, 1.0])
    assert giou(unit, unit).tolist() == [1.0]
    assert giou(unit, boxes([1.5, 0.5, 1.0, 1.0])).tolist() == pytest.approx([0.0])
    # Two unit squares with one between them: hull 3, union 2.
    assert giou(unit, boxes([2.5, 0.5, 1.0, 1.0])).tolist() == pytest.approx([-1 / 3])


def test_each_target_gets_the_query_on_it() -> None:
    logits = torch.zeros(1, 3)
    prompts, queries, targets = match_one(logits, boxes(RIGHT, FAR, LEFT)[None], boxes(LEFT, RIGHT), [2])
    assert sorted(zip(prompts.tolist(), queries.tolist(), targets.tolist(), strict=True)) == [
        (0, 0, 1),
        (0, 2, 0),
    ]


def test_of_two_queries_in_one_place_the_surer_one_is_matched() -> None:
    logits = torch.tensor([[-2.0, 2.0, 0.0]])
    _, queries, _ = match_one(logits, boxes(LEFT, LEFT, FAR)[None], boxes(LEFT), [1])
    assert queries.tolist() == [1]


def test_prompts_are_matched_apart_and_targets_counted_through() -> None:
    placed = torch.stack([boxes(LEFT, RIGHT), boxes(LEFT, RIGHT), boxes(LEFT, RIGHT)])
    found = match_one(torch.zeros(3, 2), placed, boxes(RIGHT, LEFT), [1, 0, 1])
    assert [part.tolist() for part in found] == [[0, 2], [1, 0], [0, 1]]


def test_several_queries_for_one_target_and_none_for_two() -> None:
    placed = boxes(LEFT, LEFT, LEFT, LEFT, RIGHT, RIGHT, RIGHT, RIGHT, FAR)[None]
    prompts, queries, targets = match_several(torch.zeros(1, 9), placed, boxes(LEFT, RIGHT), [2])
    assert dict(zip(queries.tolist(), targets.tolist(), strict=True)) == {
        **dict.fromkeys(range(4), 0),
        **dict.fromkeys(range(4, 8), 1),
    }
    assert prompts.tolist() == [0] * 8


def test_nothing_to_find_matches_nothing() -> None:
    for match in (match_one, match_several):
        found = match(torch.zeros(2, 9), torch.rand(2, 9, 4), torch.zeros(0, 4), [0, 0])
        assert [len(part) for part in found] == [0, 0, 0]
