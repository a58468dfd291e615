"""The architecture of SAM 3 at a size that a CPU runs in milliseconds.

Every module is sam3's own, unmodified; only the dimensions differ from sam3/model_builder.py. So whatever
runs on the full-size model runs on this one: `Sam3Processor(build_nano(...), resolution=...)` works.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from maskpilot.segmenters import compat
from maskpilot.segmenters.nano.config import TINY, NanoConfig
from maskpilot.segmenters.nano.tokenizer import NanoTokenizer

compat.prepare_import()

from sam3.model.decoder import TransformerDecoder, TransformerDecoderLayer  # noqa: E402
from sam3.model.encoder import TransformerEncoderFusion, TransformerEncoderLayer  # noqa: E402
from sam3.model.geometry_encoders import SequenceGeometryEncoder  # noqa: E402
from sam3.model.maskformer_segmentation import PixelDecoder, UniversalSegmentationHead  # noqa: E402
from sam3.model.model_misc import (  # noqa: E402
    MLP,
    DotProductScoring,
    MultiheadAttentionWrapper,
    TransformerWrapper,
)
from sam3.model.necks import Sam3DualViTDetNeck  # noqa: E402
from sam3.model.position_encoding import PositionEmbeddingSine  # noqa: E402
from sam3.model.sam3_image import Sam3Image  # noqa: E402
from sam3.model.text_encoder_ve import VETextEncoder  # noqa: E402
from sam3.model.vitdet import ViT  # noqa: E402
from sam3.model.vl_combiner import SAM3VLBackbone  # noqa: E402

__all__ = ["TINY", "NanoConfig", "build_nano"]


WAVE_SIZE = 1.5
"""Of one wave of the positions that patches start with; a patch has a size of about sqrt(vit_width)."""
NEAR, FAR = 24.0, 6.0
"""How steeply the first and the last head lose interest outside of a query's box."""


def build_nano(
    config: NanoConfig, vocabulary: Sequence[str], *, seed: int = 0, device: torch.device | str = "cpu"
) -> Sam3Image:
    """Build the small model with random weights, in eval mode.

    The same config, vocabulary and seed give the same weights on every device; torch's global generator is
    left alone.

    Args:
        config: dimensions.
        vocabulary: words that its text encoder has ids for; see `NanoTokenizer`.
        seed: of the random weights.
        device: where it will run. It cannot be moved later: sam3's decoder keeps a table outside its buffers.
    """
    with torch.random.fork_rng(devices=[]), compat.building_on(device):
        torch.manual_seed(seed)
        model = Sam3Image(
            backbone=_backbone(config, NanoTokenizer(vocabulary, config.context_length)),
            transformer=_transformer(config),
            input_geometry_encoder=_geometry_encoder(config),
            segmentation_head=_segmentation_head(config),
            num_feature_levels=1,
            o2m_mask_predict=True,
            dot_prod_scoring=_scoring(config),
            use_instance_query=False,
            multimask_output=True,
            inst_interactive_predictor=None,
            matcher=None,
        )
        _initialise(model, config)
    return model.to(device).eval()


def _backbone(config: NanoConfig, tokenizer: NanoTokenizer) -> SAM3VLBackbone:
    image_encoder = ViT(
        img_size=config.resolution,
        pretrain_img_size=config.resolution,
        patch_size=config.patch,
        embed_dim=config.vit_width,
        depth=config.vit_depth,
        num_heads=config.vit_heads,
        mlp_ratio=config.vit_mlp,
        drop_path_rate=0.0,
        rel_pos_blocks=(),
        global_att_blocks=config.vit_global,
        window_size=config.vit_window,
        use_rope=True,
        use_interp_rope=False,
        rope_pt_size=None,
        retain_cls_token=False,
        ln_pre=True,
        bias_patch_embed=False,
        use_act_checkpoint=False,
    )
    neck = Sam3DualViTDetNeck(
        trunk=image_encoder,
        position_encoding=_positions(config),
        d_model=config.width,
        scale_factors=[finer * config.patch / config.stride for finer in (4, 2, 1)],
    )
    text_encoder = VETextEncoder(
        tokenizer=tokenizer,
        d_model=config.width,
        width=config.text_width,
        heads=config.text_heads,
        layers=config.text_layers,
        context_length=config.context_length,
        vocab_size=tokenizer.vocab_size,
        use_act_checkpoint=False,
    )
    return SAM3VLBackbone(visual=neck, text=text_encoder)


def _transformer(config: NanoConfig) -> TransformerWrapper:
    encoder = TransformerEncoderFusion(
        layer=_encoder_layer(config, batch_first=True, positions_at="queries"),
        num_layers=config.encoder_layers,
        d_model=config.width,
        num_feature_levels=1,
        use_act_checkpoint=True,  # sam3 asserts it in training; it does nothing at inference
        add_pooled_text_to_img_feat=False,
        pool_text_with_mask=True,
    )
    decoder = TransformerDecoder(
        layer=TransformerDecoderLayer(
            activation="relu",
            d_model=config.width,
            dim_feedforward=config.feedforward,
            dropout=0.0,
            cross_attention=_attention(config),
            n_heads=config.heads,
            use_text_cross_attention=True,
        ),
        num_layers=config.decoder_layers,
        num_queries=config.queries,
        return_intermediate=True,
        box_refine=True,
        num_o2m_queries=0,
        dac=False,
        boxRPB="log",
        d_model=config.width,
        frozen=False,
        interaction_layer=None,
        resolution=config.resolution,
        stride=config.stride,
        use_act_checkpoint=True,
        presence_token=True,
    )
    return TransformerWrapper(encoder=encoder, decoder=decoder, d_model=config.width)


