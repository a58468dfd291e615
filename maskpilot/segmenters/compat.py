"""What sam3 0.1.4 needs to run off CUDA and without triton: every mend in one place.

sam3/model/edt.py:6                  imports triton               -> `prepare_import`, a stand-in for edt.py
sam3/model/position_encoding.py:47   makes tensors on "cuda"      -> `building_on`, while the model is built
sam3/model/decoder.py:281            makes tensors on "cuda"      -> `building_on`, while the model is built
sam3/model/geometry_encoders.py:659  pins memory                  -> `prepare_import`, in `_encode_boxes`
sam3/perflib/nms.py:16               gives the root log a handler -> `prepare_import`, taken away again

Nothing here changes a result, and nothing but the last takes effect on CUDA.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["building_on", "prepare_import"]

_lock = threading.Lock()


def prepare_import() -> None:
    """Import sam3 so that it works on this machine; to be called before any other import of sam3."""
    with _lock, warnings.catch_warnings():
        # sam3 uses deprecated parts of torch, and CUDA's autocast in decorators: nothing for users to mend.
        warnings.simplefilter("ignore")
        if importlib.util.find_spec("triton") is None:
            sys.modules.setdefault("sam3.model.edt", _without_kernels())
        with _root_log_untouched():
            importlib.import_module("sam3.perflib.nms")
        _encode_boxes_without_pinning(importlib.import_module("sam3.model.geometry_encoders"))


@contextmanager
def _root_log_untouched() -> Iterator[None]:
    """Without the handler that `logging.debug` gives the root log, which prints all libraries' logs."""
    before = list(logging.root.handlers)
    yield
    for handler in [one for one in logging.root.handlers if one not in before]:
        logging.root.removeHandler(handler)


@contextmanager
def building_on(device: torch.device | str) -> Iterator[None]:
    """Tensors that sam3's constructors put on "cuda" go to `device` instead. For this thread only."""
    with _OnDevice(torch.device(device)):
        yield


class _OnDevice(TorchFunctionMode):
    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") == "cuda":
            kwargs["device"] = self.device
        return func(*args, **kwargs)


class _WithoutPinning(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.pin_memory:
            return args[0]
        return func(*args, **(kwargs or {}))


def _encode_boxes_without_pinning(module: Any) -> None:
    encoder = module.SequenceGeometryEncoder
    original = encoder._encode_boxes
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def encode_boxes(self: Any, boxes: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if boxes.is_cuda:
            return original(self, boxes, *args, **kwargs)
        with _WithoutPinning():
            return original(self, boxes, *args, **kwargs)

    encoder._encode_boxes = encode_boxes


def _without_kernels() -> ModuleType:
    """In place of sam3/model/edt.py, whose one function picks points to click on in videos, on CUDA."""

    def edt_triton(data: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("sam3's distance transform needs triton, which is not installed")

    module = ModuleType("sam3.model.edt")
    vars(module).update(edt_triton=edt_triton)
    return module
