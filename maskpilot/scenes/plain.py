"""Phrases about a scene that a noun phrase alone can say, and what they match."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from maskpilot.scenes.types import Scene
from maskpilot.scenes.vocabulary import ROUND_SHAPES, SIZES, Phrase

__all__ = ["every_phrase", "find", "phrase_for"]

FIELDS = ("shape", "colour", "texture", "size")


def find(scene: Scene, phrase: Phrase) -> tuple[int, ...]:
    """Indices of the objects that a phrase describes, ascending."""
    return tuple(index for index, thing in enumerate(scene.objects) if phrase.matches(thing))


def phrase_for(scene: Scene, index: int, fields: tuple[str, ...]) -> Phrase | None:
    """The phrase that names some attributes of one object; None where one of them has no word."""
    thing = scene.objects[index]
    said = {field: getattr(thing, field) for field in fields}
    return None if said.get("size", SIZES[0]) not in SIZES else Phrase(**said)


def every_phrase(scene: Scene, rng: np.random.Generator) -> Iterator[Phrase]:
    """Phrases that match something in the scene, each once, in random order; shorter ones come more often.

    "round" is said where something is round and something else is not.
    """
    found: dict[Phrase, None] = {}
    for index in range(len(scene.objects)):
        for length in (1, 2, 3):
            for fields in combinations(FIELDS, length):
                phrase = phrase_for(scene, index, fields)
                if phrase:
                    found.setdefault(phrase)
    shapes = {thing.shape for thing in scene.objects}
    if shapes & ROUND_SHAPES and shapes - ROUND_SHAPES:
        found.setdefault(Phrase(round=True))
    phrases = list(found)
    # Exponential clocks: a phrase of n words waits n times as long on average.
    clocks = rng.exponential(size=len(phrases)) * [sum(map(bool, _words(phrase))) for phrase in phrases]
    for index in np.argsort(clocks, kind="stable").tolist():
        yield phrases[index]


def _words(phrase: Phrase) -> tuple[object, ...]:
    return (phrase.shape, phrase.colour, phrase.texture, phrase.size, phrase.round)
