"""What costs a forward pass and what does not; batches; bounds; failures that stay where they belong."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from maskpilot.errors import OutOfMemory, SegmenterError
from maskpilot.segmenters.cache import CacheBounds
from maskpilot.segmenters.engine import FLOOR, is_out_of_memory
from maskpilot.segmenters.forward import Query, Sam3Forward
from maskpilot.segmenters.machine import free_memory
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.types import PromptState
from tests.segmenters.doubles import Gate, RecordingModel, recording
from tests.segmenters.pictures import close, negative, picture, positive, same

STAR = PromptState("star", threshold=0.3)
RED = PromptState("red", threshold=0.3)
BOXED = PromptState("star", (positive(10, 10, 40, 40), negative(50, 20, 80, 50)), threshold=0.3)


def test_an_image_is_encoded_once() -> None:
    segmenter, model = recording()
    session = segmenter.open(picture())
    after_reset = PromptState()
    for prompts in (STAR, RED, after_reset, BOXED):
        session.segment(prompts)
    assert model.images == [1]
    segmenter.close()


def test_repeats_thresholds_and_undo_cost_nothing() -> None:
    segmenter, model = recording()
    session = segmenter.open(picture())
    for prompts in (STAR, BOXED, STAR, STAR.with_threshold(0.38), STAR.with_threshold(FLOOR), BOXED):
        session.segment(prompts)
    assert len(model.groundings) == 2
    segmenter.close()


def test_a_threshold_below_the_floor_costs_one_more_pass() -> None:
    segmenter, model = recording()
    session = segmenter.open(picture())
    for threshold in (0.3, FLOOR / 2, FLOOR / 2, 0.3):
        session.segment(STAR.with_threshold(threshold))
    assert len(model.groundings) == 2
    segmenter.close()


def test_text_features_are_shared_between_images() -> None:
    segmenter, model = recording()
    for seed in (1, 2):
        session = segmenter.open(picture(seed=seed))
        session.segment(STAR)
        session.segment(BOXED)
    assert model.texts == [["star"]]
    segmenter.close()


def test_empty_prompts_do_not_reach_the_model() -> None:
    segmenter, model = recording()
    segmenter.open(picture()).segment(PromptState())
    assert model.groundings == []
    segmenter.close()


def test_dropped_images_and_prompts_are_made_again() -> None:
    keeping, _ = recording()
    forgetting, model = recording(bounds=CacheBounds(images=0, prompts=0, texts=0))
    session = forgetting.open(picture())
    for prompts in (STAR, BOXED, STAR):
        assert same(session.segment(prompts), keeping.open(picture()).segment(prompts))
    assert model.images == [1, 1, 1, 1]
    assert len(model.groundings) == 3
    keeping.close()
    forgetting.close()


def test_the_least_recently_used_image_goes_first() -> None:
    pixels = TINY.grid**2 * (16 + 4 + 1)
    room_for_two = CacheBounds(images=2 * pixels * TINY.width * 4)
    segmenter, model = recording(bounds=room_for_two)
    first, second = (segmenter.open(picture(seed=seed)) for seed in (1, 2))
    first.segment(STAR)
    third = segmenter.open(picture(seed=3))
    first.segment(RED)
    third.segment(RED)
    assert model.images == [1, 1, 1]
    second.segment(RED)
    assert model.images == [1, 1, 1, 1]
    segmenter.close()


def test_masks_too_large_to_keep_are_upsampled_again() -> None:
    candidates_only = CacheBounds(prompts=TINY.queries * (16 * 16 * 4 + 20) + 1000)
    segmenter, model = recording(bounds=candidates_only)
    session = segmenter.open(picture(400, 300))
    everything = STAR.with_threshold(0.02)
    assert same(session.segment(everything), session.segment(everything))
    assert len(model.groundings) == 1
    segmenter.close()


def test_more_masks_take_no_more_memory_than_they_are() -> None:
    segmenter, _ = recording()
    middle = float(np.median(segmenter.open(picture(2000, 1500)).segment(STAR).scores))
    session = segmenter.open(picture(2000, 1500))
    some = len(session.segment(STAR.with_threshold(middle)))
    tracemalloc.start()
    masks = session.segment(STAR).masks
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < some < len(masks)
    assert peak < 1.5 * masks.nbytes  # with them as bits, which are kept
    segmenter.close()


def test_masks_for_which_there_is_no_room_are_refused_before_they_are_made() -> None:
    segmenter, _ = recording()
    image = segmenter._engine.open(
        torch.zeros(3, segmenter.resolution, segmenter.resolution, dtype=torch.uint8), (10**6, 10**6)
    )
    with pytest.raises(OutOfMemory, match=r"masks of 1000000x1000000 pixels take \d+000\.0 GB, .* are free"):
        segmenter._engine.detect(image, STAR)
    segmenter.close()


def test_free_memory_is_what_the_system_tells(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:       24683996 kB\nMemAvailable:    2048 kB\n")
    assert free_memory(told) == 2 << 20
    told.write_text("MemTotal: 7 kB\n")
    assert free_memory(told) is None
    assert free_memory(tmp_path / "none") is None


def test_batches_find_what_single_requests_find() -> None:
    forward = Sam3Forward(build_nano(TINY, ["star", "red"]), torch.device("cpu"), max_text_bytes=1 << 20)
    noise = torch.Generator().manual_seed(0)
    shape = (3, TINY.resolution, TINY.resolution)
    pixels = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=noise) for _ in range(3)]
    together = forward.encode(pixels)
    alone = [forward.encode([one])[0] for one in pixels]
    boxes = ((0.5, 0.5, 0.2, 0.3), (0.2, 0.3, 0.1, 0.1), (0.7, 0.7, 0.5, 0.5))
    asked: list[Callable[[Any], Query]] = [
        lambda images: Query(images[0], "star"),
        lambda images: Query(images[1], "red", boxes[:1], (True,)),
        lambda images: Query(images[0], "visual", boxes, (True, False, True)),
        lambda images: Query(images[2], "star", boxes[1:], (False, True), floor=0.35),
    ]
    found = forward.ground([ask(together) for ask in asked])
    for candidates, ask in zip(found, asked, strict=True):
        (single,) = forward.ground([ask(alone)])
        assert np.allclose(candidates.scores, single.scores, atol=1e-5)
        assert np.allclose(candidates.boxes, single.boxes, atol=1e-5)
        assert torch.allclose(candidates.logits, single.logits, atol=1e-4)


def ask_together(
    gate: Gate, model: RecordingModel, sessions: list[Any], prompts: list[PromptState]
) -> list[Any]:
    """One request is held at the gate, the others queue behind it; then the gate opens."""
    with ThreadPoolExecutor(len(sessions)) as threads:
        first = threads.submit(sessions[0].segment, prompts[0])
        gate.reached.wait()
        others = [
            threads.submit(session.segment, prompt)
            for session, prompt in zip(sessions[1:], prompts[1:], strict=True)
        ]
        gate.opened.set()
        return [future.exception() or future.result() for future in (first, *others)]


def test_one_threads_failure_is_its_own() -> None:
    gate = Gate()

    def fault(arguments: dict[str, Any]) -> None:
        gate(arguments)
        if arguments["geometric_prompt"].box_embeddings.shape[0] == 2:
            raise RuntimeError("boxes disagree")

    segmenter, model = recording(fault)
    sessions = [segmenter.open(picture(seed=seed)) for seed in range(5)]
    answers = ask_together(gate, model, sessions, [STAR, STAR, BOXED, RED, STAR])
    guilty = answers.pop(2)
    assert isinstance(guilty, SegmenterError)
    assert "boxes disagree" in str(guilty.__cause__)
    lone, _ = recording()
    for answer, seed, prompts in zip(answers, (0, 1, 3, 4), (STAR, STAR, RED, STAR), strict=True):
        assert close(answer, lone.open(picture(seed=seed)).segment(prompts))
    lone.close()
    segmenter.close()


def test_out_of_memory_shrinks_the_batch() -> None:
    gate = Gate()

    def fault(arguments: dict[str, Any]) -> None:
        gate(arguments)
        if len(arguments["find_input"].img_ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    segmenter, model = recording(fault)
    sessions = [segmenter.open(picture(seed=seed)) for seed in range(4)]
    answers = ask_together(gate, model, sessions, [STAR] * 4)
    assert not any(isinstance(answer, Exception) for answer in answers)
    assert all(size == 1 for size in model.batches[-3:])
    segmenter.close()


def test_a_request_that_does_not_fit_alone() -> None:
    def fault(_: dict[str, Any]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    segmenter, model = recording(fault)
    session = segmenter.open(picture())
    with pytest.raises(OutOfMemory, match="alone"):
        session.segment(STAR)
    model.fault = lambda _: None
    assert len(session.segment(STAR)) > 0
    segmenter.close()


def test_features_of_images_make_room_before_a_request_is_given_up() -> None:
    short_of_memory = [True]

    def fault(_: dict[str, Any]) -> None:
        if short_of_memory and short_of_memory.pop():
            raise torch.OutOfMemoryError("CUDA out of memory")

    segmenter, model = recording(fault)
    sessions = [segmenter.open(picture(seed=seed)) for seed in range(2)]
    assert len(sessions[0].segment(STAR)) > 0
    assert len(sessions[1].segment(STAR)) > 0
    assert model.images == [1, 1, 1]  # what had made room was encoded again
    segmenter.close()


def test_scores_that_are_not_numbers_are_an_error() -> None:
    broken = build_nano(TINY, ["star"])
    torch.nn.init.constant_(broken.dot_prod_scoring.hs_proj.bias, float("nan"))
    forward = Sam3Forward(broken, torch.device("cpu"), max_text_bytes=0)
    (features,) = forward.encode([torch.zeros(3, TINY.resolution, TINY.resolution, dtype=torch.uint8)])
    with pytest.raises(SegmenterError, match="not finite"):
        forward.ground([Query(features, "star")])


def test_an_image_that_cannot_be_read_hurts_nobody() -> None:
    segmenter, _ = recording()
    session = segmenter.open(picture())
    with pytest.raises(SegmenterError, match="could not be read"):
        segmenter.open(Image.new("RGB", (0, 5)))
    assert len(session.segment(STAR)) > 0
    segmenter.close()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_are_converted(mode: str) -> None:
    segmenter, _ = recording()
    converted = picture().convert(mode)
    one, other = (segmenter.open(image).segment(STAR) for image in (converted, converted.convert("RGB")))
    assert same(one, other)
    segmenter.close()


def test_what_counts_as_out_of_memory() -> None:
    for error in (
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("MPS backend out of memory"),
    ):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