def _geometry_encoder(config: NanoConfig) -> SequenceGeometryEncoder:
    return SequenceGeometryEncoder(
        pos_enc=_positions(config),
        encode_boxes_as_points=False,
        points_direct_project=True,
        points_pool=True,
        points_pos_enc=True,
        boxes_direct_project=True,
        boxes_pool=True,
        boxes_pos_enc=True,
        d_model=config.width,
        num_layers=config.geometry_layers,
        layer=_encoder_layer(config, batch_first=False, positions_at="keys"),
        use_act_ckpt=True,
        add_cls=True,
        add_post_encode_proj=True,
    )


def _segmentation_head(config: NanoConfig) -> UniversalSegmentationHead:
    return UniversalSegmentationHead(
        hidden_dim=config.width,
        upsampling_stages=2,
        pixel_decoder=PixelDecoder(hidden_dim=config.width, num_upsampling_stages=2),
        cross_attend_prompt=_attention(config),
    )


def _scoring(config: NanoConfig) -> DotProductScoring:
    mlp = MLP(
        config.width,
        config.feedforward,
        config.width,
        num_layers=2,
        residual=True,
        out_norm=nn.LayerNorm(config.width),
    )
    return DotProductScoring(d_model=config.width, d_proj=config.width, prompt_mlp=mlp)


def _encoder_layer(config: NanoConfig, *, batch_first: bool, positions_at: str) -> TransformerEncoderLayer:
    """The fusion encoder adds positions to its queries, the geometry encoder to the image's keys."""
    return TransformerEncoderLayer(
        activation="relu",
        d_model=config.width,
        dim_feedforward=config.feedforward,
        dropout=0.0,
        pre_norm=True,
        pos_enc_at_attn=positions_at == "queries",
        pos_enc_at_cross_attn_queries=False,
        pos_enc_at_cross_attn_keys=positions_at == "keys",
        self_attention=_attention(config, batch_first=batch_first),
        cross_attention=_attention(config, batch_first=batch_first),
    )


def _attention(config: NanoConfig, **options: Any) -> MultiheadAttentionWrapper:
    return MultiheadAttentionWrapper(num_heads=config.heads, dropout=0.0, embed_dim=config.width, **options)


def _positions(config: NanoConfig) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(num_pos_feats=config.width)


def _initialise(model: Sam3Image, config: NanoConfig) -> None:
    """Let every query start as the same question about another place; fill what sam3 leaves uninitialised."""
    centres = (torch.arange(config.grid) + 0.5) / config.grid
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    size = torch.full_like(x, config.anchor_size)
    anchors = torch.stack([x, y, size, size], dim=-1).flatten(0, 1)  # (queries, 4) cxcywh in [0, 1]
    decoder = model.transformer.decoder
    trunk = model.backbone.vision_backbone.trunk
    text = model.backbone.language_backbone.encoder
    with torch.no_grad():
        decoder.reference_points.weight.copy_(anchors.logit())
        nn.init.zeros_(decoder.query_embed.weight)
        for bias in (decoder.boxRPB_embed_x, decoder.boxRPB_embed_y):
            _look_inside_the_box(bias, config)
        trunk.pos_embed[0, 1:] += _waves(config)
        nn.init.normal_(text.token_embedding.weight, std=0.1)
        nn.init.normal_(text.positional_embedding, std=0.05)
        nn.init.zeros_(text.text_projection)  # never used by Sam3Image


def _waves(config: NanoConfig) -> torch.Tensor:
    """Where patches are, (patches, vit_width): waves along both axes, in random directions.

    Without these nothing in the image features says where it is: everything else there is relative. And then
    no mask can keep to one of two like objects.
    """
    side = config.resolution // config.patch
    turns = 2 * math.pi * (torch.arange(side) + 0.5)[:, None] / side * torch.tensor([1.0, 2.0, 4.0])
    along = torch.cat([turns.sin(), turns.cos()], dim=1)  # (side, 6)
    y, x = along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)
    waves = torch.cat([y, x], dim=2).flatten(0, 1)  # (patches, 12)
    directions = nn.functional.normalize(torch.randn(waves.shape[1], config.vit_width), dim=1)
    return WAVE_SIZE * waves @ directions


def _look_inside_the_box(bias: MLP, config: NanoConfig) -> None:
    """Make a query attend to its box, and the less to places the farther out they are, each head in its way.

    The network sees, of each row or column of places, how far its start lies from both edges of the box,
    scaled as sam3/model/decoder.py:369 does.
    """
    first, last = bias.layers
    one_place = math.log2(1 + 8 / config.grid) / math.log2(8)
    for tensor in (first.weight, first.bias, last.weight, last.bias):
        nn.init.zeros_(tensor)
    # The first unit: a place starts before the box by more than its length. The second: it starts after it.
    first.weight[0, 0], first.bias[0] = -1.0, -one_place
    first.weight[1, 1] = 1.0
    slopes = torch.logspace(math.log2(NEAR), math.log2(FAR), len(last.weight), base=2)
    last.weight[:, :2] = -slopes[:, None]
