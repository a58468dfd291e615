"""Scenes on disk, drawn once and read many times: as the model sees them, with the truth about them."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskpilot.scenes import COLOURS, MAX_OBJECTS, SHAPES, TEXTURES, Scene, make_scene

__all__ = ["ATTRIBUTES", "WORDS_OF", "Pool", "Sample", "as_sample", "build_pool", "difficulty"]

WORDS_OF = {
    "shape": SHAPES,
    "colour": COLOURS,
    "texture": TEXTURES,
    "size": ("small", "medium", "large"),
}
"""Attribute -> its words; an attribute's value is an index into them."""
ATTRIBUTES = tuple(WORDS_OF)
SMALL_FACTORS = (3.0, 1.5, 1.0)
"""How much more easily small and medium objects are missed than large ones."""
CROWDED_FACTOR = 8.0
"""How much more easily an object is missed whose box other objects fill."""
LONG, LONG_FACTOR = 1.75, 2.5
"""Scenes with one side so many times the other are drawn so much oftener: squashing hurts them most."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One scene squashed to the model's square.

    Attributes:
        image: (r, r, 3) uint8 RGB.
        owner: (r, r) uint8, 0 for the background and 1 + index for an object.
        values: (n, 4) uint8, each object's attribute values in the order of ATTRIBUTES.
        boxes: (n, 4) float32, xyxy in [0, 1], tight around the visible pixels.
    """

    image: NDArray[np.uint8]
    owner: NDArray[np.uint8]
    values: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def as_sample(scene: Scene, resolution: int) -> Sample:
    """Squash a scene as `Sam3Processor` does: to a square, whatever its aspect."""
    size = (resolution, resolution)
    # The processor resizes with antialiased bilinear filtering, as Pillow does.
    image = np.asarray(scene.image.resize(size, Image.Resampling.BILINEAR))
    owner = np.zeros((scene.height, scene.width), np.uint8)
    for index, thing in enumerate(scene.objects):
        owner[thing.mask] = index + 1
    squashed = np.asarray(Image.fromarray(owner).resize(size, Image.Resampling.NEAREST))
    words = [[WORDS_OF[name].index(getattr(thing, name)) for name in ATTRIBUTES] for thing in scene.objects]
    scale = np.array([scene.width, scene.height] * 2, np.float32)
    boxes = np.array([thing.box.xyxy for thing in scene.objects], np.float32).reshape(-1, 4) / scale
    return Sample(image, squashed, np.array(words, np.uint8).reshape(-1, len(ATTRIBUTES)), boxes)


def difficulty(sample: Sample) -> NDArray[np.float64]:
    """How easily each object is missed, (n,), at least 1: small ones are, and those that touch others."""
    crowded = np.zeros(len(sample.values))
    for index, box in enumerate(sample.boxes * len(sample.owner)):
        x0, y0, x1, y1 = np.round(box).astype(int).tolist()
        owners = sample.owner[y0 : y1 + 1, x0 : x1 + 1]
        crowded[index] = np.mean((owners > 0) & (owners != index + 1))
    small = np.array(SMALL_FACTORS)[sample.values[:, ATTRIBUTES.index("size")]]
    return np.asarray(small * (1 + (CROWDED_FACTOR - 1) * crowded), np.float64)


def build_pool(folder: Path, *, first_seed: int, count: int, resolution: int, workers: int = 1) -> None:
    """Draw the scenes of `count` consecutive seeds into a folder of memory-mapped arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "image": ((count, resolution, resolution, 3), np.uint8),
        "owner": ((count, resolution, resolution), np.uint8),
        "values": ((count, MAX_OBJECTS, len(ATTRIBUTES)), np.uint8),
        "boxes": ((count, MAX_OBJECTS, 4), np.float32),
        "objects": ((count,), np.uint8),
        "aspect": ((count,), np.float32),
    }
    for name, (shape, dtype) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)  # type: ignore[no-untyped-call]
    parts = [(folder, first_seed, range(start, count, workers), resolution) for start in range(workers)]
    if workers == 1:
        _fill(*parts[0])
        return
    with multiprocessing.get_context("spawn").Pool(workers) as processes:
        processes.starmap(_fill, parts)


def _fill(folder: Path, first_seed: int, rows: range, resolution: int) -> None:
    pool = Pool(folder, writable=True)
    for row in rows:
        scene = make_scene(first_seed + row)
        sample = as_sample(scene, resolution)
        count = len(sample.values)
        pool.image[row], pool.owner[row], pool.objects[row] = sample.image, sample.owner, count
        pool.values[row, :count], pool.boxes[row, :count] = sample.values, sample.boxes
        pool.aspect[row] = scene.width / scene.height


class Pool:
    """Read access to what `build_pool` wrote.

    Raises:
        FileNotFoundError: the folder holds no pool.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        mode: Literal["r+", "r"] = "r+" if writable else "r"
        self.image, self.owner, self.values, self.boxes, self.objects, self.aspect = (
            np.load(folder / f"{name}.npy", mmap_mode=mode)
            for name in ("image", "owner", "values", "boxes", "objects", "aspect")
        )

    def __len__(self) -> int:
        return len(self.objects)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Random rows, (count,)."""
        long = np.abs(np.log(self.aspect)) > np.log(LONG)
        until = np.where(long, LONG_FACTOR, 1.0).cumsum()
        return np.searchsorted(until, rng.uniform(0, until[-1], count), side="right")

    def __getitem__(self, row: int) -> Sample:
        count = int(self.objects[row])
        return Sample(self.image[row], self.owner[row], self.values[row, :count], self.boxes[row, :count])
