"""Draws docs/images/overlay.png: what a model is shown, on a drawn scene with its true masks.

python -m scripts.picture
"""

from __future__ import annotations

from pathlib import Path

from maskpilot import masks
from maskpilot.render import Marks, Ruler, overlay
from maskpilot.scenes import make_scene
from maskpilot.types import Exemplar, Instance

TARGET = Path(__file__).parent.parent / "docs" / "images" / "overlay.png"
SEED = 2_000_001_404


def main() -> None:
    """Draw and save."""
    scene = make_scene(SEED, size=(480, 300), count=12)
    instances = [
        Instance(number, masks.encode(thing.mask), thing.box, 0.9)
        for number, thing in enumerate(scene.objects[:-2], start=1)
    ]
    missed, wrong = scene.objects[-1].box, scene.objects[0].box
    picture = overlay(
        scene.image,
        instances,
        exemplars=(Exemplar(missed, positive=True), Exemplar(wrong, positive=False)),
        marks=Marks(new=frozenset({3}), locked=frozenset({2, 5})),
        ruler=Ruler(1000, 1000),
        size=(960, 600),
    ).image
    TARGET.parent.mkdir(exist_ok=True)
    picture.quantize(192).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
