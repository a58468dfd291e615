"""sam3 off CUDA and without triton."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from maskpilot.segmenters import compat

RUN_WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # what `import triton` meets where it is not installed
from maskpilot.segmenters.load import load_untrained
from maskpilot.segmenters.nano.config import TINY
from maskpilot.types import Box, Exemplar, PromptState
from PIL import Image
session = load_untrained("cpu", config=TINY).open(Image.new("RGB", (30, 20)))
prompts = PromptState(None, (Exemplar(Box(0, 0, 9, 9), True),), threshold=0.0)
assert len(session.segment(prompts)) == TINY.queries
assert sys.modules["triton"] is None
"""


def test_without_triton() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", RUN_WITHOUT_TRITON], check=True)


def test_what_other_libraries_log_is_not_printed_twice() -> None:
    code = "import logging; from maskpilot.segmenters import load; assert not logging.root.handlers"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_with_triton_sam3s_own_kernel_is_in_place() -> None:
    triton = pytest.importorskip("triton")
    compat.prepare_import()
    assert sys.modules["sam3.model.edt"].triton is triton


def test_mending_twice_is_mending_once() -> None:
    compat.prepare_import()
    encoder = sys.modules["sam3.model.geometry_encoders"].SequenceGeometryEncoder
    mended = encoder._encode_boxes
    compat.prepare_import()
    assert encoder._encode_boxes is mended


def test_constructors_that_say_cuda_get_the_device_in_use() -> None:
    with compat.building_on("meta"):
        assert torch.zeros(2, device="cuda").device.type == "meta"
        assert torch.zeros(2, device="cpu").device.type == "cpu"
        assert torch.zeros(2).device.type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="memory can be pinned")
def test_the_mends_end_with_their_block() -> None:
    with compat.building_on("cpu"):
        pass
    with pytest.raises((AssertionError, RuntimeError)):
        torch.zeros(1, device="cuda")
    with pytest.raises((AssertionError, RuntimeError)):
        torch.zeros(1).pin_memory()
