"""Queries about a scene, with answers computed from what can be seen of it.

Every query is beyond doubt: where an object lies close to the line between yes and no, it is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from maskpilot.scenes import relations
from maskpilot.scenes.plain import every_phrase, find
from maskpilot.scenes.types import Scene, SceneQuery
from maskpilot.scenes.vocabulary import COLOURS, SHAPES, TEXTURES, Phrase

__all__ = ["KINDS", "queries"]

PER_KIND = 2
"""Queries of one kind about one scene, at most."""

Asker = Callable[[Scene, np.random.Generator], Iterator[SceneQuery]]


def queries(
    scene: Scene, seed: int = 0, *, kinds: tuple[str, ...] | None = None, per_kind: int = PER_KIND
) -> tuple[SceneQuery, ...]:
    """What can be asked about a scene; the same arguments give the same queries, each text once.

    Args:
        kinds: some of KINDS; all where None.
        per_kind: queries of one kind at most; a scene with few objects allows fewer.

    Raises:
        KeyError: no such kind.
    """
    asked: dict[str, SceneQuery] = {}
    for kind in kinds or KINDS:
        rng = np.random.default_rng([seed, scene.seed, KINDS.index(kind)] if kind in KINDS else [seed])
        new = 0
        for query in _ASKERS[kind](scene, rng):
            if new == per_kind:
                break
            if query.text not in asked:
                asked[query.text] = query
                new += 1
    return tuple(asked.values())


def _plain(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """A shape and perhaps more: "red circles"."""
    for phrase in every_phrase(scene, rng):
        if phrase.shape:
            yield _as_query(scene, phrase, "plain")


def _attribute(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """No shape: "the small red things"."""
    for phrase in every_phrase(scene, rng):
        if not phrase.shape:
            yield _as_query(scene, phrase, "attribute")


def _as_query(scene: Scene, phrase: Phrase, kind: str) -> SceneQuery:
    answer = find(scene, phrase)
    text = phrase.words(many=len(answer) != 1)
    return SceneQuery(text, kind, answer, text)


def _absent(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """One word away from something that is there: "green hearts" where hearts are red."""
    for phrase in every_phrase(scene, rng):
        swaps = [
            phrase.saying(field, str(rng.choice(words)))
            for field, words in _SWAPPED.items()
            if getattr(phrase, field)
        ]
        for index in rng.permutation(len(swaps)).tolist():
            if not find(scene, swaps[index]):
                text = swaps[index].words(many=True)
                yield SceneQuery(text, "absent", (), text)
                break
    said: set[str] = set()
    while not scene.objects and len(said) < len(SHAPES) * len(COLOURS):
        phrase = Phrase(shape=str(rng.choice(SHAPES)), colour=str(rng.choice(COLOURS)))
        text = phrase.words(many=True)
        said.add(text)
        yield SceneQuery(text, "absent", (), text)


_SWAPPED = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}
_ASKERS: dict[str, Asker] = {
    "plain": _plain,
    "attribute": _attribute,
    "absent": _absent,
    "except": relations.except_one,
    "either": relations.either,
    "relation": relations.beside,
    "nearest": relations.nearest,
    "ordinal": relations.ordinal,
    "superlative": relations.superlative,
    "count": relations.counted,
}
KINDS = tuple(_ASKERS)
"""plain, attribute and absent are what one phrase can say; the others need more than a phrase."""
