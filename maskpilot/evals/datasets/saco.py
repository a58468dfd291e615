"""SA-Co/Gold and Silver: image-phrase pairs, with up to three annotators each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from maskpilot.annotations.cocofile import CocoFile, read_coco
from maskpilot.annotations.files import field, inside, safe_id
from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets.entry import About, Listed, Options, Record, as_written
from maskpilot.evals.types import Dataset, Sample, Truth

__all__ = ["ABOUT", "open_saco"]

METRICS = ("cgf1", "pmf1", "il_mcc")
PAPER = "Carion et al., SAM 3: Segment Anything with Concepts, arXiv 2511.16719"
LICENCE = "gated; one for each subset, stated at the home page; images under the terms of their sources"
GOLD = ("metaclip", "sa1b", "crowded", "fg_food", "fg_sports_equipment", "attributes", "wiki_common")
SILVER = (
    "bdd100k",
    "droid",
    "ego4d",
    "food_rec",
    "geode",
    "inaturalist",
    "nga_art",
    "sav",
    "yt1b",
    "fathomnet",
)

ABOUT: Mapping[str, About] = {
    "saco-gold": About(
        name="saco-gold",
        summary="SA-Co/Gold: noun phrases, three annotators; the better agreement counts",
        licence=LICENCE,
        citation=PAPER,
        home="https://huggingface.co/datasets/facebook/SACo-Gold",
        layout="gold_SUBSET_merged_{a,b,c}_release_test.json, perhaps in gt-annotations/, and "
        "metaclip-images/, sa1b-images/ or images/",
        splits=GOLD,
        metrics=METRICS,
    ),
    "saco-silver": About(
        name="saco-silver",
        summary="SA-Co/Silver: noun phrases in ten domains, one annotator",
        licence=LICENCE,
        citation=PAPER,
        home="https://huggingface.co/datasets/facebook/SACo-Silver",
        layout="silver_SUBSET_merged_test.json, perhaps in gt-annotations/, and SUBSET/ or images/",
        splits=SILVER,
        metrics=METRICS,
    ),
}


def open_saco(name: str, path: Path, options: Options) -> Dataset:
    """Pairs that every annotator's file calls exhaustive, as in the official evaluation.

    An annotator whose file lacks a pair has no say in it (the official code would take that for "nothing is
    there").

    Raises:
        DatasetError: a file is missing or damaged, or annotators contradict each other on what a pair is.
        InvalidInput: several subsets lie here and none was chosen.
    """
    about = ABOUT[name]
    prefix = name.removeprefix("saco-")
    subset, files = _files(about, path, prefix, options.split)
    annotators = [read_coco(file) for file in files]
    folders = [
        path / place for place in (f"{subset}-images", subset, "metaclip-images", "sa1b-images", "images")
    ]
    pictures = next((folder for folder in folders if folder.is_dir()), path)
    records: dict[str, Record] = {}
    left_out = set()
    for pair in annotators[0].images:
        present = [coco for coco in annotators if pair in coco.images]
        if all(_is_exhaustive(coco, pair) for coco in present):
            record = _record(pair, present, pictures, subset)
            records[record.sample.id] = record
        else:
            left_out.add(safe_id(str(pair)))
    facts = {
        "split": subset,
        "annotators": str(len(annotators)),
        "pairs left out as not exhaustive": str(len(left_out)),
    }
    return Listed(about, records, facts, where=files[0], left_out=left_out)


def _files(about: About, path: Path, prefix: str, wanted: str | None) -> tuple[str, Sequence[Path]]:
    """The files of a subset, one an annotator, in the order a, b, c."""
    found: dict[str, list[Path]] = {}
    for file in sorted([*path.glob(f"{prefix}_*_test.json"), *path.glob(f"*/{prefix}_*_test.json")]):
        found.setdefault(file.name.removeprefix(f"{prefix}_").partition("_merged_")[0], []).append(file)
    if wanted and wanted not in about.splits and wanted not in found:
        raise InvalidInput(f"{about.name}: no subset {wanted!r}; there are {', '.join(about.splits)}")
    if wanted is None and len(found) > 1:
        raise InvalidInput(f"{path}: has the subsets {', '.join(found)}; choose one with --split")
    chosen = wanted or next(iter(found), about.splits[0])
    if chosen not in found:
        raise DatasetError(
            f"{path}: missing {prefix}_{chosen}_merged_*test.json, here or one folder down; to be had from "
            f"{about.home}"
        )
    named = {file.name.partition("_merged_")[2][:2] for file in found[chosen]}
    missing = [letter for letter in "abc" if f"{letter}_" not in named] if prefix == "gold" else []
    if missing:
        names = ", ".join(f"gold_{chosen}_merged_{letter}_release_test.json" for letter in missing)
        raise DatasetError(
            f"{found[chosen][0].parent}: missing {names}; the best of three annotators counts, so that fewer "
            f"give lower numbers. To be had from {about.home}"
        )
    return chosen, found[chosen]


def _is_exhaustive(coco: CocoFile, pair: Any) -> bool:
    return bool(
        field(coco.images[pair], "is_instance_exhaustive", (int, bool), f"{coco.path}: image {pair!r}")
    )


def _record(pair: Any, annotators: Sequence[CocoFile], pictures: Path, subset: str) -> Record:
    first, where = annotators[0], f"{annotators[0].path}: image {pair!r}"
    phrase = field(first.images[pair], "text_input", str, where)
    name = field(first.images[pair], "file_name", str, where)
    for other in annotators[1:]:
        if other.images[pair].get("text_input") != phrase or other.images[pair].get("file_name") != name:
            raise DatasetError(f"{other.path}: image {pair!r}: another phrase or image than in {first.path}")
    width, height = first.size(pair)
    sample = Sample(
        id=safe_id(str(pair)),
        image_id=safe_id(name),
        query=phrase,
        width=width,
        height=height,
        tags={"subset": subset},
        phrases=(phrase,),
    )
    truth, made_from = partial(_truth, annotators, pair), partial(_made_from, annotators, pair)
    return Record(sample, inside(pictures, name, where), truth, made_from, where)


def _made_from(annotators: Sequence[CocoFile], pair: Any) -> object:
    return [as_written(coco, coco.of_image.get(pair, ())) for coco in annotators]


def _truth(annotators: Sequence[CocoFile], pair: Any, size: tuple[int, int]) -> Truth:
    return Truth(tuple(_instances(coco, pair, size) for coco in annotators))


def _instances(coco: CocoFile, pair: Any, size: tuple[int, int]) -> tuple[Any, ...]:
    # The evaluator leaves crowds out of the truth.
    kept = [one for one in coco.of_image.get(pair, ()) if not coco.annotations[one].get("iscrowd")]
    return tuple(coco.mask(one, size) for one in kept)
