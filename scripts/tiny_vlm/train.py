"""A tokenizer and a small Qwen2 that learn the conversations by heart."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

from scripts.tiny_vlm.conversations import MARKER, Sample, shortened

__all__ = [
    "END",
    "PATCHES",
    "ROPE_BASE",
    "SPECIAL",
    "learn",
    "made_tokenizer",
    "new_model",
    "recited",
    "train_tokenizer",
]

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END = 2
ROPE_BASE = 1e6
"""High, so that what is 3,000 tokens back can be told apart by what it says."""

BATCH = 3
PATCHES = 16
"""Tokens that a picture becomes; their embeddings are zero."""

# What llama.cpp calls "qwen2": src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_QWEN2.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Sequence[str], size: int = 1500) -> Tokenizer:
    """Byte-level BPE: any text can be written in it, that of the prompts in few tokens."""
    tokenizer = made_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def made_tokenizer(bpe: models.BPE) -> Tokenizer:
    """What llama.cpp makes of "gpt2" with "qwen2" before it."""
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in SPECIAL if bpe.token_to_id(token) is not None])
    return tokenizer


def new_model(vocabulary: int, *, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=16384,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config)


def learn(
    model: Any,
    tokenizer: Tokenizer,
    samples: Sequence[Sample],
    *,
    steps: int,
    rate: float = 3e-3,
    seed: int = 0,
) -> None:
    """Teach it the replies; short prompts at first, whole ones at the end."""
    rng = random.Random(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    began = time.monotonic()
    for step in range(steps):
        whole = step > 0.5 * steps
        for _ in range(BATCH):
            sample = rng.choice(samples)
            if not whole or rng.random() < 0.3:
                sample = shortened(sample, rng, 12_000 if whole else 3000)
            loss, right = _forward(model, tokenizer, sample)
            (loss / BATCH).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            seconds = time.monotonic() - began
            print(f"{step} {seconds:.0f} s: loss {loss.item():.4f}, {right:.2f} right", flush=True)


@torch.no_grad()
def recited(model: Any, tokenizer: Tokenizer, sample: Sample) -> bool:
    """Whether it would give the whole reply, token by token."""
    return _forward(model, tokenizer, sample)[1] == 1.0


def _forward(model: Any, tokenizer: Tokenizer, sample: Sample) -> tuple[torch.Tensor, float]:
    prompt = _embedded(model, tokenizer, sample.prompt)
    reply = torch.tensor([*tokenizer.encode(sample.reply).ids, END])
    table = model.get_input_embeddings()
    inputs = torch.cat([prompt, table(reply[:-1])])[None]
    logits = model(inputs_embeds=inputs, logits_to_keep=len(reply), use_cache=False).logits[0]
    right = (logits.argmax(-1) == reply).float().mean().item()
    return torch.nn.functional.cross_entropy(logits, reply), right


def _embedded(model: Any, tokenizer: Tokenizer, text: str) -> torch.Tensor:
    """(n, hidden): embeddings of a prompt, zeros where pictures are."""
    table = model.get_input_embeddings()
    parts = []
    for number, part in enumerate(text.split(MARKER)):
        if number:
            parts.append(torch.zeros(PATCHES, table.embedding_dim))
        parts.append(table(torch.tensor(tokenizer.encode(part).ids, dtype=torch.long)))
    return torch.cat(parts)
