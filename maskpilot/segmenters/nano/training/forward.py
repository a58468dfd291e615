"""One forward pass for training, through the same sam3 modules as inference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from sam3.model.data_misc import FindStage
from sam3.model.geometry_encoders import Prompt
from sam3.model.sam3_image import Sam3Image
from torch import nn

from maskpilot.segmenters.nano.training.batch import Batch
from maskpilot.segmenters.nano.training.heads import TrainingHeads

__all__ = [
    "FIXED",
    "Decoded",
    "Fused",
    "LayerOutput",
    "Seen",
    "decode",
    "fuse",
    "outline",
    "prepare_for_training",
    "see",
]

FIXED = ("reference_points", "boxRPB_embed")
"""Parameters that keep their first values."""


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one decoder layer says.

    Attributes:
        logits: (n, q); boxes: (n, q, 4) cxcywh in [0, 1]; presence: (n,) logits.
    """

    logits: torch.Tensor
    boxes: torch.Tensor
    presence: torch.Tensor


@dataclass(frozen=True, eq=False)
class Seen:
    """Image features, and what the training heads read in them.

    Attributes:
        at_trunk, at_neck: (b, classes + edges, 2g, 2g); neck: (b, d, g, g).
        backbone: sam3's own dictionary.
    """

    at_trunk: torch.Tensor
    at_neck: torch.Tensor
    neck: torch.Tensor
    backbone: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Fused:
    """Image features that have heard the prompt, and what the training heads read in them.

    Attributes:
        match: (n, 1 + 4, 2g, 2g); shown: (n, 2g, 2g); words: (n, classes): logits.
        backbone, encoded: sam3's own dictionaries, for the decoder.
        prompt: (tokens, n, d); padding: (n, tokens) bool, True where padded.
    """

    match: torch.Tensor
    shown: torch.Tensor
    words: torch.Tensor
    backbone: dict[str, Any]
    encoded: dict[str, Any]
    prompt: torch.Tensor
    padding: torch.Tensor


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the decoder makes of it.

    Attributes:
        layers: one per decoder layer, the last one last.
        queries: (n, q, d), what masks are made from.
    """

    layers: tuple[LayerOutput, ...]
    queries: torch.Tensor


def prepare_for_training(model: Sam3Image) -> None:
    """Set the model up so that its decoder gives what the losses need, and no activation is computed twice.

    sam3 asks the top module whether it is training before it adds the outputs of all decoder layers, and
    each submodule before it checkpoints activations, which only costs time here. Where queries start and
    where they look stays as it is: to learn it would double the cost of the decoder.
    """
    model.eval()
    model.training = True
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in FIXED))


def see(model: Sam3Image, heads: TrainingHeads, images: torch.Tensor) -> Seen:
    """Run the image encoder on (b, 3, r, r)."""
    with _output_of(model.backbone.vision_backbone.trunk) as features:
        backbone: dict[str, Any] = model.backbone.forward_image(images)
    neck = backbone["backbone_fpn"][-1]
    return Seen(heads.trunk(features[-1][-1]), heads.neck(neck), neck, backbone)


def fuse(model: Sam3Image, heads: TrainingHeads, seen: Seen, batch: Batch) -> Fused:
    """Run the text and geometry encoders and fuse what they say with the image."""
    device = batch.images.device
    texts = list(dict.fromkeys(batch.texts))
    backbone = seen.backbone | model.backbone.forward_text(texts, device=device)
    stage = FindStage(
        img_ids=batch.image_ids,
        text_ids=torch.tensor([texts.index(text) for text in batch.texts], device=device),
        input_boxes=None,
        input_boxes_mask=None,
        input_boxes_label=None,
        input_points=None,
        input_points_mask=None,
    )
    exemplars = Prompt(
        box_embeddings=batch.exemplars, box_mask=batch.exemplar_padding, box_labels=batch.exemplar_labels
    )
    prompt, padding, backbone = model._encode_prompt(backbone, stage, exemplars)
    backbone, encoded, _ = model._run_encoder(backbone, stage, prompt, padding)
    memory = encoded["encoder_hidden_states"]  # (g * g, n, d)
    places = memory.permute(1, 2, 0).unflatten(2, seen.neck.shape[-2:])
    said = (~backbone["language_mask"]).float().T[..., None]  # (tokens, texts, 1)
    pooled = (backbone["language_features"] * said).sum(0) / said.sum(0)
    return Fused(
        match=heads.match(places),
        shown=heads.shown(places)[:, 0],
        words=heads.words(pooled)[stage.text_ids],
        backbone=backbone,
        encoded=encoded,
        prompt=prompt,
        padding=padding,
    )


def decode(model: Sam3Image, fused: Fused) -> Decoded:
    """Find objects."""
    out, queries = model._run_decoder(
        memory=fused.encoded["encoder_hidden_states"],
        pos_embed=fused.encoded["pos_embed"],
        src_mask=fused.encoded["padding_mask"],
        out={},
        prompt=fused.prompt,
        prompt_mask=fused.padding,
        encoder_out=fused.encoded,
    )
    return Decoded(
        layers=tuple(_layer(part) for part in (*out.get("aux_outputs", ()), out)), queries=queries[-1]
    )


def outline(
    model: Sam3Image,
    heads: TrainingHeads,
    fused: Fused,
    batch: Batch,
    *,
    prompts: torch.Tensor,
    queries: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks of some queries of some prompts, which cost too much to compute them all.

    Args:
        prompts: (s,) int64; queries: (s, k, d).

    Returns:
        (s, k, m, m) logits, and what the heads read in the cells: (s, 4 * len(WAVES), m, m).
    """
    head = model.segmentation_head
    with _output_of(head.instance_seg_head) as cells:
        masks: torch.Tensor = head(
            backbone_feats=fused.backbone["backbone_fpn"],
            obj_queries=queries[None],
            image_ids=batch.image_ids[prompts],
            encoder_hidden_states=fused.encoded["encoder_hidden_states"][:, prompts],
            prompt=fused.prompt[:, prompts],
            prompt_mask=fused.padding[prompts],
        )["pred_masks"]
    return masks, heads.pixels(cells[-1])


@contextmanager
def _output_of(module: nn.Module) -> Iterator[list[Any]]:
    """What a module returns while this lasts, call by call."""
    results: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _inputs, result: results.append(result))
    try:
        yield results
    finally:
        hook.remove()


def _layer(part: dict[str, torch.Tensor]) -> LayerOutput:
    return LayerOutput(
        logits=part["pred_logits"][..., 0].float(),
        boxes=part["pred_boxes"].float(),
        presence=part["presence_logit_dec"].float().flatten(),
    )
