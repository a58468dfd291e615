"""RefCOCO, RefCOCO+, RefCOCOg in the layout of REFER, and gRefCOCO: one sample a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from maskpilot.annotations.cocofile import CocoFile, is_id, read_coco
from maskpilot.annotations.files import check_id, field, first_that_exists, inside, read_json, safe_id
from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets.entry import About, Listed, Options, Record, as_written
from maskpilot.evals.datasets.pickles import read_pickle
from maskpilot.evals.types import Dataset, Sample, Truth

__all__ = ["ABOUT", "open_grefcoco", "open_refcoco"]

REFER = "https://github.com/lichengunc/refer"
GREFER = "https://github.com/henghuiding/gRefCOCO"
IMAGES = "images: COCO train2014 (https://cocodataset.org), under their own Flickr licences"
YU = "Yu et al., Modeling Context in Referring Expressions, ECCV 2016, arXiv 1608.00272"
MAO = (
    "Mao et al., Generation and Comprehension of Unambiguous Object Descriptions, CVPR 2016, arXiv 1511.02283"
)
LIU = "Liu, Ding and Jiang, GRES: Generalized Referring Expression Segmentation, CVPR 2023, arXiv 2306.00968"
LEVELS = tuple(f"p_at_{percent}" for percent in (50, 60, 70, 80, 90))
LAYOUT = (
    "{name}/refs(PARTITION).p, {name}/instances.json and COCO's train2014/ (perhaps in images/mscoco/images/)"
)


def _about(name: str, citation: str, splits: tuple[str, ...]) -> About:
    return About(
        name=name,
        summary=f"{name}: referring expressions, one object each",
        licence=f"expressions: none is stated for the data by REFER; {IMAGES}",
        citation=citation,
        home=REFER,
        layout=LAYOUT.format(name=name),
        splits=splits,
        metrics=("oiou", "miou", *LEVELS),
    )


ABOUT: Mapping[str, About] = {
    "refcoco": _about("refcoco", YU, ("unc:val", "unc:testA", "unc:testB", "google:val", "google:test")),
    "refcoco+": _about("refcoco+", YU, ("unc:val", "unc:testA", "unc:testB")),
    "refcocog": _about("refcocog", MAO, ("umd:val", "umd:test", "google:val")),
    "grefcoco": About(
        name="grefcoco",
        summary="gRefCOCO: expressions of one object, of several, or of none",
        licence=f"expressions: none is stated in their repository; {IMAGES}",
        citation=LIU,
        home=GREFER,
        layout="grefcoco/grefs(unc).json, grefcoco/instances.json and COCO's train2014/",
        splits=("unc:val", "unc:testA", "unc:testB"),
        metrics=("giou", "ciou", "n_acc", "t_acc", "p_at_70", "p_at_80", "p_at_90"),
    ),
}


def open_refcoco(name: str, path: Path, options: Options) -> Dataset:
    """RefCOCO, RefCOCO+ or RefCOCOg; the split may name its partition, as in "umd:test".

    Raises:
        DatasetError: a file is missing or damaged.
        InvalidInput: no such partition.
    """
    about = ABOUT[name]
    partition, split = _split(about, options.split)
    places = [folder / f"refs({partition}).p" for folder in (path / name, path)]
    refs = first_that_exists(places, f"{name}'s expressions", about.home)
    return _open(about, read_pickle(refs), refs, partition, split)


def open_grefcoco(path: Path, options: Options) -> Dataset:
    """Open gRefCOCO. Raises DatasetError, InvalidInput."""
    about = ABOUT["grefcoco"]
    partition, split = _split(about, options.split)
    places = [folder / f"grefs({partition}).json" for folder in (path / "grefcoco", path)]
    refs = first_that_exists(places, "gRefCOCO's expressions", about.home)
    return _open(about, read_json(refs, list), refs, partition, split)


def _split(about: About, wanted: str | None) -> tuple[str, str]:
    chosen = wanted or about.splits[0]
    partition, _, split = chosen.rpartition(":")
    partition = partition or about.splits[0].partition(":")[0]
    partitions = {known.partition(":")[0] for known in about.splits}
    if partition not in partitions or not split.isalnum():
        raise InvalidInput(
            f"{about.name}: no split {chosen!r}; there are {', '.join(about.splits)}, or train"
        )
    return partition, split


def _open(about: About, refs: Any, file: Path, partition: str, split: str) -> Dataset:
    if not isinstance(refs, list):
        raise DatasetError(f"{file}: expected a list of expressions, got a {type(refs).__name__}")
    instances = first_that_exists([file.parent / "instances.json"], f"{about.name}'s instances", about.home)
    coco = read_coco(instances)
    pictures = _pictures(file.parent)
    records: dict[str, Record] = {}
    seen: set[Any] = set()
    for number, ref in enumerate(refs):
        where = f"{file}: expression {number}"
        if field(ref, "split", str, where) == split:
            for record in _records(about, ref, coco, pictures, where):
                check_id(record.sample.id, seen, where)
                records[record.sample.id] = record
    return Listed(about, records, {"split": f"{partition}:{split}"}, where=file)


def _records(about: About, ref: Any, coco: CocoFile, pictures: Path, where: str) -> Iterator[Record]:
    image = field(ref, "image_id", int, where)
    if image not in coco.images:
        raise DatasetError(f"{where}: is of image {image}, which {coco.path} does not list")
    several = about.name == "grefcoco"
    named = field(ref, "ann_id", list, where) if several else [ref.get("ann_id")]
    # gRefCOCO says -1 where an expression has no target.
    targets = [] if several and (ref.get("no_target") or named == [-1]) else named
    for target in targets:
        if not is_id(target) or target not in coco.annotations:
            raise DatasetError(f"{where}: annotation {target!r} is not in {coco.path}")
    width, height = coco.size(image)
    file = inside(pictures, field(coco.images[image], "file_name", str, where), where)
    truth, made_from = partial(_truth, coco, tuple(targets), several), partial(as_written, coco, targets)
    for sentence in field(ref, "sentences", list, where):
        text = sentence.get("sent") or sentence.get("raw") if isinstance(sentence, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise DatasetError(f"{where}: a sentence without text ('sent')")
        identity = f"{field(ref, 'ref_id', int, where)}-{field(sentence, 'sent_id', int, where)}"
        tags = {"targets": "one" if len(targets) == 1 else "several" if targets else "none"}
        sample = Sample(
            safe_id(identity), str(image), text, width, height, tags if several else {}, phrases=(text,)
        )
        yield Record(sample, file, truth, made_from, where)


def _truth(coco: CocoFile, targets: tuple[Any, ...], several: bool, size: tuple[int, int]) -> Truth:
    return Truth((tuple(coco.mask(target, size) for target in targets),), is_instances=several)


def _pictures(folder: Path) -> Path:
    """Where train2014 lies; the first guess where nowhere, so that the error of an image names a place."""
    roots = (folder, folder.parent)
    places = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images")
    candidates = [root / place for root in reversed(roots) for place in places]
    return next((candidate for candidate in candidates if candidate.is_dir()), candidates[0])
