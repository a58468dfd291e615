"""The small architecture and its tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sam3.model.sam3_image_processor import Sam3Processor

from maskpilot.segmenters.nano.config import TINY, NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.nano.tokenizer import END, START, NanoTokenizer
from tests.segmenters.pictures import picture


def test_sam3s_own_processor_runs_on_it() -> None:
    config = NanoConfig()
    processor = Sam3Processor(
        build_nano(config, ["star"]), config.resolution, "cpu", confidence_threshold=0.0
    )
    state = processor.set_text_prompt("star", processor.set_image(picture(90, 60)))
    assert state["masks"].shape == (config.queries, 1, 60, 90)


def test_a_seed_decides_the_weights_and_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, again, other = (build_nano(TINY, ["star"], seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(again[name], tensor) for name, tensor in one.items())
    assert not all(torch.equal(other[name], tensor) for name, tensor in one.items())
    assert all(tensor.isfinite().all() for tensor in one.values())


def test_queries_start_on_a_grid() -> None:
    decoder = build_nano(TINY, []).transformer.decoder
    assert not decoder.query_embed.weight.any()
    anchors = decoder.reference_points.weight.sigmoid()
    assert torch.allclose(anchors[:2, :2], torch.tensor([[0.125, 0.125], [0.375, 0.125]]))


@pytest.mark.parametrize(
    "wrong",
    [{"patch": 15}, {"vit_heads": 5}, {"width": 100}, {"heads": 3}, {"text_heads": 5}, {"stride": 48}],
)
def test_dimensions_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="NanoConfig: expected"):
        NanoConfig(**wrong)


def test_words_have_ids_of_their_own() -> None:
    tokenizer = NanoTokenizer(["red", "star"], context_length=6)
    red, star = tokenizer.encode("red star")
    assert red != star
    assert tokenizer("Red, STARS!").tolist() == [[START, red, star, END, 0, 0]]
    assert tokenizer(["star", "red"], context_length=4).tolist() == [
        [START, star, END, 0],
        [START, red, END, 0],
    ]


def test_every_id_is_in_the_vocabulary() -> None:
    tokenizer = NanoTokenizer(["red", "red", "star"], context_length=6)
    ids = tokenizer(["visual red star", "qwertz uiop asdf", "", "\N{SNOWMAN} 1 _"])
    assert int(ids.max()) < tokenizer.vocab_size
    assert tokenizer.words == ("visual", "red", "star")


def test_a_long_text_is_cut_and_still_ends() -> None:
    tokens = NanoTokenizer(["red"], context_length=5)("red " * 50)[0].tolist()
    assert (len(tokens), tokens[0], tokens[-1]) == (5, START, END)
