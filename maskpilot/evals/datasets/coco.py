"""Instance files in COCO's and LVIS's format: class names as queries, absent classes as negatives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from maskpilot import masks
from maskpilot.annotations.cocofile import CocoFile, is_id, read_coco
from maskpilot.annotations.files import check_id, field, first_that_exists, inside, safe_id
from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets.entry import About, Options, as_written, digest, open_image
from maskpilot.evals.types import Dataset, Sample, Truth
from maskpilot.images import LoadedImage

__all__ = ["ABOUT", "open_coco"]

METRICS = ("ap", "cgf1", "pmf1", "il_mcc")

ABOUT: Mapping[str, About] = {
    "coco": About(
        name="coco",
        summary="instances in COCO's format: each class of an image is a query, absent classes too",
        licence="of the file at hand; COCO: annotations CC BY 4.0, images under their own Flickr licences",
        citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, arXiv 1405.0312",
        home="https://cocodataset.org",
        layout="instances.json + images/, or annotations/instances_SPLIT.json + SPLIT/ (val2017, ...)",
        splits=(),
        metrics=METRICS,
    ),
    "lvis": About(
        name="lvis",
        summary="LVIS v1: as coco, with negatives and not exhaustive classes as the file says",
        licence="annotations CC BY 4.0; images: COCO's, under their own Flickr licences",
        citation="Gupta et al., LVIS: A Dataset for Large Vocabulary Instance Segmentation, CVPR 2019, "
        "arXiv 1908.03195",
        home="https://www.lvisdataset.org",
        layout="lvis_v1_SPLIT.json (perhaps in annotations/) and COCO's train2017/ and val2017/",
        splits=("val", "minival", "train"),
        metrics=METRICS,
    ),
}


def open_coco(name: str, path: Path, options: Options) -> Dataset:
    """Open a file in COCO's ("coco") or LVIS's ("lvis") format.

    Raises:
        DatasetError: a file is missing or damaged.
        InvalidInput: several splits lie here and none was chosen.
    """
    file, split = _lvis_file(path, options.split) if name == "lvis" else _coco_file(path, options.split)
    return Classes(ABOUT[name], read_coco(file, with_categories=True), path, split, options)


class Classes:
    """A query for each class that an image is known to have, and for classes it is known not to have.

    Args:
        about: "coco" or "lvis".
        coco: the annotations.
        root: the data set's folder.
        split: as asked for; names the folder of images in COCO's own layout.
        options: `negatives` classes known to be absent are asked for in each image, drawn by `seed`.
    """

    def __init__(self, about: About, coco: CocoFile, root: Path, split: str, options: Options) -> None:
        if not coco.images or not coco.categories:
            raise DatasetError(f"{coco.path}: no images or no categories in it")
        self._about, self._coco, self._root, self._split = about, coco, root, split
        self._seed, self._negatives = options.seed, options.negatives
        self._pairs: dict[str, tuple[Any, Any]] = {}
        seen: set[Any] = set()
        # In pycocotools' order: where detections score alike, AP depends on which image comes first.
        for image in sorted(coco.images, key=lambda one: (isinstance(one, str), one)):
            for category in self._classes(image):
                identity = _identity(image, category)
                check_id(identity, seen, f"{coco.path}: category {category!r} of image {image!r}")
                self._pairs[identity] = (image, category)
        drawn = "all" if options.negatives is None else str(options.negatives)
        self.name, self.metrics = about.name, about.metrics
        self.facts: Mapping[str, str] = {
            **about.facts,
            **({"split": split} if split else {}),
            "negatives per image": drawn,
            "seed": str(options.seed),
        }

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Sample]:
        return (self._sample(identity, *pair) for identity, pair in self._pairs.items())

    def image(self, sample: Sample) -> LoadedImage:
        image, _ = self._pair(sample)
        where = f"{self._coco.path}: image {image!r}"
        name = PurePosixPath(self._name(image, where))
        # LVIS names images by address, train2017/X.jpg at its end; COCO by name alone.
        folders = ("images", self._split, f"images/{self._split}", ".") if self._split else ("images", ".")
        candidates = [inside(self._root / folder, str(name), where) for folder in folders]
        found = next((path for path in candidates if path.is_file()), candidates[0])
        return open_image(found, sample, where, self._about.home)

    def truth(self, sample: Sample) -> Truth:
        image, category = self._pair(sample)
        width, height = size = self._coco.size(image)
        mine = self._annotations(image, category)
        crowds = [one for one in mine if self._coco.annotations[one].get("iscrowd")]
        instances = tuple(self._coco.mask(one, size) for one in mine if one not in crowds)
        ignored = [self._coco.mask(one, size) for one in crowds]
        return Truth(
            (instances,),
            ignore=masks.union(ignored, width=width, height=height) if ignored else None,
            exhaustive=category not in self._listed(image, "not_exhaustive_category_ids"),
        )

    def truth_digest(self, sample: Sample) -> str:
        image, category = self._pair(sample)
        listed = category in self._listed(image, "not_exhaustive_category_ids")
        return digest(
            [self._coco.size(image), as_written(self._coco, self._annotations(image, category)), listed]
        )

    def image_name(self, sample: Sample) -> str:
        """What the file calls the sample's image."""
        image, _ = self._pair(sample)
        return self._name(image, f"{self._coco.path}: image {image!r}")

    def sample_of(self, entry: Mapping[str, Any]) -> str | None:
        """The sample of an image and a category; None where the pair is not asked for.

        Raises:
            KeyError: there is no such image or category.
        """
        image, category = entry.get("image_id"), entry.get("category_id")
        known = is_id(image) and image in self._coco.images
        if not known or not is_id(category) or category not in self._coco.categories:
            raise KeyError(f"no image {image!r} or no category {category!r} in {self._coco.path.name}")
        identity = _identity(image, category)
        return identity if identity in self._pairs else None

    def _sample(self, identity: str, image: Any, category: Any) -> Sample:
        record = self._coco.categories[category]
        where = f"{self._coco.path}: category {category!r}"
        name = field(record, "name", str, where)
        query = name.replace("_", " ")
        written = field(record, "synonyms", list, where) if "synonyms" in record else []
        synonyms = [word.replace("_", " ") for word in written if isinstance(word, str)]
        width, height = self._coco.size(image)
        return Sample(
            id=identity,
            image_id=safe_id(str(image)),
            query=query,
            width=width,
            height=height,
            tags={"category": name, "present": "yes" if category in _annotated(self._coco, image) else "no"},
            phrases=tuple(dict.fromkeys([query, *synonyms])),
        )

    def _annotations(self, image: Any, category: Any) -> list[Any]:
        """Ids of a class's annotations on an image."""
        return [
            one
            for one in self._coco.of_image.get(image, ())
            if self._coco.annotations[one]["category_id"] == category
        ]

    def _classes(self, image: Any) -> tuple[Any, ...]:
        """Classes to ask for: those present, then those known to be absent, as many as are wanted."""
        annotated = _annotated(self._coco, image)
        present = [category for category in self._coco.categories if category in annotated]
        if self._about.name == "lvis":
            known = self._listed(image, "neg_category_ids")
        else:
            known = tuple(self._coco.categories)
        absent = [category for category in known if category not in annotated]
        if self._negatives is not None and self._negatives < len(absent):
            # Of the image's id, so that it does not matter which images lie beside it.
            named = f"{self._seed}:{image}".encode("utf-8", "surrogatepass")
            draw = random.Random(named)  # noqa: S311 (a sample, not a secret)
            absent = draw.sample(absent, self._negatives)
        return (*present, *absent)

    def _listed(self, image: Any, name: str) -> tuple[Any, ...]:
        record, where = self._coco.images[image], f"{self._coco.path}: image {image!r}"
        listed = field(record, name, list, where) if name in record else []
        if not all(is_id(one) and one in self._coco.categories for one in listed):
            raise DatasetError(f"{where}: field {name!r}: expected a list of category ids")
        return tuple(listed)

    def _name(self, image: Any, where: str) -> str:
        record = self._coco.images[image]
        if "file_name" in record:
            return str(field(record, "file_name", str, where))
        return "/".join(PurePosixPath(field(record, "coco_url", str, where)).parts[-2:])

    def _pair(self, sample: Sample) -> tuple[Any, Any]:
        found = self._pairs.get(sample.id)
        if found is None:
            raise DatasetError(f"{self.name}: has no sample {sample.id!r}")
        return found


