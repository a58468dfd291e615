"""Whole words in, token ids out: the small model's stand-in for the BPE tokenizer of SAM 3."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import torch

__all__ = ["BOX_ONLY_TEXT", "NanoTokenizer"]

BOX_ONLY_TEXT = "visual"
"""What sam3 says to the text encoder when only boxes speak."""

PADDING, START, END = 0, 1, 2  # sam3's text encoder masks id 0: sam3/model/text_encoder_ve.py:302
UNKNOWN_IDS = 4


class NanoTokenizer:
    """Maps each known word to one id; unknown words share a few ids, spread by a stable hash.

    A plural falls back to its singular ("stars" to "star", "boxes" to "box"). The call signature is that
    of sam3's own tokenizer.

    Attributes:
        words: the known words in the order of their ids; `BOX_ONLY_TEXT` is always the first.
        vocab_size: number of ids, special ones included.

    Args:
        vocabulary: words to know; lower case, order matters, repeats are dropped.
        context_length: ids per text, with the start and end marks.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int) -> None:
        self.words = tuple(dict.fromkeys((BOX_ONLY_TEXT, *(word.lower() for word in vocabulary))))
        self.context_length = context_length
        self.first_word = END + 1 + UNKNOWN_IDS
        self.vocab_size = self.first_word + len(self.words)
        self._ids = {word: self.first_word + index for index, word in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        """Ids of the words of one text, without start and end marks."""
        return [self._id(word) for word in re.findall(r"[^\W_]+", text.lower())]

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> torch.Tensor:
        """Tokenize texts; what does not fit is cut off at the end.

        Returns:
            (n, context_length) int64, padded with zeros on the right.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        length = context_length or self.context_length
        ids = torch.full((len(texts), length), PADDING, dtype=torch.long)
        for row, text in zip(ids, texts, strict=True):
            tokens = [START, *self.encode(text)[: length - 2], END]
            row[: len(tokens)] = torch.tensor(tokens)
        return ids

    def _id(self, word: str) -> int:
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in self._ids:
                return self._ids[form]
        return END + 1 + zlib.crc32(word.encode()) % UNKNOWN_IDS
