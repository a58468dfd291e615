"""Ready-made segmenters: the architecture built, the weights found, both put together."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch

from maskpilot.errors import InvalidInput, WeightsUnavailable
from maskpilot.segmenters import NANO_WEIGHTS, compat, weights
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.sam3 import Sam3Segmenter

__all__ = ["build_sam3", "load_nano", "load_sam3", "load_untrained", "resolve_device"]

SAM3_RESOLUTION = 1008  # what the released weights are trained at: sam3/model/sam3_image_processor.py:17
UNTRAINED_VOCABULARY = ("circle", "square", "triangle", "star", "ring", "red", "green", "blue", "yellow")
UNTRAINED_SEED = 1
"""With it, scores lie around a half, so that thresholds do something."""


def load_sam3(checkpoint: Path | None = None, device: str = "auto") -> Sam3Segmenter:
    """SAM 3 in full size, with the weights of a file or else of `facebook/sam3` on the Hugging Face hub.

    Raises:
        WeightsUnavailable: the message says how to get access, or what is wrong with the file.
        InvalidInput: there is no such device.
    """
    where = resolve_device(device)
    path = checkpoint or weights.download_sam3()
    tensors = weights.read_weights(path)  # first: it fails faster than a model is built
    model = build_sam3(where)
    weights.load_weights(model, tensors, path)
    return Sam3Segmenter(
        model, name="sam3", resolution=SAM3_RESOLUTION, device=where, facts=partial(_file_facts, path)
    )


def build_sam3(device: torch.device | str, *, seed: int = 0) -> Any:
    """The full-size `Sam3Image` (840 M parameters, 3.4 GB) with random weights, in eval mode."""
    compat.prepare_import()
    from sam3.model_builder import build_sam3_image_model  # noqa: PLC0415 - after the mends

    with torch.random.fork_rng(devices=[]), compat.building_on(device), torch.no_grad():
        torch.manual_seed(seed)
        model = build_sam3_image_model(
            bpe_path=str(weights.bpe_vocabulary()), device="cpu", load_from_HF=False
        )
        text = model.backbone.language_backbone.encoder
        for parameter in (text.positional_embedding, text.text_projection):
            parameter.normal_(std=0.01)  # sam3 leaves them as uninitialised memory
    return model.to(device)


def load_nano(checkpoint: Path | None = None, device: str = "auto") -> Sam3Segmenter:
    """The small SAM 3 with trained weights; a .json of the same name says its dimensions and vocabulary.

    Raises:
        WeightsUnavailable: there are none, or they are not of this model.
        InvalidInput: there is no such device.
    """
    where = resolve_device(device)
    path = checkpoint or NANO_WEIGHTS
    if checkpoint is None and not path.is_file():
        raise WeightsUnavailable(
            'this version of maskpilot comes without trained weights for "nano"; use "sam3", or "untrained" '
            "where random masks will do"
        )
    tensors = weights.read_weights(path)
    try:
        about = json.loads(path.with_suffix(".json").read_text())
        config, vocabulary = NanoConfig(**about["config"]), about["vocabulary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(
            f"{path.with_suffix('.json')} does not describe a nano model: {error}"
        ) from error
    model = build_nano(config, vocabulary, device=where)
    weights.load_weights(model, tensors, path)
    return Sam3Segmenter(
        model, name="nano", resolution=config.resolution, device=where, facts=partial(_file_facts, path)
    )


def load_untrained(
    device: str = "auto", *, config: NanoConfig | None = None, seed: int = UNTRAINED_SEED
) -> Sam3Segmenter:
    """The small SAM 3 with random weights: everything works, and every mask is meaningless.

    The same seed gives the same masks.

    Raises:
        InvalidInput: there is no such device.
    """
    where = resolve_device(device)
    config = config or NanoConfig(stride=32)  # 49 candidates are enough where all are meaningless
    model = build_nano(config, UNTRAINED_VOCABULARY, seed=seed, device=where)
    _spread_scores(model, seed)
    facts = {"weights": "untrained: random numbers", "seed": str(seed)}
    return Sam3Segmenter(
        model, name="untrained", resolution=config.resolution, device=where, facts=lambda: facts
    )


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. `mps` is allowed and untested.

    Raises:
        InvalidInput: not a device, or not one of this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name.partition(":")[0] not in available:
        raise InvalidInput(f"device: expected auto, cpu, cuda or mps, got {name!r}")
    if not available[name.partition(":")[0]]:
        raise InvalidInput(f"device: {name} was asked for, but torch finds none here; use auto or cpu")
    try:
        where = torch.device(name)
    except RuntimeError as error:
        raise InvalidInput(f"device: {name!r} is none; say for example cpu, cuda or cuda:1") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise InvalidInput(f"device: {name} was asked for, torch finds {torch.cuda.device_count()} here")
    return where


def _file_facts(path: Path) -> dict[str, str]:
    return {"checkpoint": path.name, "checkpoint_sha256": weights.sha256(path)}


def _spread_scores(model: Any, seed: int) -> None:
    """Make candidates, which start out alike, and their scores differ."""
    embedding = model.transformer.decoder.query_embed.weight
    with torch.no_grad():
        numbers = torch.Generator().manual_seed(seed)
        embedding.copy_(torch.randn(embedding.shape, generator=numbers))
        model.dot_prod_scoring.prompt_proj.weight.mul_(4)
        model.transformer.decoder.presence_token_head.layers[-1].bias.fill_(0.7)
