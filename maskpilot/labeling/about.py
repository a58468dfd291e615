"""What run.json says of a labeling run, and whether a run folder holds the same one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maskpilot.crew.settings import differences
from maskpilot.errors import RunFolderError
from maskpilot.runfolder import RUN, RunFolder, locked, versions

__all__ = ["check_folder", "take_up"]


def check_folder(path: Path, *, overwrite: bool = False) -> None:
    """See that a folder is new or holds a run of labeling: what `take_up` can say without a segmenter.

    It is left as it was.

    Raises:
        RunFolderError: it is in use, holds something else, or cannot be written.
    """
    with locked(path):  # which removes what is made here
        if not overwrite and (path / RUN).is_file():
            _about(path)
        else:
            RunFolder.create(path, overwrite=overwrite)


def take_up(path: Path, images: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Make a run folder, or see that it is one of the same run; the caller holds it (`runfolder.locked`).

    Args:
        path: the run folder.
        images: folder that the files' paths are relative to.
        settings: all that the labels depend on, as plain JSON data with a numbered mapping of "classes".
        overwrite: replace what it holds.

    Raises:
        RunFolderError: it holds another run or one with other settings, or cannot be written.
    """
    where = str(images.resolve())
    if not overwrite and (path / RUN).is_file():
        about = _about(path)
        before = {"images": about.get("images"), **_numbered(about["settings"])}
        changed = differences(before, {"images": where, **_numbered(settings)})
        if changed:
            listed = "\n  ".join(changed)
            moved = (
                f'; where only the folder of images was moved, write its new place into {RUN}: "images"'
                if before["images"] != where
                else ""
            )
            raise RunFolderError(
                f"{path}: holds a run with other settings, so that it cannot be gone on with:\n  {listed}\n"
                f"use the same settings, or another folder, or begin anew with --overwrite{moved}"
            )
        return
    folder = RunFolder.create(path, overwrite=overwrite)
    folder.clear()
    about = {
        "schema": 1,
        "command": "label",
        "images": where,
        "settings": {**settings, "classes": list(_numbered(settings)["classes"].values())},
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder.write_json(RUN, about)


def _about(path: Path) -> dict[str, Any]:
    about = RunFolder.open(path).read_json(RUN)
    if about.get("command") != "label":
        raise RunFolderError(
            f"{path}: holds a run of {about.get('command')!r}; choose another folder, or replace it with "
            "--overwrite"
        )
    if not isinstance(about.get("settings"), dict):
        raise RunFolderError(f"{path / RUN}: lacks the settings of the run")
    return about


def _numbered(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With classes by number, so that differences between them show one by one."""
    classes = settings.get("classes", ())
    if not isinstance(classes, Mapping):
        classes = {str(number): one for number, one in enumerate(classes, start=1)}
    return {**settings, "classes": classes}
