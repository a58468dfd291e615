"""The folder of an export: new or empty, or a former export that is replaced; never half written.

An export is written to a hidden folder inside. Once that is complete, and on the disk, it is renamed, and
from then on whoever comes next puts it in its place, should this be cut short.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskpilot.errors import RunFolderError
from maskpilot.runfolder import locked

__all__ = ["EXPORT", "NAMES", "PROBLEMS", "READY", "building", "moves", "publish"]

EXPORT, NAMES, PROBLEMS = "export.json", "names.json", "problems.jsonl"
"""What every export has beside the files of its format: the account of it, by which the folder is known to be
an export; images that are called something else than in their folder; images that could not be used."""

BUILDING, READY = ".exporting-", ".exported"
"""What the hidden folder's name begins with, and what it is called once it holds a complete export."""

FORMER = f"{BUILDING}former"
"""Where the export that is replaced lies until it is removed."""


@contextmanager
def building(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder inside `out` to write an export to; it is removed at the end, whatever happens.

    An earlier export that was complete, but not yet in its place, is put there first.

    Raises:
        RunFolderError: `out` holds something, or cannot be written; also where writing fails within.
    """
    if not (out / READY).exists():
        _refuse_what_is_there(out, overwrite=overwrite)
    with locked(out):
        try:
            _finish(out)
            _refuse_what_is_there(out, overwrite=overwrite)
            for left_behind in out.glob(f"{BUILDING}*"):
                shutil.rmtree(left_behind)
            folder = Path(tempfile.mkdtemp(prefix=BUILDING, dir=out))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise RunFolderError(
                f"{out}: cannot be written ({error.strerror or error}); nothing of this export is left "
                "there. Make room, or choose another folder with --out"
            ) from error


def publish(folder: Path, out: Path, account: Mapping[str, Any]) -> None:
    """Move a finished export to its place, where it replaces a former one.

    Raises:
        OSError: the disk refuses, and `out` is as it was.
        RunFolderError: it refuses later; the next export to this folder goes on with it.
    """
    entries = sorted(path.name for path in folder.iterdir())
    content = json.dumps({**account, "entries": [*entries, EXPORT]}, indent=1) + "\n"
    (folder / EXPORT).write_text(content, encoding="utf-8")
    # A power cut must leave no names of empty files. (For each file in turn, this would take as long as all
    # that came before.)
    os.sync()
    folder.rename(out / READY)
    _finish(out)


def moves(out: Path) -> Iterator[None]:
    """Put a complete export in its place, one rename a step; begun again, it goes on where it was cut short.

    The former export's mark goes first and the new one's comes last: where a mark is, all that it names is.

    Raises:
        OSError: the disk refuses.
        RunFolderError: the former export's mark is damaged.
    """
    ready, former = out / READY, out / FORMER
    if (ready / EXPORT).exists():
        former.mkdir(exist_ok=True)
        if (out / EXPORT).exists():
            _entries(out)
            (out / EXPORT).rename(former / EXPORT)
            yield
        new, waiting = _entries(ready)[:-1], _names(ready)
        here = _names(out) - _names(former)
        for name in _entries(former)[:-1]:
            if name in here and (name in waiting or name not in new):  # otherwise it is a new one
                (out / name).rename(former / name)
                yield
        for name in new:
            if name in waiting:
                (ready / name).rename(out / name)
                yield
        (ready / EXPORT).rename(out / EXPORT)
        yield
    for done in (ready, former):
        if done.exists():
            shutil.rmtree(done)


def _finish(out: Path) -> None:
    try:
        for _ in moves(out):
            pass
    except OSError as error:
        raise RunFolderError(
            f"{out}: an export is complete there, in {READY}, and cannot be put in its place "
            f"({error.strerror or error}); the next export to this folder goes on with that"
        ) from error


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _refuse_what_is_there(out: Path, *, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise RunFolderError(f"{out}: is a file, expected a folder for the export")
    former = _entries(out)
    foreign = sorted({name for name in _names(out) if not name.startswith(".")} - set(former))
    if foreign:
        raise RunFolderError(
            f"{out}: holds files that are not of an export ({foreign[0]}); choose a new or empty folder"
        )
    if former and not overwrite:
        raise RunFolderError(
            f"{out}: holds an export already; choose another folder, or replace it with --overwrite"
        )


def _entries(folder: Path) -> list[str]:
    """What an export put there, its mark last; nothing where there is none."""
    mark = folder / EXPORT
    if not mark.exists():
        return []
    try:
        entries = json.loads(mark.read_bytes())["entries"]
        names = [Path(entry).name for entry in entries]
        if names != entries or not names or names[-1] != EXPORT:
            raise ValueError("it names what is not in this folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{mark}: missing or damaged ({error}), so what of this folder is an export is not known; choose "
            "another one"
        ) from error
    return names
