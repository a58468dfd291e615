"""Training: batches, losses and the loop, at a size of seconds."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from maskpilot.errors import RunFolderError
from maskpilot.scenes import VOCABULARY, make_scene
from maskpilot.segmenters.load import load_nano
from maskpilot.segmenters.nano.config import TINY, NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.nano.tokenizer import BOX_ONLY_TEXT
from maskpilot.segmenters.nano.train import run
from maskpilot.segmenters.nano.training.again import missed
from maskpilot.segmenters.nano.training.attention import look_faster, plain_attention
from maskpilot.segmenters.nano.training.batch import Batch, collate, draw_batch
from maskpilot.segmenters.nano.training.checkpoint import start_from, write_checkpoint
from maskpilot.segmenters.nano.training.dense import dense_targets, flip
from maskpilot.segmenters.nano.training.forward import Decoded, Fused, LayerOutput, prepare_for_training
from maskpilot.segmenters.nano.training.heads import CLASSES, WAVES, TrainingHeads
from maskpilot.segmenters.nano.training.loop import Plan, train
from maskpilot.segmenters.nano.training.losses import (
    LossWeights,
    decoder_losses,
    fusion_losses,
    mask_losses,
    match_accuracies,
    total,
)
from maskpilot.segmenters.nano.training.matcher import Pairs
from maskpilot.segmenters.nano.training.optimiser import Optimiser
from maskpilot.segmenters.nano.training.pool import (
    LONG,
    LONG_FACTOR,
    Pool,
    Sample,
    as_sample,
    build_pool,
    difficulty,
)
from maskpilot.segmenters.nano.training.prompts import Mix, TrainingPrompt
from maskpilot.segmenters.nano.training.step import choose, run_batch
from maskpilot.segmenters.nano.training.stream import Stream, mix_at
from maskpilot.types import PromptState

SAMPLE = as_sample(make_scene(8, size=(300, 200)), TINY.resolution)
EVERYTHING = tuple(range(len(SAMPLE.values)))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("pool")
    build_pool(folder, first_seed=100, count=12, resolution=TINY.resolution)
    return Pool(folder)


def all_terms(model: Any, heads: TrainingHeads, batch: Batch) -> dict[str, torch.Tensor]:
    return run_batch(model, heads, batch, np.random.default_rng(0), outlined=2).terms


def test_a_pool_holds_what_was_drawn(pool: Pool) -> None:
    expected, found = as_sample(make_scene(103), TINY.resolution), pool[3]
    assert np.array_equal(expected.image, found.image)
    assert np.array_equal(expected.owner, found.owner)
    assert np.array_equal(expected.values, found.values)
    assert np.allclose(expected.boxes, found.boxes)
    scene = make_scene(103)
    assert pool.aspect[3] == pytest.approx(scene.width / scene.height)


def test_long_images_are_drawn_more_often(pool: Pool) -> None:
    rows = pool.draw(4000, np.random.default_rng(0))
    drawn = np.bincount(rows, minlength=len(pool)) / len(rows)
    long = np.maximum(pool.aspect, 1 / pool.aspect) > LONG
    assert long.any()
    assert not long.all()
    assert drawn[long].mean() / drawn[~long].mean() == pytest.approx(LONG_FACTOR, rel=0.15)


def test_a_flipped_sample_is_the_mirror_image() -> None:
    mirrored = flip(SAMPLE)
    assert np.array_equal(mirrored.image[:, ::-1], SAMPLE.image)
    assert np.allclose(flip(mirrored).boxes, SAMPLE.boxes)
    assert (mirrored.boxes[:, 2] > mirrored.boxes[:, 0]).all()


def test_dense_targets_say_what_lies_where() -> None:
    targets = dense_targets(SAMPLE, 8)
    assert targets.shape == (4, 8, 8)
    step = TINY.resolution // 8
    owner = SAMPLE.owner[step // 2 :: step, step // 2 :: step]
    for row, column in np.ndindex(8, 8):
        index = int(owner[row, column])
        expected = SAMPLE.values[index - 1] + 1 if index else np.zeros(4)
        assert np.array_equal(targets[:, row, column], expected)


def test_a_batch_lines_up() -> None:
    prompts = [
        TrainingPrompt("things", EVERYTHING),
        TrainingPrompt("red stars", (), {"shape": 3, "colour": 0}),
        TrainingPrompt(BOX_ONLY_TEXT, (0,), boxes=((0, True), (1, False))),
    ]
    batch = collate([SAMPLE], [prompts], TINY)
    assert batch.counts == (len(EVERYTHING), 0, 1)
    assert len(batch.boxes) == len(batch.objects) == len(batch.shown) == sum(batch.counts)
    assert batch.objects.tolist() == [*EVERYTHING, 0]
    assert batch.shown.tolist() == [*(False for _ in EVERYTHING), True]
    assert batch.exemplar_padding.tolist() == [[True, True], [True, True], [False, False]]
    assert batch.exemplar_labels[:, 2].tolist() == [1, 0]
    assert torch.allclose(batch.exemplars[0, 2], batch.boxes[-1])
    assert batch.named.tolist()[1] == [4, 1, 0, 0]
    on_object = batch.dense.owners[0] > 0
    assert torch.equal(batch.wanted[0, 0] > 0, on_object)
    assert not batch.wanted[1, 0].any()
    assert batch.heard.tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    # A cell's share of a mask is its share of the mask's pixels.
    pixels = (SAMPLE.owner == 1).sum()
    step = TINY.resolution // batch.masks.shape[-1]
    assert batch.masks[0].sum() * step**2 == pytest.approx(pixels)


def test_every_parameter_that_is_used_learns() -> None:
    model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
    prepare_for_training(model)
    rng = np.random.default_rng(0)
    prompts = [
        TrainingPrompt("things", EVERYTHING),
        TrainingPrompt("red stars", (), {"shape": 3, "colour": 0}),
        TrainingPrompt(BOX_ONLY_TEXT, (0,), boxes=((0, True),)),
    ]
    batch = collate([SAMPLE], [prompts], TINY, rng)
    terms = all_terms(model, heads, batch)
    assert set(terms) == set(LossWeights().factors)
    total(terms, LossWeights()).backward()
    silent = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    # sam3 has these and never uses them for text and boxes.
    unused = ("points_", "text_projection", "logit_scale", "mask_label", "semantic_seg", "instance_query")
    fixed = ("reference_points", "boxRPB_embed")
    assert all(any(part in name for part in unused + fixed) for name in silent)
    assert all(parameter.grad is not None for parameter in heads.parameters())


def test_match_accuracy_is_one_for_the_truth_and_a_half_for_a_constant() -> None:
    prompt = TrainingPrompt("things of one colour", EVERYTHING[:2], {"colour": int(SAMPLE.values[0, 1])})
    batch = collate([SAMPLE], [[prompt]], TINY)
    truth = match_accuracies(batch.wanted * 2 - 1, batch)
    constant = match_accuracies(torch.ones_like(batch.wanted), batch)
    assert set(truth.values()) == {1.0}
    assert set(constant.values()) == {0.5}


def test_a_few_steps_lower_the_loss(pool: Pool) -> None:
    torch.manual_seed(0)
    model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
    prepare_for_training(model)
    optimiser = Optimiser(
        [(list(model.named_parameters()), 1.0), (list(heads.named_parameters()), 1.0)], rate=2e-3
    )
    batch = draw_batch(pool, TINY, Mix(), np.random.default_rng(0), images=2, prompts=4)
    values = []
    for _ in range(12):
        loss = total(all_terms(model, heads, batch), LossWeights())
        optimiser.step(loss)
        values.append(loss.item())
    assert values[-1] < 0.8 * values[0]


def test_a_stopped_run_goes_on_where_it_was(pool: Pool, tmp_path: Path) -> None:
    steps: list[float] = []

    def go(minutes: float) -> None:
        model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
        plan = Plan(minutes=minutes, image_until=0.2, images=1, prompts=2)
        path = tmp_path / "model.pt"
        train(model, heads, TINY, pool, plan, checkpoint=path, log=lambda seen: steps.append(seen["step"]))

    go(0.01)
    first = len(steps)
    go(0.02)
    assert first >= 1
    assert steps == sorted(steps)
    assert steps[first:] == [] or steps[first] > steps[first - 1]


def test_the_whole_recipe_writes_weights_that_load(tmp_path: Path) -> None:
    path = run(
        tmp_path,
        config=TINY,
        scenes=8,
        plan=Plan(minutes=0.02, images=1, prompts=2),
        device=torch.device("cpu"),
    )
    assert all(value.dtype == torch.float16 for value in load_file(path).values())
    segmenter = load_nano(path, device="cpu")
    session = segmenter.open(make_scene(1).image)
    assert len(session.segment(PromptState(text="red circle", threshold=0.0))) > 0
    segmenter.close()


def test_a_run_goes_on_from_another_with_larger_images(pool: Pool, tmp_path: Path) -> None:
    model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
    plan = Plan(minutes=0.002, image_until=0.0, fusion_until=0.0, images=1, prompts=2)
    path = tmp_path / "model.pt"
    learned = train(model, heads, TINY, pool, plan, checkpoint=path, log=lambda _: None)

    larger = replace(TINY, resolution=96)
    model, heads = build_nano(larger, VOCABULARY, seed=1), TrainingHeads(larger)
    anchors = model.transformer.decoder.reference_points.weight.clone()
    start_from(path, model, heads)
    taken = dict(model.named_parameters())
    same = "transformer.encoder.layers.0.linear1.weight"
    assert torch.equal(taken[same], learned[same])
    assert torch.equal(model.transformer.decoder.reference_points.weight, anchors)
    places = "backbone.vision_backbone.trunk.pos_embed"
    assert taken[places].shape[1] == 1 + 12**2
    corners = (1, 1 + 11, 1 + 11 * 12)
    old_corners = (1, 1 + 7, 1 + 7 * 8)
    for new, old in zip(corners, old_corners, strict=True):
        likeness = torch.cosine_similarity(taken[places][0, new], learned[places][0, old], dim=0)
        assert likeness > 0.9


def test_going_on_from_nothing_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"gone\.pt"):
        start_from(tmp_path / "gone.pt", build_nano(TINY, VOCABULARY), TrainingHeads(TINY))


def test_a_folder_of_another_run_is_refused_in_words(tmp_path: Path) -> None:
    plan = Plan(minutes=0.0001, images=1, prompts=2)
    train_in = partial(run, scenes=4, plan=plan, device=torch.device("cpu"))
    train_in(tmp_path, config=TINY)
    with pytest.raises(RunFolderError, match="holds scenes of 64 pixels a side, and this run is for 96"):
        train_in(tmp_path, config=replace(TINY, resolution=96))
    wider = replace(TINY, feedforward=2 * TINY.feedforward)
    with pytest.raises(RunFolderError, match=r"model\.pt is of a model of other dimensions"):
        train_in(tmp_path, config=wider)
    with pytest.raises(RunFolderError, match=r"model\.pt is of a model of other dimensions"):
        train_in(tmp_path / "other", config=wider, start=tmp_path / "model.pt")


def test_a_run_draws_its_scenes_from_the_seed_it_is_given(tmp_path: Path) -> None:
    plan = Plan(minutes=0.0001, images=1, prompts=2)
    run(tmp_path, config=TINY, scenes=3, plan=plan, device=torch.device("cpu"), first_seed=2_000_000)
    expected = as_sample(make_scene(2_000_001), TINY.resolution)
    assert np.array_equal(Pool(tmp_path / "pool")[1].image, expected.image)


def test_a_head_that_the_other_run_did_not_have_starts_as_new(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    heads = TrainingHeads(TINY)
    older = {name: value + 1 for name, value in heads.state_dict().items() if not name.startswith("shown.")}
    write_checkpoint(path, {"average": build_nano(TINY, VOCABULARY).state_dict(), "heads": older})
    start_from(path, build_nano(TINY, VOCABULARY), heads)
    assert torch.equal(heads.words.bias, older["words.bias"])
    assert not heads.shown.linear.weight.any()


def test_who_goes_on_has_a_part_of_the_curriculum_behind() -> None:
    plan = Plan(minutes=10.0, done=0.5)
    assert plan.share(0.0) == 0.5
    assert plan.share(300.0) == 0.75
    assert plan.depth(plan.share(0.0)) == "all"


def test_depth_grows_and_each_adds_terms(pool: Pool) -> None:
    plan = Plan(minutes=1.0)
    assert [plan.depth(share) for share in (0.0, 0.25, 0.5)] == ["image", "fusion", "all"]
    model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
    prepare_for_training(model)
    rng = np.random.default_rng(0)
    batch = draw_batch(pool, TINY, Mix(), rng, images=2, prompts=2)
    image, fusion, everything = (
        set(run_batch(model, heads, batch, rng, depth=depth).terms) for depth in ("image", "fusion", "all")
    )
    assert image < fusion < everything


def test_what_is_computed_faster_is_the_same() -> None:
    decoder = build_nano(NanoConfig(width=80, heads=2), []).transformer.decoder
    torch.manual_seed(0)
    boxes = 0.1 + 0.5 * torch.rand(decoder.num_queries, 2, 4)
    size = torch.tensor([14, 14]).unbind()
    expected = decoder._get_rpb_matrix(boxes, size)
    look_faster(decoder)
    found = decoder._get_rpb_matrix(boxes, size).float()
    assert torch.allclose(found, expected, rtol=0.02, atol=0.1)  # bfloat16

    query, key, value = torch.randn(3, 2, 2, 5, 8).unbind()
    mask = torch.randn(2, 2, 5, 5)
    attend = torch.nn.functional.scaled_dot_product_attention
    expected = attend(query, key, value, attn_mask=mask)
    with plain_attention(torch.device("cpu")):
        found = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_query_looks_into_its_box_at_first() -> None:
    decoder = build_nano(NanoConfig(width=80, heads=2), []).transformer.decoder
    box = torch.tensor([0.5, 0.25, 0.3, 0.2]).expand(decoder.num_queries, 1, 4)
    bias = decoder._get_rpb_matrix(box, torch.tensor([14, 14]).unbind())[0, 0, 0].unflatten(0, (14, 14))
    inside = bias == 0
    # Places that overlap the box, which spans 0.35 to 0.65 and 0.15 to 0.35.
    assert inside.any(0).nonzero().flatten().tolist() == [4, 5, 6, 7, 8, 9]
    assert inside.any(1).nonzero().flatten().tolist() == [2, 3, 4]
    assert (bias <= 0).all()
    assert bias[13, 0] < -5


def test_a_mask_that_fits_costs_less_than_a_shifted_one() -> None:
    wanted = torch.zeros(1, 32, 32)
    wanted[0, 10:14, 20:24] = 1
    box = torch.tensor([[22 / 32, 12 / 32, 4 / 32, 4 / 32]])
    weight = torch.ones(1)
    logits = wanted * 20 - 10
    right = mask_losses(logits, wanted, box, weight)
    wrong = mask_losses(logits.roll(2, dims=2), wanted, box, weight)
    nothing = mask_losses(logits.roll(2, dims=2), wanted, box, 0 * weight)
    assert all(right[name] < 0.01 < wrong[name] for name in right)
    assert all(nothing[name] == 0 for name in nothing)


def test_a_mask_is_judged_between_the_centres_of_its_cells() -> None:
    wanted = torch.zeros(1, 64, 64)
    wanted[0, 21:28, 40:48] = 1  # in halves of cells: its upper edge cuts a row of cells
    box = torch.tensor([[44 / 64, 24.5 / 64, 8 / 64, 7 / 64]])
    logits = torch.full((1, 32, 32), -10.0)
    logits[0, 11:14, 20:24] = 10
    whole_cells = mask_losses(logits, wanted, box, torch.ones(1))
    logits[0, 10, 20:24] = -3
    cut_cells = mask_losses(logits, wanted, box, torch.ones(1))
    assert all(cut_cells[name] < whole_cells[name] for name in cut_cells)


def test_what_a_positive_box_shows_is_to_be_found_for_certain() -> None:
    prompts = [TrainingPrompt("things", (0,), boxes=boxes) for boxes in ((), ((0, True),))]
    batch = collate([SAMPLE], [prompts], TINY)
    logits = torch.zeros(2, TINY.queries, requires_grad=True)
    loose = batch.boxes[:1] * torch.tensor([1, 1, 2, 2])
    layer = LayerOutput(logits, loose.expand(2, TINY.queries, 4), torch.zeros(2))
    near = torch.zeros(2, TINY.queries, dtype=torch.bool)
    near[:, 3:5] = True
    pairs = Pairs(torch.tensor([0, 1]), torch.tensor([3, 3]), torch.ones(2, dtype=torch.bool), near)
    decoder_losses(Decoded((layer,), torch.zeros(0)), pairs, batch)["score"].backward()
    assert logits.grad is not None
    (unseen, beside_unseen, away), (shown, beside_shown, away_too) = logits.grad[:, 3:6].tolist()
    assert shown < 4 * unseen <= 0
    # And one mask is enough: its neighbours are pushed down as hard as it is pulled up.
    assert beside_shown == pytest.approx(6 * beside_unseen)
    assert away == away_too > 0


def test_the_fused_memory_is_asked_where_exemplars_are() -> None:
    prompts = [TrainingPrompt("things", EVERYTHING, boxes=boxes) for boxes in (((0, True), (1, False)), ())]
    batch = collate([SAMPLE], [prompts], TINY)
    here = batch.shown_at[0] > 0
    assert 0 < here.sum() < batch.wanted[0, 0].sum()
    assert (batch.wanted[0, 0][here] == 1).all()
    assert not batch.shown_at[1].any()

    def cost(shown: torch.Tensor) -> float:
        empty = torch.zeros(0)
        fused = Fused(
            torch.zeros_like(batch.wanted), shown, torch.zeros(2, sum(CLASSES)), {}, {}, empty, empty
        )
        return fusion_losses(fused, batch)["shown"].item()

    assert cost(20 * batch.shown_at - 10) < 0.01
    assert cost(10 - 20 * batch.shown_at) > 5


def test_prompts_without_targets_are_not_outlined() -> None:
    rng = np.random.default_rng(0)
    assert set(choose((0, 3, 0, 1), np.array([False, True, True, False]), 4, rng).tolist()) == {1, 3}
    assert len(choose((0, 0), np.array([True, False]), 4, rng)) == 0


def test_small_objects_and_those_that_others_cover_are_hard() -> None:
    owner = np.zeros((64, 64), np.uint8)
    owner[4:24, 4:24], owner[10:24, 10:24] = 1, 2  # the second lies over the first
    owner[40:60, 40:60] = 3
    boxes = np.array([[4, 4, 24, 24], [10, 10, 24, 24], [40, 40, 60, 60]], np.float32) / np.float32(64)
    values = np.array([[0, 0, 0, size] for size in (2, 2, 2)], np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    covered, covering, free = difficulty(Sample(image, owner, values, boxes))
    assert covered > 2 * free
    assert covering == free == 1
    values[2, 3] = 0
    assert difficulty(Sample(image, owner, values, boxes))[2] > 2


def test_cells_say_where_the_centre_of_their_object_is() -> None:
    batch = collate([SAMPLE], [[TrainingPrompt("things", EVERYTHING)]], TINY)
    row, column = batch.on_object[0].nonzero()[0].tolist()
    step = TINY.resolution // batch.codes.shape[-1]
    owner = SAMPLE.owner[row * step + step // 2, column * step + step // 2] - 1
    centre = (SAMPLE.boxes[owner, 0] + SAMPLE.boxes[owner, 2]) / 2
    assert batch.codes[0, 0, row, column] == pytest.approx(np.sin(2 * np.pi * WAVES[0] * centre), abs=1e-5)


def test_a_seed_decides_the_batches(pool: Pool) -> None:
    def texts(seed: int) -> tuple[str, ...]:
        stream = Stream(pool, TINY, images=2, prompts=4, seed=(seed,))
        return next(stream.load(workers=0, pin=False)).texts

    assert texts(1) == texts(1) != texts(2)


def test_what_was_missed_is_asked_again_with_a_box_on_it(pool: Pool) -> None:
    model, heads = build_nano(TINY, VOCABULARY), TrainingHeads(TINY)
    prepare_for_training(model)
    rng = np.random.default_rng(0)
    stream = Stream(pool, TINY, images=4, prompts=3, seed=(1,))
    batches = stream.load(workers=0, pin=False)
    stream.share.value = 0.9
    batch = next(batches)
    # A model that has learned nothing misses about everything.
    again = missed(run_batch(model, heads, batch, rng), batch, pool, rng)
    assert 1 <= len(again) <= 2
    stream.ask_again(again)
    stream.ask_again(again[::-1])  # while others wait: dropped
    following = next(batches).drawn
    asked = {(one.row, one.flipped): one.prompts for one in batch.drawn}
    for one, expected in zip(following, again, strict=False):
        assert (one.row, one.flipped) == (expected.row, expected.flipped)
        assert one.prompts[: len(expected.prompts)] == expected.prompts
        for prompt in expected.prompts:
            before = next(p for p in asked[one.row, one.flipped] if p.text == prompt.text and not p.boxes)
            ((shown, positive),) = prompt.boxes
            assert positive
            assert shown in before.targets
    assert not [one for one in next(batches).drawn if one in following]


def test_the_curriculum_begins_with_single_words_and_ends_with_everything() -> None:
    assert mix_at(0.0).words[0] == max(mix_at(0.0).words)
    assert set(mix_at(0.0).kinds) == {"text"}
    assert set(mix_at(0.99).kinds) == {"text", "everything", "unknown", "box", "positive", "negative"}
