"""Matching queries to targets."""

from __future__ import annotations

import torch
from torchvision.ops import box_convert, generalized_box_iou

from maskpilot.segmenters.nano.training.matcher import box_iou, giou, match

SIDE = 4
CENTRES = (torch.arange(SIDE) + 0.5) / SIDE
ANCHORS = torch.cartesian_prod(CENTRES, CENTRES).flip(1)  # (16, 2), x runs fastest


def start(prompts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and boxes of queries that know nothing yet."""
    boxes = torch.cat([ANCHORS, torch.full_like(ANCHORS, 0.2)], 1)
    return torch.zeros(prompts, SIDE**2), boxes.expand(prompts, -1, 4).clone()


def unseen(targets: int) -> torch.Tensor:
    """No target is shown by a positive exemplar."""
    return torch.zeros(targets, dtype=torch.bool)


def test_giou_is_torchvisions() -> None:
    torch.manual_seed(0)
    first, second = (0.1 + 0.4 * torch.rand(2, 20, 4)).unbind()
    expected = generalized_box_iou(
        box_convert(first, "cxcywh", "xyxy"), box_convert(second, "cxcywh", "xyxy")
    ).diagonal()
    assert torch.allclose(giou(first, second), expected, atol=1e-5)
    assert torch.allclose(box_iou(first, first)[0], torch.ones(20))


def test_the_nearest_query_answers() -> None:
    logits, boxes = start(2)
    targets = torch.tensor([[0.13, 0.12, 0.1, 0.1], [0.6, 0.9, 0.3, 0.2]])
    pairs = match(logits, boxes, ANCHORS, targets, torch.tensor([0, 1]), unseen(2))
    assert pairs.matched.all()
    assert pairs.queries.tolist() == [0, 3 * SIDE + 2]


def test_a_better_neighbour_is_preferred_and_a_far_one_is_not() -> None:
    logits, boxes = start(1)
    target = torch.tensor([[0.26, 0.125, 0.2, 0.2]])
    for better, expected in ((0, 0), (1, 1), (15, 1)):
        sure = logits.clone()
        sure[0, better] = 8.0
        pairs = match(sure, boxes, ANCHORS, target, torch.tensor([0]), unseen(1))
        assert pairs.queries.tolist() == [expected]


def test_who_answers_for_an_exemplar_follows_from_its_place_alone() -> None:
    logits, boxes = start(1)
    target = torch.tensor([[0.24, 0.125, 0.2, 0.2]])
    logits[0, 1] = 8.0
    boxes[0, 1] = target
    assert match(logits, boxes, ANCHORS, target, torch.tensor([0]), unseen(1)).queries.tolist() == [1]
    assert match(logits, boxes, ANCHORS, target, torch.tensor([0]), ~unseen(1)).queries.tolist() == [0]


def test_what_an_exemplar_shows_is_served_before_what_fits_better() -> None:
    logits, boxes = start(1)
    logits[0, 0] = 8.0
    targets = torch.tensor([[0.125, 0.125, 0.2, 0.2], [0.16, 0.16, 0.1, 0.1]])
    pairs = match(logits, boxes, ANCHORS, targets, torch.tensor([0, 0]), torch.tensor([False, True]))
    assert pairs.matched.all()
    assert pairs.queries[1] == 0 != pairs.queries[0]


def test_the_neighbours_of_a_target_are_those_that_could_have_answered() -> None:
    logits, boxes = start(1)
    target = torch.tensor([[0.3, 0.125, 0.2, 0.2]])
    pairs = match(logits, boxes, ANCHORS, target, torch.tensor([0]), unseen(1))
    assert pairs.near[0].nonzero().flatten().tolist() == [0, 1, SIDE, SIDE + 1]


def test_a_query_serves_one_target() -> None:
    logits, boxes = start(1)
    # Ties are not for real boxes: no two are the same to the last bit.
    targets = torch.tensor([[0.4 + 0.001 * index, 0.4, 0.2, 0.2] for index in range(6)])
    pairs = match(logits, boxes, ANCHORS, targets, torch.zeros(6, dtype=torch.int64), unseen(6))
    # Four places are near enough, so two targets go without.
    assert int(pairs.matched.sum()) == 4
    assert len(set(pairs.queries[pairs.matched].tolist())) == 4


def test_no_targets_no_pairs() -> None:
    logits, boxes = start(2)
    none = torch.zeros(0, dtype=torch.int64)
    assert len(match(logits, boxes, ANCHORS, torch.zeros(0, 4), none, unseen(0)).queries) == 0
