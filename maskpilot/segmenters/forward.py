"""The two passes of a SAM 3 model, over several requests at once: encode images, ground prompts in them.

Only one thread may use a `Sam3Forward`; `maskpilot.segmenters.worker` sees to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as transforms

from maskpilot.errors import SegmenterError
from maskpilot.segmenters import compat
from maskpilot.segmenters.cache import ByteLRU

compat.prepare_import()

from sam3.model.box_ops import box_cxcywh_to_xyxy  # noqa: E402
from sam3.model.data_misc import FindStage  # noqa: E402
from sam3.model.geometry_encoders import Prompt  # noqa: E402

__all__ = ["BOX_ONLY_TEXT", "Candidates", "Features", "Query", "Sam3Forward"]

BOX_ONLY_TEXT = "visual"
"""The text that sam3 gives to the model when only boxes speak: sam3/model/sam3_image_processor.py:133."""


@dataclass(frozen=True, eq=False)
class Features:
    """What the image encoder made of one image; on the device.

    Attributes:
        pyramid: (channels, h, w) per level, finest first.
        positions: (1, channels, h, w) per level; depends on the resolution alone, so all images share it.
    """

    pyramid: tuple[torch.Tensor, ...]
    positions: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its own, without what is shared."""
        return sum(level.nbytes for level in self.pyramid)


@dataclass(frozen=True, eq=False)
class Query:
    """One prompt for one image.

    Attributes:
        features: of the image.
        text: a noun phrase; `BOX_ONLY_TEXT` where there is none.
        boxes: exemplars as cxcywh, each in [0, 1] of the image's sides.
        labels: True for a positive exemplar; one per box.
        floor: candidates that score at or below it are dropped.
    """

    features: Features
    text: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    labels: tuple[bool, ...] = ()
    floor: float = 0.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """Every candidate of one query that scored above its floor, best first; in main memory.

    Attributes:
        logits: (n, h, w) mask logits at the model's own resolution; dtype as the model computes.
        boxes: (n, 4) float32, xyxy, in shares of the image's sides; may reach over the border.
        scores: (n,) float32 in [0, 1]: class probability times presence.
        floor: what was asked for.
    """

    logits: torch.Tensor
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    floor: float

    @property
    def nbytes(self) -> int:
        return int(self.logits.nbytes + self.boxes.nbytes + self.scores.nbytes)


