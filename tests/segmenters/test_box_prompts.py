"""What reaches the model for a box: normalised cxcywh, one prompt, order and labels kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from maskpilot.errors import SegmenterError
from maskpilot.images import load_image
from maskpilot.segmenters.engine import normalised
from maskpilot.types import Box, Exemplar, PromptState
from tests.segmenters.doubles import recording
from tests.segmenters.pictures import negative, picture, positive


def reaching_the_model(image: Image.Image, text: str | None, *boxes: Exemplar) -> tuple[Any, list[str]]:
    segmenter, model = recording()
    segmenter.open(image).segment(PromptState(text, boxes))
    segmenter.close()
    return model.groundings[-1]["geometric_prompt"], model.texts[-1]


@pytest.mark.parametrize(("width", "height"), [(200, 100), (101, 67), (1, 300)])
def test_boxes_are_normalised_cxcywh(width: int, height: int) -> None:
    box = positive(width * 0.25, height * 0.5, width * 0.75, height)
    prompt, _ = reaching_the_model(picture(width, height), "star", box)
    assert torch.allclose(prompt.box_embeddings, torch.tensor([[[0.5, 0.75, 0.5, 0.5]]]))
    assert prompt.box_embeddings.shape == (1, 1, 4)
    assert prompt.box_mask.tolist() == [[False]]


def test_several_boxes_go_in_one_prompt_in_order() -> None:
    boxes = (positive(0, 0, 100, 50), negative(100, 50, 200, 100), positive(50, 25, 150, 75))
    prompt, _ = reaching_the_model(picture(200, 100), "star", *boxes)
    expected = [[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]
    assert prompt.box_embeddings.squeeze(1).tolist() == expected
    assert prompt.box_labels.squeeze(1).tolist() == [True, False, True]


def test_labels_have_the_type_that_sam3_gives_them() -> None:
    from sam3.model.sam3_image_processor import Sam3Processor

    segmenter, model = recording()
    processor = Sam3Processor(model.model, segmenter.resolution, "cpu")
    state = processor.add_geometric_prompt([0.5, 0.5, 0.2, 0.2], True, processor.set_image(picture()))
    segmenter.close()
    theirs = state["geometric_prompt"]
    ours, _ = reaching_the_model(picture(), None, positive(36, 24, 54, 36))
    for name in ("box_embeddings", "box_labels", "box_mask"):
        assert getattr(ours, name).dtype == getattr(theirs, name).dtype
        assert torch.allclose(getattr(ours, name), getattr(theirs, name))


def test_no_boxes() -> None:
    prompt, texts = reaching_the_model(picture(), "star")
    assert prompt.box_embeddings.shape == (0, 1, 4)
    assert texts == ["star"]


def test_boxes_alone_go_with_the_text_visual() -> None:
    _, texts = reaching_the_model(picture(), None, positive(1, 1, 20, 20))
    assert texts == ["visual"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_on_the_upright_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(120, 80).save(tmp_path / "rotated.png", exif=exif)
    image = load_image(tmp_path / "rotated.png").image
    width, height = image.size
    assert (width, height) == ((120, 80) if orientation <= 4 else (80, 120))
    prompt, _ = reaching_the_model(image, None, positive(0, 0, 20, 60))
    expected = torch.tensor([10 / width, 30 / height, 20 / width, 60 / height])
    assert torch.allclose(prompt.box_embeddings.flatten(), expected)


def test_boxes_are_clamped() -> None:
    assert normalised(Box(-50, 50, 150, 1000), 100, 100) == (0.5, 0.75, 1.0, 0.5)


def test_a_box_off_the_image_is_an_error() -> None:
    with pytest.raises(SegmenterError, match="100x50"):
        normalised(Box(100, 0, 120, 20), 100, 50)