def _identity(image: Any, category: Any) -> str:
    return safe_id(f"{image}-{category}")


def _annotated(coco: CocoFile, image: Any) -> set[Any]:
    """Classes of an image's annotations, crowds among them."""
    return {coco.annotations[one]["category_id"] for one in coco.of_image.get(image, ())}


def _coco_file(path: Path, split: str | None) -> tuple[Path, str]:
    if split is not None:
        names = (f"annotations/instances_{split}.json", f"instances_{split}.json", f"{split}.json")
        candidates = [inside(path, name, "--split") for name in names]
        return first_that_exists(candidates, f"the instances of {split}", ABOUT["coco"].home), split
    if (path / "instances.json").is_file():
        return path / "instances.json", ""
    found = sorted(path.glob("annotations/instances_*.json"))
    if len(found) == 1:
        return found[0], found[0].stem.removeprefix("instances_")
    if found:
        splits = ", ".join(file.stem.removeprefix("instances_") for file in found)
        raise InvalidInput(f"{path}: has the splits {splits}; choose one with --split")
    raise DatasetError(
        f"{path}: missing instances.json or annotations/instances_SPLIT.json; "
        f"to be had from {ABOUT['coco'].home}"
    )


def _lvis_file(path: Path, split: str | None) -> tuple[Path, str]:
    chosen = split or ABOUT["lvis"].splits[0]
    names = (f"lvis_v1_{chosen}.json", f"annotations/lvis_v1_{chosen}.json")
    candidates = [inside(path, name, "--split") for name in names]
    return first_that_exists(candidates, f"LVIS's {chosen} annotations", ABOUT["lvis"].home), chosen