class Sam3Forward:
    """Runs a `Sam3Image`, on CUDA in bfloat16 autocast.

    Args:
        model: in eval mode, on `device`.
        device: where it runs.
        max_text_bytes: bound on text features kept; they are shared by all images.
    """

    def __init__(self, model: Any, device: torch.device, *, max_text_bytes: int) -> None:
        self.model = model
        self.device = device
        self._texts: ByteLRU[str, tuple[torch.Tensor, torch.Tensor]] = ByteLRU(max_text_bytes)
        self._positions: tuple[torch.Tensor, ...] | None = None

    def encode(self, pixels: Sequence[torch.Tensor]) -> list[Features]:
        """Encode images.

        Args:
            pixels: per image (3, resolution, resolution) uint8.
        """
        with self._inference():
            batch = torch.stack(list(pixels)).to(self.device)
            batch = transforms.to_dtype(batch, torch.float32, scale=True)
            batch = transforms.normalize(batch, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
            encoded = self.model.backbone.forward_image(batch)
            if self._positions is None:
                self._positions = tuple(level[:1].clone() for level in encoded["vision_pos_enc"])
            levels = encoded["backbone_fpn"]
            if len(pixels) == 1:
                return [Features(tuple(level[0] for level in levels), self._positions)]
            # Cloned: a slice would keep the whole batch alive.
            return [
                Features(tuple(level[index].clone() for level in levels), self._positions)
                for index in range(len(pixels))
            ]

    def ground(self, queries: Sequence[Query]) -> list[Candidates]:
        """Find candidates for each query; queries may share images and texts.

        Raises:
            SegmenterError: the model returned scores that are not finite.
        """
        with self._inference():
            images = list({id(query.features): query.features for query in queries}.values())
            texts = list(dict.fromkeys(query.text for query in queries))
            out = self.model.forward_grounding(
                backbone_out={**self._image_inputs(images), **self._text_inputs(texts)},
                find_input=self._find_stage(
                    [images.index(query.features) for query in queries],
                    [texts.index(query.text) for query in queries],
                ),
                find_target=None,
                geometric_prompt=self._geometry(queries),
            )
            # As in sam3/model/sam3_image_processor.py:186-190, over a batch.
            presence = out["presence_logit_dec"].float().sigmoid().unsqueeze(1)  # (n, 1, 1)
            scores = (out["pred_logits"].float().sigmoid() * presence).squeeze(-1)  # (n, queries)
            if not bool(torch.isfinite(scores).all()):
                raise SegmenterError(
                    "the model returned scores that are not finite; its weights may be damaged"
                )
            return [
                _select(scores[index], out["pred_boxes"][index], out["pred_masks"][index], query.floor)
                for index, query in enumerate(queries)
            ]

    @contextmanager
    def _inference(self) -> Iterator[None]:
        on_cuda = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=on_cuda):
            yield

    def _image_inputs(self, images: Sequence[Features]) -> dict[str, Any]:
        levels = zip(*(image.pyramid for image in images), strict=True)
        pyramid = [torch.stack(level) if len(level) > 1 else level[0][None] for level in levels]
        positions = [level.expand(len(images), -1, -1, -1) for level in images[0].positions]
        return {"backbone_fpn": pyramid, "vision_pos_enc": positions}

    def _text_inputs(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        known = {text: encoded for text in texts if (encoded := self._texts.get(text)) is not None}
        missing = [text for text in texts if text not in known]
        if missing:
            fresh = self.model.backbone.forward_text(missing, device=self.device)
            for index, text in enumerate(missing):
                features = fresh["language_features"][:, index].clone()  # (tokens, channels)
                mask = fresh["language_mask"][index].clone()  # (tokens,) True where padded
                known[text] = (features, mask)
                self._texts.put(text, known[text], features.nbytes + mask.nbytes)
        return {
            "language_features": torch.stack([known[text][0] for text in texts], dim=1),
            "language_mask": torch.stack([known[text][1] for text in texts]),
        }

    def _find_stage(self, image_ids: Sequence[int], text_ids: Sequence[int]) -> FindStage:
        return FindStage(
            img_ids=torch.tensor(image_ids, dtype=torch.long, device=self.device),
            text_ids=torch.tensor(text_ids, dtype=torch.long, device=self.device),
            input_boxes=None,
            input_boxes_mask=None,
            input_boxes_label=None,
            input_points=None,
            input_points_mask=None,
        )

    def _geometry(self, queries: Sequence[Query]) -> Prompt:
        """Boxes sequence first, padded on the right; the mask is True where padded."""
        n, most = len(queries), max(len(query.boxes) for query in queries)
        boxes = torch.zeros(most, n, 4)
        labels = torch.zeros(most, n, dtype=torch.bool)
        padded = torch.ones(n, most, dtype=torch.bool)
        for index, query in enumerate(queries):
            if count := len(query.boxes):
                boxes[:count, index] = torch.tensor(query.boxes)
                labels[:count, index] = torch.tensor(query.labels)
                padded[index, :count] = False
        return Prompt(
            box_embeddings=boxes.to(self.device),
            box_labels=labels.to(self.device),
            box_mask=padded.to(self.device),
        )


def _select(scores: torch.Tensor, boxes: torch.Tensor, logits: torch.Tensor, floor: float) -> Candidates:
    """What scores above the floor, best first; equal scores stay in the model's order."""
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[scores[order] > floor]
    return Candidates(
        logits=logits[order].cpu(),
        boxes=box_cxcywh_to_xyxy(boxes[order].float()).cpu().numpy(),
        scores=scores[order].cpu().numpy(),
        floor=floor,
    )
