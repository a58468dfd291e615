"""Labeled images to keep and to export."""

import numpy as np

from maskpilot import masks
from maskpilot.labeling.types import ClassLabels, ImageLabels, Label, Review
from maskpilot.types import ImageRef, Instance, Mask, Stop, Usage

SIZE = (40, 30)


def drawn_mask(shape: str) -> Mask:
    """A "donut", two "parts", one "pixel" or a "square" on an image of SIZE."""
    array = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    if shape == "donut":
        array[4:18, 4:18] = True
        array[8:14, 8:14] = False
    elif shape == "parts":
        array[2:6, 22:27] = True
        array[20:27, 28:36] = True
    elif shape == "pixel":
        array[25, 3] = True
    else:
        array[20:28, 10:18] = True
    return masks.encode(array)


def label(shape: str, number: int = 1, score: float = 0.75, *review: Review) -> Label:
    mask = drawn_mask(shape)
    box = masks.tight_box(mask)
    assert box is not None
    return Label(Instance(number, mask, box, score, shape), review)


def class_labels(name: str, *labels: Label, review: tuple[Review, ...] = ()) -> ClassLabels:
    return ClassLabels(
        name=name,
        query=f"every {name}",
        policy="mllm",
        model="a-model",
        stop=Stop.finished,
        rounds=3,
        rating=88.0,
        labels=labels,
        review=review,
        usage=Usage(calls=3, prompt_tokens=1000, completion_tokens=50, cost=0.25),
    )


def image_labels(number: int = 1, *classes: ClassLabels) -> ImageLabels:
    """Labels of a picture named by a number; of a donut, two parts and a pixel where none are given."""
    image = ImageRef(f"{number:064x}", ".png", f"{number}.png", *SIZE)
    usual = (
        class_labels("ring", label("donut", 1, 0.9), label("pixel", 2, 0.51, Review.near_threshold)),
        class_labels("pair", label("parts", 1, 0.8)),
        class_labels("ghost", review=(Review.none_found,)),
    )
    return ImageLabels(image, classes or usual, seconds=1.5)
