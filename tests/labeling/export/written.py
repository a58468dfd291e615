"""Pictures to write, and folders to write them to."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from maskpilot import masks
from maskpilot.labeling.export.formats import find_format
from maskpilot.labeling.export.writer import Picture, Target
from maskpilot.labeling.types import ImageLabels, Label
from maskpilot.types import Instance, Mask
from tests.labeling.samples import SIZE, class_labels, image_labels

CLASSES = ("ring", "pair", "ghost")


def picture(
    number: int = 1,
    file_name: str = "",
    *,
    split: str = "",
    images: str = "images",
    labels: ImageLabels | None = None,
) -> Picture:
    """A picture of the samples, its file below the folder `images` of the export."""
    found = labels or image_labels(number)
    name = file_name or f"{number}.png"
    path = str(PurePosixPath(images, name))
    return Picture(number, name, name, path, split, found.image.sha256, *SIZE, found.classes)


def labeled(mask: Mask, number: int = 1) -> Label:
    """A label of a mask."""
    box = masks.tight_box(mask)
    assert box is not None
    return Label(Instance(number, mask, box, 0.5))


def negative(number: int = 2, *, split: str = "", images: str = "images") -> Picture:
    """A picture on which nothing was found."""
    return picture(
        number,
        split=split,
        images=images,
        labels=image_labels(number, *(class_labels(name) for name in CLASSES)),
    )


def written(
    folder: Path,
    name: str,
    *pictures: Picture,
    classes: Sequence[str] = CLASSES,
    splits: tuple[str, ...] = ("",),
    images: str = "images",
) -> list[Mask | None]:
    """Write pictures in the format of a name; what its readers are said to get back."""
    folder.mkdir(exist_ok=True)
    writer = find_format(name).open(Target(folder, tuple(classes), splits, images))
    try:
        return [mask for one in pictures for mask in writer.add(one)]
    finally:
        writer.close()
