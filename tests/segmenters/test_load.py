"""Segmenters by name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maskpilot.errors import InvalidInput, WeightsUnavailable
from maskpilot.segmenters import NANO_WEIGHTS, SEGMENTERS, load_segmenter
from maskpilot.segmenters.load import load_nano, load_untrained, resolve_device
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.sam3 import Sam3Segmenter
from maskpilot.types import PromptState
from tests.segmenters.pictures import picture, same

STAR = PromptState("star", threshold=0.1)


def save_tiny(folder: Path) -> Path:
    model = build_nano(TINY, ["star"], seed=3)
    save_file({name: value.detach() for name, value in model.named_parameters()}, folder / "tiny.safetensors")
    about = {"config": asdict(TINY), "vocabulary": ["star"]}
    (folder / "tiny.json").write_text(json.dumps(about))
    return folder / "tiny.safetensors"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=", ".join(SEGMENTERS)):
        load_segmenter("sam2")


def test_untrained_says_that_it_is() -> None:
    segmenter = load_segmenter("untrained", device="cpu")
    assert segmenter.name == "untrained"
    assert "untrained" in segmenter.provenance["weights"]
    assert segmenter.provenance["seed"] == "1"
    assert {"torch", "sam3", "device", "dtype"} <= segmenter.provenance.keys()
    segmenter.close()
    with pytest.raises(InvalidInput, match="takes no checkpoint"):
        load_segmenter("untrained", checkpoint=Path("x.pt"))


def test_a_seed_decides_the_masks() -> None:
    finds = []
    for seed in (1, 1, 2):
        segmenter = load_untrained("cpu", config=TINY, seed=seed)
        finds.append(segmenter.open(picture()).segment(STAR))
        segmenter.close()
    assert same(finds[0], finds[1])
    assert not same(finds[0], finds[2])


def test_nano_loads_what_was_saved(tmp_path: Path) -> None:
    path = save_tiny(tmp_path)
    loaded = load_segmenter("nano", checkpoint=path, device="cpu")
    original = Sam3Segmenter(build_nano(TINY, ["star"], seed=3), name="x", resolution=TINY.resolution)
    assert same(loaded.open(picture()).segment(STAR), original.open(picture()).segment(STAR))
    assert loaded.provenance["checkpoint"] == "tiny.safetensors"
    assert len(loaded.provenance["checkpoint_sha256"]) == 64
    loaded.close()
    original.close()


@pytest.mark.skipif(NANO_WEIGHTS.is_file(), reason="this version ships them")
def test_nano_without_weights_says_what_to_use() -> None:
    with pytest.raises(WeightsUnavailable, match="untrained"):
        load_nano(device="cpu")


@pytest.mark.parametrize("about", ["", "{}", '{"config": {"size": 3}, "vocabulary": []}'])
def test_nano_needs_its_description(tmp_path: Path, about: str) -> None:
    path = save_tiny(tmp_path)
    path.with_suffix(".json").write_text(about)
    with pytest.raises(WeightsUnavailable, match="does not describe"):
        load_nano(path, "cpu")


def test_sam3_reads_the_checkpoint_before_it_builds_the_model(tmp_path: Path) -> None:
    (tmp_path / "sam3.pt").write_bytes(b"garbage")
    with pytest.raises(WeightsUnavailable, match="not a readable checkpoint"):
        load_segmenter("sam3", checkpoint=tmp_path / "sam3.pt", device="cpu")


def test_devices() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(InvalidInput, match="expected auto, cpu, cuda or mps"):
        resolve_device("tpu")
    with pytest.raises(InvalidInput, match="'cpu:x' is none"):
        resolve_device("cpu:x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_missing_device_says_so() -> None:
    with pytest.raises(InvalidInput, match="torch finds none here"):
        resolve_device("cuda:0")


def test_importing_the_package_does_not_import_torch() -> None:
    check = (
        "import sys, maskpilot.segmenters, maskpilot.segmenters.scripted, maskpilot.segmenters.base;"
        "assert not {'torch', 'sam3', 'torchvision'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
