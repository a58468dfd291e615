"""The folder of an export: new or empty, or a former export that is replaced; never half written."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskpilot.errors import RunFolderError
from maskpilot.runfolder import LOCK, locked

__all__ = ["EXPORT", "NAMES", "PROBLEMS", "building", "publish"]

EXPORT, NAMES, PROBLEMS = "export.json", "names.json", "problems.jsonl"
"""What every export has beside the files of its format: the account of it, by which the folder is known to be
an export; images that are called something else than in their folder; images that could not be used."""

BUILDING = ".exporting-"


@contextmanager
def building(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder inside `out` to write an export to; it is removed at the end, whatever happens.

    Raises:
        RunFolderError: `out` holds something, or cannot be written; also where writing fails within.
    """
    _refuse_what_is_there(out, overwrite=overwrite)
    with locked(out):
        _refuse_what_is_there(out, overwrite=overwrite)
        try:
            for left_behind in out.glob(f"{BUILDING}*"):
                shutil.rmtree(left_behind)
            folder = Path(tempfile.mkdtemp(prefix=BUILDING, dir=out))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                (out / LOCK).unlink(missing_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"{out}: cannot be written ({error.strerror or error}); nothing of this export is left "
                "there. Make room, or choose another folder with --out"
            ) from error


def publish(folder: Path, out: Path, account: Mapping[str, Any]) -> None:
    """Move a finished export to its place, where it replaces a former one.

    Raises:
        OSError: the disk refuses.
    """
    folder.chmod(0o755)
    entries = sorted(path.name for path in folder.iterdir())
    content = json.dumps({**account, "entries": [*entries, EXPORT]}, indent=1) + "\n"
    (folder / EXPORT).write_text(content, encoding="utf-8")
    for entry in _former(out):
        path = out / entry
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    # The mark goes first: what is there when this is cut short is known to be an export.
    for entry in (EXPORT, *entries):
        (folder / entry).replace(out / entry)


def _refuse_what_is_there(out: Path, *, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise RunFolderError(f"{out}: is a file, expected a folder for the export")
    former = _former(out)
    foreign = sorted({path.name for path in out.iterdir() if not path.name.startswith(".")} - set(former))
    if foreign:
        raise RunFolderError(
            f"{out}: holds files that are not of an export ({foreign[0]}); choose a new or empty folder"
        )
    if former and not overwrite:
        raise RunFolderError(
            f"{out}: holds an export already; choose another folder, or replace it with --overwrite"
        )


def _former(out: Path) -> list[str]:
    """What a former export put there, its mark last; nothing where there is none."""
    mark = out / EXPORT
    if not mark.exists():
        return []
    try:
        entries = json.loads(mark.read_bytes())["entries"]
        names = [Path(entry).name for entry in entries]
        if names != entries or not names:
            raise ValueError("it names what is not in this folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{mark}: missing or damaged ({error}), so what of this folder is an export is not known; choose "
            "another one"
        ) from error
    return names
