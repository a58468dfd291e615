"""Where weights come from, and how they get into a model: the hub, files, and errors that say what to do."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from maskpilot.errors import SegmenterError, WeightsUnavailable
from maskpilot.segmenters.machine import SAM3_FILE, SAM3_REPOSITORY

__all__ = ["bpe_vocabulary", "download_sam3", "load_weights", "read_weights", "sha256"]

HOW_TO_GET_SAM3 = """\
SAM 3's weights are free but gated. To get them:
  1. request access at https://huggingface.co/facebook/sam3
  2. when it is granted, log in on this machine: hf auth login
  3. run again; or download sam3.pt elsewhere and pass the file as the checkpoint
     (model.safetensors, beside it on the hub, is for another library)"""


def download_sam3(download: Callable[[str, str], str] | None = None) -> Path:
    """The checkpoint of `facebook/sam3` from the Hugging Face hub, or from its cache on this machine.

    Args:
        download: gets a file of a repository and says where it lies; the hub's own where not given.

    Raises:
        WeightsUnavailable: refused, or out of reach; the message says how to get access.
    """
    from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - half a second that a file never needs

    try:
        return Path((download or hf_hub_download)(SAM3_REPOSITORY, SAM3_FILE))
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsUnavailable(
            f"cannot get {SAM3_FILE} of {SAM3_REPOSITORY}: {reason}\n{HOW_TO_GET_SAM3}"
        ) from error


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a checkpoint, .safetensors or PyTorch's own, without running any code in it.

    The names are those of the image model: what a release, a fine-tuning run or several processes wrapped
    around it ("model", "module.", "detector.") is taken off, and the video tracker's part is left out.

    Raises:
        WeightsUnavailable: no such file, or not a checkpoint.
    """
    content: object
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
            )
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"no such checkpoint: {path}") from error
    except Exception as error:  # unpicklers raise almost anything on what is no pickle
        raise WeightsUnavailable(
            f"{path} is not a readable checkpoint: {type(error).__name__}: {error}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise WeightsUnavailable(f"{path} is not a checkpoint: expected named tensors, got other things")
    names = {name: name.removeprefix("module.") for name in content}
    if any(bare.startswith("detector.") for bare in names.values()):
        names = {name: bare for name, bare in names.items() if bare.startswith("detector.")}
    return {bare.removeprefix("detector."): content[name] for name, bare in names.items()}


def load_weights(model: nn.Module, weights: Mapping[str, torch.Tensor], source: Path) -> None:
    """Put weights into a model. Every parameter must be there; what the model does not know is ignored.

    Raises:
        WeightsUnavailable: parameters are missing or of other shapes.
    """
    parameters = dict(model.named_parameters())
    wrong = [
        name
        for name, parameter in parameters.items()
        if name not in weights or weights[name].shape != parameter.shape
    ]
    if wrong:
        raise WeightsUnavailable(
            f"{source} is not a checkpoint of this model: {len(wrong)} of {len(parameters)} parameters are "
            f"missing or of another shape, the first of them {wrong[0]}"
        )
    known = {name: tensor for name, tensor in weights.items() if name in parameters}
    model.load_state_dict(known, strict=False)  # not strict: buffers are computed when the model is built


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bpe_vocabulary() -> Path:
    """CLIP's BPE vocabulary, which SAM 3's wheel lacks: open_clip_torch ships the same file.

    Raises:
        SegmenterError: open_clip_torch is not installed.
    """
    spec = importlib.util.find_spec("open_clip")  # finds, does not import
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "bpe_simple_vocab_16e6.txt.gz"
        if path.is_file():
            return path
    raise SegmenterError(
        "SAM 3's tokenizer needs bpe_simple_vocab_16e6.txt.gz, which comes with open_clip_torch: "
        "pip install open-clip-torch"
    )
