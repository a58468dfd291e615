"""The words that scenes are described with, and the phrases made of them.

A phrase is a short noun phrase as a person would type it for SAM 3: "large striped red stars". It names
any of size, texture, colour and shape; what it does not name is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Protocol

__all__ = [
    "COLOURS",
    "NOUNS",
    "ROUND_SHAPES",
    "SHAPES",
    "SIZES",
    "SYNONYMS",
    "TEXTURES",
    "VOCABULARY",
    "Described",
    "Phrase",
    "plural",
    "read_phrase",
]

# Every shape stays itself when an image of 1:2 or 2:1 is squashed to a square, as SAM 3's processor does.
# So there is no oval beside the circle, and no rectangle beside the square.
SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "cross",
    "diamond",
    "ring",
    "moon",
    "arrow",
    "flower",
    "drop",
    "bolt",
    "house",
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
TEXTURES = ("plain", "striped", "spotted", "checkered")
SIZES = ("small", "large")
"""The sizes that have a word; between them an object is "medium", which no phrase says."""
NOUNS = ("thing", "shape", "object")
"""Nouns that name no shape: they match everything."""
ROUND_SHAPES = frozenset({"circle", "ring"})

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "disc": "circle",
        "donut": "ring",
        "crescent": "moon",
        "plus": "cross",
        "rhombus": "diamond",
        "teardrop": "drop",
        "violet": "purple",
        "scarlet": "red",
        "dotted": "spotted",
        "checked": "checkered",
        "solid": "plain",
        "big": "large",
        "little": "small",
    }
)
"""Another word -> the word that the scene uses."""

_FIELD_OF = (
    dict.fromkeys(SHAPES, "shape")
    | dict.fromkeys(COLOURS, "colour")
    | dict.fromkeys(TEXTURES, "texture")
    | dict.fromkeys(SIZES, "size")
)


def plural(noun: str) -> str:
    """The plural of a noun of the vocabulary: "cross" -> "crosses"."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


_COUNTED = SHAPES + NOUNS + tuple(word for word, meaning in SYNONYMS.items() if meaning in SHAPES)
_SINGULAR = {plural(noun): noun for noun in _COUNTED} | {"rhombuses": "rhombus", "everything": "thing"}
_FILLER = frozenset({"a", "all", "an", "every", "the"})

VOCABULARY: tuple[str, ...] = (
    *SHAPES,
    *COLOURS,
    *TEXTURES,
    *SIZES,
    *NOUNS,
    "round",
    *SYNONYMS,
    *sorted(_SINGULAR),
)
"""Every word that a phrase may be made of, plurals and synonyms among them."""


class Described(Protocol):
    """Anything with the four attributes that phrases speak of."""

    @property
    def shape(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def texture(self) -> str: ...
    @property
    def size(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase by its meaning; None leaves an attribute free.

    Attributes:
        shape, colour, texture, size: a word of SHAPES, COLOURS, TEXTURES, SIZES.
        round: whether "round" is said: one of ROUND_SHAPES.
    """

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    round: bool = False

    def matches(self, thing: Described) -> bool:
        """Whether the phrase describes the thing."""
        return (
            self.shape in {None, thing.shape}
            and self.colour in {None, thing.colour}
            and self.texture in {None, thing.texture}
            and self.size in {None, thing.size}
            and not (self.round and thing.shape not in ROUND_SHAPES)
        )

    def words(self, *, many: bool = False, noun: str = "thing") -> str:
        """In words, in the usual order: size, texture, colour, "round", noun.

        Args:
            many: whether the noun is in the plural.
            noun: the noun where the phrase names no shape.
        """
        last = self.shape or noun
        said = [self.size, self.texture, self.colour, "round" if self.round else None]
        return " ".join([*(word for word in said if word), plural(last) if many else last])

    def saying(self, attribute: str, word: str) -> Phrase:
        """The same phrase with another word for one attribute."""
        change: dict[str, Any] = {attribute: word}
        return replace(self, **change)

    def __bool__(self) -> bool:
        """Whether it says anything at all: "thing" alone does not."""
        return any(getattr(self, field.name) for field in fields(self))


def read_phrase(text: str) -> Phrase | None:
    """The meaning of a noun phrase; None where a word is unknown or one attribute is named twice.

    Word order, case, articles, plurals and synonyms make no difference.
    """
    said: dict[str, str] = {}
    is_round = False
    words = [word for word in text.lower().split() if word not in _FILLER]
    for word in words:
        singular = _SINGULAR.get(word, word)
        meaning = SYNONYMS.get(singular, singular)
        if meaning in NOUNS:
            continue
        if meaning == "round":
            is_round = True
            continue
        field = _FIELD_OF.get(meaning)
        if field is None or said.setdefault(field, meaning) != meaning:
            return None
    return Phrase(**said, round=is_round) if words else None
