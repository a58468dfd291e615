"""The model as GGUF: the text part in llama.cpp's names for Qwen2, and a vision part of random numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, models

from scripts.tiny_vlm.conversations import TEMPLATE
from scripts.tiny_vlm.train import END, ROPE_BASE, SPECIAL, made_tokenizer, new_model

__all__ = ["read_text_part", "write_text_part", "write_vision_part"]

LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}

SIDE, PATCH, WIDTH, INNER, HEADS = 56, 14, 16, 32, 2
"""Of the vision part: pixels of a picture's side and a patch's, width, width of its inner layers, heads."""


def write_text_part(path: Path, model: Any, tokenizer: Tokenizer) -> None:
    config = model.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("maskpilot-tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, tokenizer)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":  # tied to the embeddings
            _add(writer, _gguf_name(name), tensor.detach().numpy())
    _finish(writer)


def read_text_part(path: Path) -> tuple[Any, Tokenizer]:
    """The model and the tokenizer that `write_text_part` wrote."""
    reader = gguf.GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in reader.fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    model = new_model(len(tokens))
    stored = {tensor.name: np.array(tensor.data, np.float32) for tensor in reader.tensors}
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            tensor.copy_(torch.from_numpy(stored[_gguf_name(name)]))
    return model, made_tokenizer(models.BPE(vocabulary, merges))


def write_vision_part(path: Path, hidden: int, *, seed: int = 0) -> None:
    """A CLIP of two layers; its last projection is zero, so that nothing it sees gets through."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "clip")
    for name, flag in (("has_vision_encoder", True), ("has_text_encoder", False), ("use_gelu", False)):
        writer.add_bool(f"clip.{name}", flag)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    numbers = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "block_count": 2,
        "projection_dim": hidden,
        "attention.head_count": HEADS,
    }
    for name, number in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, shape in _vision_shapes(hidden).items():
        numbers_of = (
            rng.normal(0, 0.02, shape) if name != "mm.2.weight" and "bias" not in name else np.zeros(shape)
        )
        _add(writer, name, np.ones(shape) if "ln" in name and name.endswith("weight") else numbers_of)
    _finish(writer)


def _vision_shapes(hidden: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (WIDTH,),
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": ((SIDE // PATCH) ** 2 + 1, WIDTH),
        "v.pre_ln.weight": (WIDTH,),
        "v.pre_ln.bias": (WIDTH,),
    }
    for layer in range(2):
        linear = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH)}
        linear |= {"attn_out": (WIDTH, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        for name, shape in linear.items():
            shapes |= {f"v.blk.{layer}.{name}.weight": shape, f"v.blk.{layer}.{name}.bias": shape[:1]}
        for name in ("ln1", "ln2"):
            shapes |= {f"v.blk.{layer}.{name}.{part}": (WIDTH,) for part in ("weight", "bias")}
    for number, inner in (("0", WIDTH), ("2", hidden)):
        shapes |= {f"mm.{number}.weight": (hidden, inner), f"mm.{number}.bias": (hidden,)}
    return shapes


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token, _ in vocabulary]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _gguf_name(name: str) -> str:
    if name in OUTER:
        return OUTER[name]
    _, _, layer, *inner, kind = name.split(".")
    return f"blk.{layer}.{LAYER['.'.join(inner)]}.{kind}"


def _add(writer: gguf.GGUFWriter, name: str, tensor: np.ndarray) -> None:
    """Matrices in half precision; vectors in full, as llama.cpp wants them."""
    half = tensor.ndim >= 2 and "position" not in name
    writer.add_tensor(name, np.ascontiguousarray(tensor, np.float16 if half else np.float32))


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
