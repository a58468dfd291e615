"""Dimensions of the small model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TINY", "NanoConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig:
    """Dimensions of the small model.

    Attributes:
        resolution: side of the square that every image is resized to, in pixels.
        stride: side in pixels of a place that prompts are fused with and that a query starts from.
        patch: side of a ViT patch in pixels; the stride, or a half of it.
        vit_width, vit_depth, vit_heads, vit_mlp: the image encoder; width / heads is divisible by 4.
        vit_window: side of attention windows in patches, 0 for none; every second block is global anyway.
        width, heads, feedforward: shared by the fusion encoder, the decoder and the geometry encoder;
            width is divisible by 8 and by heads.
        encoder_layers, decoder_layers, geometry_layers: depths.
        anchor_size: side of the queries' first boxes as a share of the image's side.
        text_width, text_heads, text_layers, context_length: the text encoder.

    Raises:
        ValueError: dimensions that do not fit together.
    """

    resolution: int = 224
    stride: int = 16
    patch: int = 16
    vit_width: int = 192
    vit_depth: int = 6
    vit_heads: int = 4
    vit_mlp: float = 3.0
    vit_window: int = 0
    width: int = 128
    heads: int = 4
    feedforward: int = 512
    encoder_layers: int = 3
    decoder_layers: int = 3
    geometry_layers: int = 1
    anchor_size: float = 0.12
    text_width: int = 96
    text_heads: int = 4
    text_layers: int = 2
    context_length: int = 16

    def __post_init__(self) -> None:
        rules = {
            "stride divides resolution": self.resolution % self.stride == 0,
            "stride is patch or twice patch": self.stride in (self.patch, 2 * self.patch),
            "vit_width / vit_heads is divisible by 4": self.vit_width % (4 * self.vit_heads) == 0,
            "width is divisible by 8": self.width % 8 == 0,
            "width is divisible by heads": self.width % self.heads == 0,
            "text_width is divisible by text_heads": self.text_width % self.text_heads == 0,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(f"NanoConfig: expected {' and '.join(broken)}, got {self}")

    @property
    def grid(self) -> int:
        """Places per side of the image features that prompts are fused with."""
        return self.resolution // self.stride

    @property
    def vit_global(self) -> tuple[int, ...]:
        """Blocks of the image encoder whose attention spans the whole image."""
        return tuple(range(self.vit_depth) if self.vit_window == 0 else range(1, self.vit_depth, 2))

    @property
    def queries(self) -> int:
        """Candidates per prompt: one for each place."""
        return self.grid**2


TINY = NanoConfig(
    resolution=64,
    vit_width=32,
    vit_depth=2,
    vit_heads=2,
    vit_mlp=2.0,
    patch=8,
    vit_window=4,
    width=32,
    heads=2,
    feedforward=32,
    encoder_layers=1,
    decoder_layers=1,
    text_width=16,
    text_heads=2,
    text_layers=1,
    context_length=8,
)
"""Small enough that a test builds and runs it in a fraction of a second."""
