"""Pictures that a model is examined with."""

import random

import numpy as np
import pytest

from maskpilot.doctor.pictures import code_picture, draw_code, reads, shape_pictures


def test_shapes_fill_their_boxes_and_no_other_place() -> None:
    for picture in shape_pictures():
        assert all(side % 224 == 0 for side in picture.image.size)
        pixels = np.asarray(picture.image).astype(int)
        drawn = np.abs(pixels - pixels[0, 0]).sum(axis=2) > 60
        for box in picture.boxes.values():
            x0, y0, x1, y1 = (int(edge) for edge in box.xyxy)
            part = drawn[y0:y1, x0:x1]
            assert part.any(axis=0).all()
            assert part.any(axis=1).all()
            drawn[y0:y1, x0:x1] = False
        assert not drawn.any()


def test_a_code_is_drawn_whole_and_differs_from_others() -> None:
    rng = random.Random(1)
    codes = [draw_code(rng) for _ in range(20)]
    assert len(set(codes)) == 20
    for code in codes:
        pixels = np.asarray(code_picture(code))
        assert (pixels[:, [0, -1]] == pixels[0, 0]).all()
        assert (pixels.min(axis=2) < 60).sum() > 1000


@pytest.mark.parametrize("text", ["K7P4X", "k7p4x", "It says: K 7 P 4 X.", "K-7-P-4-X", "K7P4Y"])
def test_a_code_counts_as_read(text: str) -> None:
    assert reads(text, "K7P4X")


@pytest.mark.parametrize("text", ["", "I see letters.", "K7P", "X4P7K", "I cannot see any picture"])
def test_something_else_does_not(text: str) -> None:
    assert not reads(text, "K7P4X")
