"""Appending to a file of lines so that it only ever holds whole ones."""

from __future__ import annotations

import contextlib
import io
import os

__all__ = ["append_line"]


def append_line(file: io.FileIO, line: bytes) -> None:
    """Write a line at the end of an unbuffered file; it is on disk when the call returns.

    Where a full disk or Ctrl-C cuts it off, what was written of the line is taken back.

    Raises:
        OSError: the disk is full or refuses; the file is as it was before.
    """
    begin = file.seek(0, os.SEEK_END)
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except BaseException as error:
        if line or isinstance(error, OSError):  # Ctrl-C behind a whole line leaves it there
            with contextlib.suppress(OSError):
                file.truncate(file.seek(begin))
        raise
