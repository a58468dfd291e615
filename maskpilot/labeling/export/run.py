"""From a run folder to a data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from maskpilot.errors import ImageError, InvalidInput, RunFolderError
from maskpilot.labeling.export.names import is_text
from maskpilot.labeling.export.order import Order
from maskpilot.labeling.export.pictures import Images
from maskpilot.labeling.export.place import building, publish
from maskpilot.labeling.export.work import Work
from maskpilot.labeling.rows import plain
from maskpilot.labeling.store import LABELS, Store
from maskpilot.runfolder import RUN, RunFolder

__all__ = ["export"]


def export(order: Order, *, watch: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Write a data set of a run's labels.

    Args:
        order: what is to be written.
        watch: is told how many files are done, and of how many.

    Returns:
        The account that is also in export.json: figures, what a reader gets back, problems.

    Raises:
        RunFolderError: the run cannot be read, there is nothing to export, or the export cannot be written;
            then nothing of it is left.
        ImageError: the folder of images is gone.
        InvalidInput: the export would lie among the images, or in the run folder.
    """
    classes, images = _read_run(order)
    if order.out.resolve().is_relative_to(images.resolve()):
        raise InvalidInput(
            f"out: {order.out} lies in the folder of images, {images}, where the next run would label it; "
            "choose a folder outside"
        )
    if order.out.resolve().is_relative_to(order.run.resolve()):
        raise InvalidInput(
            f"out: {order.out} lies in the folder of the run, {order.run}, which could not be replaced with "
            "--overwrite then; choose a folder outside"
        )
    with (
        Store(order.run / LABELS, read_only=True) as store,
        building(order.out, overwrite=order.overwrite) as folder,
    ):
        total = store.labeled_file_count()
        with closing(Work(order, classes, images, folder, partial(_paths, store))) as work:
            for number, file in enumerate(store.labeled_files(), start=1):
                work.add(file)
                if watch is not None:
                    watch(number, total)
            account = work.finish(failed=len(store.failures()))
        publish(folder, order.out, account)
    return account


def _paths(store: Store, sha256: str) -> list[str]:
    """Where a content was seen, below the folder of images."""
    return [os.fsdecode(path) for (path,) in store.select("SELECT path FROM files WHERE sha256 = ?", sha256)]


def _read_run(order: Order) -> tuple[tuple[str, ...], Path]:
    """Names of the run's classes, and where its images are."""
    folder = RunFolder.open(order.run)
    record = folder.read_json(RUN)
    try:
        if record["command"] != "label":
            raise RunFolderError(
                f"{order.run}: is a run of {record['command']!r}; only runs of label are exported"
            )
        classes = tuple(plain(one["name"]) for one in record["settings"]["classes"])
        images = Path(order.image_folder or record["images"]).absolute()
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{order.run / RUN}: lacks what a run of label holds ({error!r})") from error
    if order.images is Images.reference:
        if not is_text(str(images)):
            raise InvalidInput(
                "images: the path of their folder is not plain text; take --images copy or link"
            )
    elif not images.is_dir():
        raise ImageError(f"{images}: no such folder; if the images moved, say where to with --image-folder")
    return classes, images
