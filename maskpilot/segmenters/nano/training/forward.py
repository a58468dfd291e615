"""One forward pass for training, through the same sam3 modules as inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sam3.model.data_misc import FindStage
from sam3.model.geometry_encoders import Prompt
from sam3.model.sam3_image import Sam3Image

from maskpilot.segmenters.nano.training.batch import Batch
from maskpilot.segmenters.nano.training.heads import TrainingHeads

__all__ = ["Fused", "LayerOutput", "Outputs", "decode", "fuse", "prepare_for_training"]


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one decoder layer says: of the queries, and (`more_`) of their copies for one-to-many matching.

    Attributes:
        logits, more_logits: (n, q); boxes, more_boxes: (n, q, 4) cxcywh in [0, 1].
        presence: (n,) logits.
    """

    logits: torch.Tensor
    boxes: torch.Tensor
    more_logits: torch.Tensor
    more_boxes: torch.Tensor
    presence: torch.Tensor


@dataclass(frozen=True, eq=False)
class Fused:
    """Image features that have heard the prompt, and what the training heads read in them.

    Attributes:
        at_trunk, at_neck: (b, classes, 2g, 2g); match: (n, 1 + 4, 2g, 2g); words: (n, classes): logits.
        backbone, encoded: sam3's own dictionaries, for the decoder.
        prompt: (tokens, n, d); padding: (n, tokens) bool, True where padded.
    """

    at_trunk: torch.Tensor
    at_neck: torch.Tensor
    match: torch.Tensor
    words: torch.Tensor
    backbone: dict[str, Any]
    encoded: dict[str, Any]
    prompt: torch.Tensor
    padding: torch.Tensor


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the decoder and the segmentation head make of it.

    Attributes:
        layers: one per decoder layer, the last one last.
        shown: (s,) int64, the prompts whose masks were computed.
        masks: (s, q, m, m) logits; union: (s, m, m) logits of all targets together.
    """

    layers: tuple[LayerOutput, ...]
    shown: torch.Tensor
    masks: torch.Tensor
    union: torch.Tensor


def prepare_for_training(model: Sam3Image) -> None:
    """Set the model up so that its decoder gives what the losses need, and no activation is computed twice.

    sam3 asks the top module whether it is training before it adds the one-to-many queries and the outputs of
    all decoder layers, and each submodule before it checkpoints activations, which only costs time here.
    """
    model.eval()
    model.training = True
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def fuse(model: Sam3Image, heads: TrainingHeads, batch: Batch) -> Fused:
    """Run image, text and geometry encoders and fuse them: the first half of a forward pass."""
    device = batch.images.device
    features: dict[str, torch.Tensor] = {}
    trunk = model.backbone.vision_backbone.trunk
    hook = trunk.register_forward_hook(lambda _module, _inputs, result: features.update(last=result[-1]))
    try:
        backbone: dict[str, Any] = model.backbone.forward_image(batch.images)
    finally:
        hook.remove()
    texts = list(dict.fromkeys(batch.texts))
    backbone |= model.backbone.forward_text(texts, device=device)
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
    side = backbone["backbone_fpn"][-1].shape[-1]
    memory = encoded["encoder_hidden_states"]  # (g * g, n, d)
    said = (~backbone["language_mask"]).float().T[..., None]  # (tokens, texts, 1)
    pooled = (backbone["language_features"] * said).sum(0) / said.sum(0)
    return Fused(
        at_trunk=heads.trunk(features["last"]),
        at_neck=heads.neck(backbone["backbone_fpn"][-1]),
        match=heads.match(memory.permute(1, 2, 0).unflatten(2, (side, side))),
        words=heads.words(pooled)[stage.text_ids],
        backbone=backbone,
        encoded=encoded,
        prompt=prompt,
        padding=padding,
    )


def decode(model: Sam3Image, fused: Fused, batch: Batch, *, shown: torch.Tensor) -> Outputs:
    """Find and outline objects: the second half. Masks only for the prompts in `shown`: they cost most."""
    memory = fused.encoded["encoder_hidden_states"]
    out, queries = model._run_decoder(
        memory=memory,
        pos_embed=fused.encoded["pos_embed"],
        src_mask=fused.encoded["padding_mask"],
        out={},
        prompt=fused.prompt,
        prompt_mask=fused.padding,
        encoder_out=fused.encoded,
    )
    count = out["pred_logits"].shape[1]
    segmented = model.segmentation_head(
        backbone_feats=fused.backbone["backbone_fpn"],
        obj_queries=queries[:, shown, :count],
        image_ids=batch.image_ids[shown],
        encoder_hidden_states=memory[:, shown],
        prompt=fused.prompt[:, shown],
        prompt_mask=fused.padding[shown],
    )
    return Outputs(
        layers=tuple(_layer(part) for part in (*out.get("aux_outputs", ()), out)),
        shown=shown,
        masks=segmented["pred_masks"],
        union=segmented["semantic_seg"][:, 0],
    )


def _layer(part: dict[str, torch.Tensor]) -> LayerOutput:
    return LayerOutput(
        logits=part["pred_logits"][..., 0].float(),
        boxes=part["pred_boxes"].float(),
        more_logits=part["pred_logits_o2m"][..., 0].float(),
        more_boxes=part["pred_boxes_o2m"].float(),
        presence=part["presence_logit_dec"].float().flatten(),
    )
