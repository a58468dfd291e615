"""Pictures of a session, small enough to lie inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence

from PIL import Image

from maskpilot.render import Marks, crop, display_size, overlay
from maskpilot.trajectory import Changes, Step
from maskpilot.types import Box, Instance

__all__ = ["data_uri", "result_picture", "round_picture", "zoom_picture"]

MAX_SIDE = 1024
ZOOM_SIDE = 480


def round_picture(image: Image.Image, step: Step, changed: Changes) -> tuple[Image.Image, tuple[int, ...]]:
    """What was shown after a round, and the ids that had no room for a plate."""
    drawn = overlay(
        image,
        step.instances,
        exemplars=step.prompts.boxes,
        marks=_marks(step, changed),
        size=display_size(*image.size, max_side=MAX_SIDE),
    )
    return drawn.image, drawn.unlabelled


def result_picture(
    image: Image.Image, instances: Sequence[Instance], *, locked: Collection[int] = ()
) -> Image.Image:
    """Masks alone, without prompts."""
    size = display_size(*image.size, max_side=MAX_SIDE)
    return overlay(image, instances, marks=Marks(locked=frozenset(locked)), size=size).image


def zoom_picture(image: Image.Image, step: Step, changed: Changes, box: Box) -> Image.Image:
    """The crop that a round asked to see, with masks."""
    return crop(image, step.instances, box, marks=_marks(step, changed), max_side=ZOOM_SIDE).overlay


def data_uri(picture: Image.Image) -> str:
    """A picture as a data: address, JPEG with full colour resolution: contours are thin and coloured."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=78, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _marks(step: Step, changed: Changes) -> Marks:
    return Marks(new=changed.new, changed=changed.changed, locked=frozenset(step.locked))
