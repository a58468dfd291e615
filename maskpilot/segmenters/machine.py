"""What this machine offers a segmenter, found out without building one."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["SAM3_FILE", "SAM3_REPOSITORY", "cached_weights", "free_memory", "torch_facts"]

SAM3_REPOSITORY, SAM3_FILE = "facebook/sam3", "sam3.pt"


def torch_facts() -> tuple[str, str]:
    """Version of torch, and the device that "auto" means: "cpu", or CUDA's with its name and memory.

    Raises:
        ImportError, OSError, RuntimeError: torch, torchvision or their libraries are missing or do not fit.
    """
    import torch  # noqa: PLC0415 (heavy)
    import torchvision  # noqa: F401, PLC0415 (of another release, it fails here)

    if not torch.cuda.is_available():
        return torch.__version__, "cpu"
    about = torch.cuda.get_device_properties(0)
    return torch.__version__, f"cuda: {about.name}, {about.total_memory / 1e9:.0f} GB"


def cached_weights() -> Path | None:
    """SAM 3's checkpoint in the Hugging Face hub's cache; None where it was never downloaded."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (half a second)

    found = try_to_load_from_cache(SAM3_REPOSITORY, SAM3_FILE)
    return Path(found) if isinstance(found, str) else None


def free_memory(told: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of main memory that can be had without swapping; None where the system does not tell."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", told.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
