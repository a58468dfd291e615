"""Data sets, read in the layout that a user has after the download.

    dataset = open_dataset("reasonseg", Path("data/ReasonSeg"), split="val")
    for sample in dataset:
        loaded, truth = dataset.image(sample), dataset.truth(sample)

Adding one is a file beside these and a line in `_OPENERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets import coco, folder, reasonseg, refcoco, saco, scenes
from maskpilot.evals.datasets.entry import About, Options
from maskpilot.evals.types import Dataset

__all__ = ["DATASETS", "About", "open_dataset"]

Opener = Callable[[Path, Options], Dataset]

_OPENERS: Mapping[str, tuple[About, Opener]] = {
    "reasonseg": (reasonseg.ABOUT, reasonseg.open_reasonseg),
    **{
        name: (refcoco.ABOUT[name], partial(refcoco.open_refcoco, name))
        for name in ("refcoco", "refcoco+", "refcocog")
    },
    "grefcoco": (refcoco.ABOUT["grefcoco"], refcoco.open_grefcoco),
    **{name: (about, partial(saco.open_saco, name)) for name, about in saco.ABOUT.items()},
    **{name: (about, partial(coco.open_coco, name)) for name, about in coco.ABOUT.items()},
    "folder": (folder.ABOUT, folder.open_folder),
    "scenes": (scenes.ABOUT, lambda _, options: scenes.open_scenes(options)),
}

DATASETS: Mapping[str, About] = MappingProxyType({name: about for name, (about, _) in _OPENERS.items()})
"""What there is, by name: licence, citation, home, layout, splits, metrics."""


def open_dataset(
    name: str,
    path: Path | None = None,
    *,
    split: str | None = None,
    seed: int = 0,
    count: int | None = None,
    negatives: int | None = 1,
) -> Dataset:
    """Open a data set: annotation files are read, images and masks only when asked for.

    Args:
        name: one of DATASETS.
        path: its folder; "scenes" takes none.
        split: as the data set calls it; its default where None.
        seed: of what is drawn: scenes, absent classes.
        count: scenes to draw; other data sets take none.
        negatives: absent classes to ask for in each image of coco and lvis; all where None.

    Raises:
        DatasetError: a file is missing (the message says where it comes from), damaged or contradictory.
        InvalidInput: no such data set or split, no path, or one or a count where none is taken.
    """
    if name not in _OPENERS:
        raise InvalidInput(f"no data set {name!r}; there are {', '.join(DATASETS)}")
    about, opener = _OPENERS[name]
    if not about.needs_path:
        if path is not None:
            raise InvalidInput(f"{name} takes no --path: it is drawn; leave it out, or name another data set")
        return opener(Path(), Options(split, seed, count, negatives))
    if count is not None:
        raise InvalidInput(f"{name} takes no --count: it draws scenes; --limit of eval takes fewer samples")
    if path is None:
        raise InvalidInput(f"{name} needs --path: a folder with {about.layout}")
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder; {name} is to be had from {about.home}")
    return opener(path, Options(split, seed, count, negatives))
