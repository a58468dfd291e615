"""Checkpoints: found, refused, read, and put into a model."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError
from safetensors.torch import save_file
from sam3.model.tokenizer_ve import SimpleTokenizer

from maskpilot.errors import WeightsUnavailable
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.weights import bpe_vocabulary, download_sam3, load_weights, read_weights, sha256


class Refusing:
    """A hub that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, repository: str, file: str) -> str:
        raise self.error


def gated() -> GatedRepoError:
    import httpx

    request = httpx.Request("GET", "https://huggingface.co/facebook/sam3/resolve/main/sam3.pt")
    return GatedRepoError("Access to it is restricted.", response=httpx.Response(403, request=request))


@pytest.mark.parametrize(
    "error", [gated(), LocalEntryNotFoundError("no connection"), OSError("timed out"), ValueError("")]
)
def test_a_refusing_hub_says_how_to_get_access(error: Exception) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        download_sam3(Refusing(error))
    for word in ("https://huggingface.co/facebook/sam3", "hf auth login", "checkpoint"):
        assert word in str(caught.value)
    assert caught.value.__cause__ is error


def test_the_hubs_file_is_used() -> None:
    assert download_sam3(lambda repository, file: f"/cache/{repository}/{file}") == Path(
        "/cache/facebook/sam3/sam3.pt"
    )


def weights(prefix: str = "") -> dict[str, torch.Tensor]:
    model = build_nano(TINY, ["star"], seed=1)
    return {prefix + name: tensor for name, tensor in model.state_dict().items() if "freqs_cis" not in name}


@pytest.mark.parametrize(
    "content",
    [
        weights(),
        weights("detector.") | {"tracker.memory": torch.zeros(3)},
        {"model": weights("module.")},
        {"model": weights("module.detector."), "epoch": 3},
    ],
    ids=["bare", "released", "wrapped", "fine-tuned"],
)
def test_checkpoints_load_however_they_were_saved(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "sam3.pt")
    model = build_nano(TINY, ["star"], seed=2)
    load_weights(model, read_weights(tmp_path / "sam3.pt"), tmp_path / "sam3.pt")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in weights().items())


def test_old_files_and_safetensors_load(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(weights(), tmp_path / "new.safetensors")
    for path in tmp_path.iterdir():
        assert read_weights(path).keys() == weights().keys()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a checkpoint")


def words(path: Path) -> None:
    path.write_bytes(b"hello world")  # which begins as a pickle may


def emptiness(path: Path) -> None:
    path.touch()


def a_list(path: Path) -> None:
    torch.save([1, 2], path)


def numbers(path: Path) -> None:
    torch.save({"model": {"a": 1}}, path)


@pytest.mark.parametrize("write", [garbage, words, emptiness, a_list, numbers])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_what_is_no_checkpoint_says_so(tmp_path: Path, write: Any, name: str) -> None:
    write(tmp_path / name)
    with pytest.raises(WeightsUnavailable, match="not a"):
        read_weights(tmp_path / name)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(WeightsUnavailable, match="no such checkpoint"):
            read_weights(tmp_path / name)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="not a"):
        read_weights(tmp_path)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("sprung"), "the trap sprang"))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trap.pt").write_bytes(pickle.dumps({"model": Trap()}, protocol=2))
    torch.save({"model": Trap()}, "trap2.pt")
    for name in ("trap.pt", "trap2.pt"):
        with pytest.raises(WeightsUnavailable):
            read_weights(Path(name))
    assert not Path("sprung").exists()


def test_weights_of_another_model_say_which_are_missing() -> None:
    model = build_nano(TINY, ["star"])
    incomplete = weights()
    del incomplete["transformer.decoder.query_embed.weight"]
    other_shape = weights() | {"transformer.decoder.query_embed.weight": torch.zeros(3)}
    for wrong in (incomplete, other_shape):
        with pytest.raises(WeightsUnavailable, match=r"1 of \d+ parameters .*decoder.query_embed"):
            load_weights(model, wrong, Path("x.pt"))
    with pytest.raises(WeightsUnavailable, match="not a checkpoint of this model"):
        load_weights(model, {}, Path("x.pt"))


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file").startswith("ba7816bf8f01cfea")


def test_the_bpe_vocabulary_is_clips() -> None:
    tokenizer = SimpleTokenizer(str(bpe_vocabulary()))
    assert tokenizer.vocab_size == 49408
    assert tokenizer("a photo of a cat", 8).tolist() == [[49406, 320, 1125, 539, 320, 2368, 49407, 0]]
