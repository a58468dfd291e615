"""Pickles that hold plain data: REFER ships its expressions as one.

A pickle is a program. This reader gives it no name to call, so all that it can build are the plain types.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from maskpilot.errors import DatasetError

__all__ = ["read_pickle"]


class _PlainData(pickle.Unpickler):
    """An unpickler that knows no classes and no functions."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(
            f"it asks for {module_name}.{global_name}, but only plain data is read: it may run code"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to {str(pid)[:60]!r}, outside the file")


def read_pickle(path: Path) -> Any:
    """Lists, dicts, texts and numbers from a pickle, perhaps one of Python 2.

    Raises:
        DatasetError: it cannot be read, is cut short, or wants more than plain data.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return _PlainData(io.BytesIO(source), encoding="utf-8").load()
    except pickle.UnpicklingError as error:
        raise DatasetError(f"{path}: this pickle is refused or damaged: {error}") from error
    except Exception as error:  # a damaged pickle raises almost anything
        raise DatasetError(
            f"{path}: damaged or truncated pickle ({type(error).__name__}: {error}); download it again"
        ) from error
