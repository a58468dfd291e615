"""A folder of drawn scenes, and a segmenter that finds what was drawn."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from maskpilot.scenes import Scene, make_scene
from maskpilot.segmenters.base import ImageSession
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter

SIZE = (96, 72)


class SceneSegmenter:
    """A `Segmenter` that knows scenes by their pixels; a word of shape, colour or "thing" finds an object.

    Objects score between 0.35 and 0.95, always the same.
    """

    name = "scenery"
    provenance: Mapping[str, str] = {"segmenter": "a test double, not a model"}

    def __init__(self, scenes: Iterable[Scene]) -> None:
        self._scenes = {scene.pixels.tobytes(): scene for scene in scenes}

    def open(self, image: Image.Image) -> ImageSession:
        scene = self._scenes[image.tobytes()]
        return FakeSegmenter(
            [
                FakeObject(
                    thing.mask,
                    frozenset({thing.shape, thing.colour, "thing"}),
                    score=0.35 + 0.6 * (thing.area % 97) / 97,
                )
                for thing in scene.objects
            ]
        ).open(image)

    def close(self) -> None: ...


def small_scenes(count: int) -> list[Scene]:
    """With four objects at most, always the same."""
    return [make_scene(seed, size=SIZE, count=4) for seed in range(count)]


def draw(folder: Path, scenes: Iterable[Scene]) -> Path:
    """Save each as NUMBER.png."""
    folder.mkdir()
    for number, scene in enumerate(scenes):
        scene.image.save(folder / f"{number:04d}.png")
    return folder
