"""What is installed here. Nothing is downloaded and no model is built."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from maskpilot.doctor.rows import Health, Row
from maskpilot.segmenters import NANO_WEIGHTS

__all__ = ["disk_row", "examine_machine", "python_row", "torch_row", "weights_row"]

OLDEST_PYTHON = (3, 11)
ROOM_FOR_WEIGHTS, ROOM_FOR_RUNS = 5.0, 1.0
"""Free gigabytes that are wanted: sam3.pt is one file of 3.4 GB, a run some MB an image."""

GET_WEIGHTS = (
    "request access at https://huggingface.co/facebook/sam3, then: hf auth login; they are downloaded when "
    "first used. Or pass a file with --checkpoint (docs/segmenters.md)"
)


def examine_machine(segmenter: str, checkpoint: Path | None, folder: Path) -> tuple[Row, ...]:
    """Rows on Python, torch and its device, weights, and disk space.

    Args:
        segmenter: whose weights are looked for.
        checkpoint: a file of weights in place of the usual ones.
        folder: where runs will go; its disk is looked at.
    """
    weights = weights_row(segmenter, checkpoint)
    rest = ROOM_FOR_RUNS if weights.health is Health.ok else ROOM_FOR_WEIGHTS
    free = shutil.disk_usage(folder).free / 1e9
    return (python_row(sys.version_info[:3]), torch_row(), weights, disk_row(free, rest))


def python_row(version: tuple[int, ...]) -> Row:
    said = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Row("Python", Health.ok, said)
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Row("Python", Health.failed, said, f"install Python {wanted} or newer")


def torch_row(facts: Callable[[], tuple[str, str]] | None = None) -> Row:
    """Which torch, on which device.

    Args:
        facts: version of torch and name of the device that "auto" means; found out where not given.
    """
    try:
        version, device = (facts or _torch_facts)()
    except (ImportError, OSError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        fix = "pip install torch torchvision of one release (docs/dependencies.md)"
        return Row("torch", Health.failed, said, fix)
    if device == "cpu":
        detail = f"{version} on the CPU: SAM 3 in full size takes half a minute an image"
        return Row("torch", Health.note, detail, "use a machine with CUDA for more than a few images")
    return Row("torch", Health.ok, f"{version} on {device}")


def weights_row(
    segmenter: str, checkpoint: Path | None, cached: Callable[[], Path | None] | None = None
) -> Row:
    """Whether the segmenter's weights are here.

    Args:
        segmenter: "sam3", "nano" or "untrained".
        checkpoint: a file to use instead.
        cached: finds sam3's file in the hub's cache; looked for where not given.
    """
    check = f"weights of {segmenter}"
    if segmenter == "untrained":
        return Row(check, Health.note, "none needed: its masks are meaningless", "use sam3 for real work")
    if checkpoint is not None:
        found, missing, fix = checkpoint, f"no such file: {checkpoint}", "see --checkpoint"
    elif segmenter == "nano":
        found, missing, fix = NANO_WEIGHTS, "this version comes without them", "use --segmenter sam3"
    else:
        cache = (cached or _cached_weights)()
        found, missing, fix = cache or Path(), "not in the hub's cache on this machine", GET_WEIGHTS
    if not found.is_file():
        return Row(check, Health.failed, missing, fix)
    return Row(check, Health.ok, f"{found} ({found.stat().st_size / 1e6:.1f} MB)")


def disk_row(free: float, wanted: float) -> Row:
    """Whether there is room.

    Args:
        free, wanted: gigabytes.
    """
    if free >= wanted:
        return Row("disk", Health.ok, f"{free:.0f} GB free")
    return Row("disk", Health.failed, f"{free:.1f} GB free", f"make room: {wanted:g} GB are wanted")


def _torch_facts() -> tuple[str, str]:
    from maskpilot.segmenters.machine import torch_facts  # noqa: PLC0415 - brings torch

    return torch_facts()


def _cached_weights() -> Path | None:
    from maskpilot.segmenters.machine import cached_weights  # noqa: PLC0415 - half a second

    return cached_weights()
