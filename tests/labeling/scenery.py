"""A folder of drawn scenes, and a segmenter that finds what was drawn."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from maskpilot.scenes import Scene, SceneObject, make_scene
from maskpilot.segmenters.base import ImageSession
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter

SIZE = (96, 72)


class KnownImages:
    """A `Segmenter` that knows images by their pixels (`Image.tobytes`), and what is to be found on each."""

    name = "known images"
    provenance: Mapping[str, str] = {"segmenter": "a test double, not a model"}

    def __init__(self, known: Mapping[bytes, Sequence[FakeObject]]) -> None:
        self._known = known

    def open(self, image: Image.Image) -> ImageSession:
        return FakeSegmenter(self._known[image.tobytes()]).open(image)

    def close(self) -> None: ...


def segmenter_of(scenes: Iterable[Scene]) -> KnownImages:
    """Finds what was drawn by its shape, its colour or "thing"; scores are 0.35 to 0.95, always the same."""
    return KnownImages({scene.pixels.tobytes(): [_object(one) for one in scene.objects] for scene in scenes})


def _object(thing: SceneObject) -> FakeObject:
    words = frozenset({thing.shape, thing.colour, "thing"})
    return FakeObject(thing.mask, words, score=0.35 + 0.6 * (thing.area % 97) / 97)


def small_scenes(count: int) -> list[Scene]:
    """With four objects at most, always the same."""
    return [make_scene(seed, size=SIZE, count=4) for seed in range(count)]


def draw(folder: Path, scenes: Iterable[Scene]) -> Path:
    """Save each as NUMBER.png."""
    folder.mkdir()
    for number, scene in enumerate(scenes):
        scene.image.save(folder / f"{number:04d}.png")
    return folder
