"""Queries that a noun phrase cannot say: where something is, how many there are, which is the largest.

SAM 3 ignores such words, so these need selection. Each function yields candidates in random order; the caller
takes as many as it likes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from maskpilot.scenes.plain import every_phrase, find
from maskpilot.scenes.types import Scene, SceneQuery
from maskpilot.scenes.vocabulary import COLOURS, SHAPES, TEXTURES, Phrase

__all__ = ["beside", "counted", "either", "except_one", "nearest", "ordinal", "superlative"]

CLEAR = 0.05
"""Two places differ when they are this share of the image's mean side apart."""
MUCH_LARGER = 1.5
"""Ratio of visible areas from which one object is plainly the larger."""
_ORDINALS = ("first", "second", "third", "fourth")
_NUMBERS = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
_SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
_ENDS = {
    "from the left": (0, 1),
    "from the right": (0, -1),
    "from the top": (1, 1),
    "from the bottom": (1, -1),
}


def _margin(scene: Scene) -> float:
    return CLEAR * float(np.sqrt(scene.width * scene.height))


def _groups(
    scene: Scene, rng: np.random.Generator, *, least: int
) -> Iterator[tuple[Phrase, tuple[int, ...]]]:
    """Phrases with at least so many matches."""
    for phrase in every_phrase(scene, rng):
        answer = find(scene, phrase)
        if len(answer) >= least:
            yield phrase, answer


def _anchors(scene: Scene, rng: np.random.Generator) -> list[tuple[Phrase, int]]:
    """Up to six phrases with a shape that match exactly one object."""
    only = [
        (phrase, find(scene, phrase)[0])
        for phrase in every_phrase(scene, rng)
        if phrase.shape and len(find(scene, phrase)) == 1
    ]
    return sorted(only, key=lambda pair: len(pair[0].words().split()))[:6]


def except_one(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """Several alike without those of one colour or texture: "all squares except the blue one"."""
    for phrase, group in _groups(scene, rng, least=2):
        for field in ("colour", "texture"):
            if getattr(phrase, field):
                continue
            words = sorted({getattr(scene.objects[index], field) for index in group})
            word = str(rng.choice(words))
            out = [index for index in group if getattr(scene.objects[index], field) == word]
            rest = tuple(index for index in group if index not in out)
            if rest:
                ones = "one" if len(out) == 1 else "ones"
                noun = phrase.words(many=True)
                yield SceneQuery(f"all {noun} except the {word} {ones}", "except", rest, phrase.words())


def either(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """Two phrases that share nothing: "the red circles and the stars"."""
    groups = [(phrase, group) for phrase, group in _groups(scene, rng, least=1) if phrase.shape]
    for (one, first), (two, second) in pairwise(groups):
        if one.shape != two.shape:
            text = f"the {one.words(many=len(first) > 1)} and the {two.words(many=len(second) > 1)}"
            yield SceneQuery(text, "either", tuple(sorted(first + second)), one.words(), (two.words(),))


def beside(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """On one side of an object that is one of a kind: "the striped squares left of the star"."""
    anchors, margin = _anchors(scene, rng), _margin(scene)
    centres = [thing.centre for thing in scene.objects]
    for phrase, whole in _groups(scene, rng, least=1):
        for anchor, at in anchors:
            group = [index for index in whole if index != at]
            side = str(rng.choice(list(_SIDES)))
            axis, sign = _SIDES[side]
            ahead = {index: sign * (centres[index][axis] - centres[at][axis]) for index in group}
            answer = tuple(index for index in group if ahead[index] > 0)
            if answer and all(abs(distance) > margin for distance in ahead.values()):
                text = f"the {phrase.words(many=len(answer) > 1)} {side} the {anchor.words()}"
                yield SceneQuery(text, "relation", answer, phrase.words())


def nearest(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """The nearest of several to one of a kind: "the circle nearest to the star"."""
    anchors, margin = _anchors(scene, rng), _margin(scene)
    centres = np.array([thing.centre for thing in scene.objects])
    for phrase, whole in _groups(scene, rng, least=2):
        for anchor, at in anchors:
            group = [index for index in whole if index != at]
            if len(group) < 2:
                continue
            distances = np.hypot(*(centres[group] - centres[at]).T)
            first, second = np.argsort(distances, kind="stable")[:2]
            if distances[second] - distances[first] > margin:
                text = f"the {phrase.words()} nearest to the {anchor.words()}"
                yield SceneQuery(text, "nearest", (group[int(first)],), phrase.words())


def ordinal(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """A place in a row: "the second circle from the left"."""
    margin = _margin(scene)
    for phrase, group in _groups(scene, rng, least=2):
        end = str(rng.choice(list(_ENDS)))
        axis, sign = _ENDS[end]
        places = np.array([sign * scene.objects[index].centre[axis] for index in group])
        order = np.argsort(places, kind="stable")
        rank = int(rng.integers(0, min(len(group), len(_ORDINALS))))
        near = np.abs(places - places[order[rank]])
        near[order[rank]] = np.inf
        if near.min() > margin:
            text = f"the {_ORDINALS[rank]} {phrase.words()} {end}"
            yield SceneQuery(text, "ordinal", (group[int(order[rank])],), phrase.words())


def superlative(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """The largest or smallest of several, by visible area: "the largest star"."""
    for phrase, group in _groups(scene, rng, least=2):
        if phrase.size:
            continue
        areas = np.array([scene.objects[index].area for index in group], float)
        order = np.argsort(areas, kind="stable")
        word, best, second = (
            ("largest", order[-1], order[-2]) if rng.random() < 0.5 else ("smallest", order[0], order[1])
        )
        ratio = max(areas[best], areas[second]) / min(areas[best], areas[second])
        if ratio > MUCH_LARGER:
            yield SceneQuery(
                f"the {word} {phrase.words()}", "superlative", (group[int(best)],), phrase.words()
            )


def counted(scene: Scene, rng: np.random.Generator) -> Iterator[SceneQuery]:
    """What occurs so many times: "the things whose colour occurs exactly twice"."""
    for field, known in (("shape", SHAPES), ("colour", COLOURS), ("texture", TEXTURES)):
        often = Counter(getattr(thing, field) for thing in scene.objects)
        for number in rng.permutation(sorted(_NUMBERS)).tolist():
            words = [word for word in known if often[word] == number]
            if len(words) != 1 or len(often) < 2:
                continue
            phrase = Phrase().saying(field, words[0])
            text = f"the things whose {field} occurs exactly {_NUMBERS[number]}"
            yield SceneQuery(text, "count", find(scene, phrase), phrase.words())
