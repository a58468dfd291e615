"""Segmenters: what finds masks.

`base` says what one is; `load_segmenter` gets one by name. Importing this package does not import torch.
"""

from __future__ import annotations

from pathlib import Path

from maskpilot.errors import InvalidInput
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.segmenters.interrupts import interrupts_held

__all__ = ["NANO_WEIGHTS", "SEGMENTERS", "ImageSession", "Segmenter", "load_segmenter"]

NANO_WEIGHTS = Path(__file__).parent / "nano" / "weights" / "nano.safetensors"
"""Where the trained weights of the small SAM 3 lie; they come with the package."""

SEGMENTERS = {
    "sam3": "SAM 3 in full size; its weights are gated on the Hugging Face hub",
    "nano": "a small SAM 3 trained on drawn scenes, for demos and tests on a CPU",
    "untrained": "the small SAM 3 with random weights: everything works, and every mask is meaningless",
}


def load_segmenter(name: str, *, checkpoint: Path | None = None, device: str = "auto") -> Segmenter:
    """Load a segmenter by its name in `SEGMENTERS`.

    Args:
        name: "sam3", "nano" or "untrained".
        checkpoint: a file of weights to use in place of the usual ones; "untrained" takes none.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "mps" (untested).

    Raises:
        InvalidInput: an unknown name or device, or a checkpoint for "untrained".
        WeightsUnavailable: the weights are missing, refused or not of this model; it says what to do.
    """
    if name not in SEGMENTERS:
        raise InvalidInput(f"segmenter: expected one of {', '.join(SEGMENTERS)}, got {name!r}")
    if name == "untrained" and checkpoint is not None:
        raise InvalidInput('segmenter "untrained" takes no checkpoint; use "nano" or "sam3"')
    with interrupts_held():
        from maskpilot.segmenters import load  # noqa: PLC0415 - brings torch

    if name == "sam3":
        return load.load_sam3(checkpoint, device)
    if name == "nano":
        return load.load_nano(checkpoint, device)
    return load.load_untrained(device)
