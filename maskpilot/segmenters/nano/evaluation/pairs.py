"""Does every word count? Pairs of prompts, and of objects, that differ in one attribute alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from maskpilot.scenes import COLOURS, SHAPES, TEXTURES, Phrase, Scene, find
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.segmenters.nano.evaluation.measures import SAME, auroc, ious
from maskpilot.types import PromptState

__all__ = ["ATTRIBUTES", "AttributeResult", "attribute_pairs", "object_pairs", "swapped", "tell_apart"]

ATTRIBUTES = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}
FLOOR = 0.01
"""Candidates below it count as 0: an adapter need not keep them."""


@dataclass(frozen=True, slots=True)
class AttributeResult:
    """How well one attribute is told apart.

    Attributes:
        image: AUROC of the best score, a phrase that is there against the same with one word swapped.
        instance: AUROC of objects' scores, one that the phrase describes against one that differs in this
            alone.
        shown: share of the swapped phrases, which match nothing, for which something scores above 0.5.
        prompts, objects: pairs behind the first two.
    """

    image: float
    instance: float
    shown: float
    prompts: int
    objects: int


def attribute_pairs(scene: Scene, attribute: str, rng: np.random.Generator) -> tuple[Phrase, Phrase] | None:
    """A phrase that matches something, and the same with one word swapped so that it matches nothing.

    The other word, if any, is the same in both, and describes something either way where the scene allows it.
    """
    for index in rng.permutation(len(scene.objects)).tolist():
        thing = scene.objects[index]
        others = [name for name in ATTRIBUTES if name != attribute]
        phrase = Phrase().saying(attribute, getattr(thing, attribute))
        if rng.random() < 0.6:
            other = str(rng.choice(others))
            phrase = phrase.saying(other, getattr(thing, other))
        swap = swapped(scene, phrase, attribute, rng)
        if swap is not None:
            return phrase, swap
    return None


def swapped(scene: Scene, phrase: Phrase, attribute: str, rng: np.random.Generator) -> Phrase | None:
    """The phrase with another word for one attribute so that nothing matches; None where there is none.

    Words that describe something else in the scene come first: they are the harder ones.
    """
    choices = [phrase.saying(attribute, word) for word in rng.permutation(ATTRIBUTES[attribute]).tolist()]
    choices = [choice for choice in choices if not find(scene, choice)]
    present = {getattr(thing, attribute) for thing in scene.objects}
    return min(choices, key=lambda choice: getattr(choice, attribute) not in present, default=None)


def object_pairs(scene: Scene, attribute: str) -> list[tuple[int, int]]:
    """Pairs of objects that share shape, colour and texture but for one attribute."""
    return [
        (first, second)
        for first, one in enumerate(scene.objects)
        for second, two in enumerate(scene.objects)
        if {name for name in ATTRIBUTES if getattr(one, name) != getattr(two, name)} == {attribute}
    ]


def tell_apart(
    segmenter: Segmenter, scenes: Iterable[Scene], *, seed: int = 0, most_objects: int = 2
) -> dict[str, AttributeResult]:
    """Measure each attribute; `most_objects` pairs of objects a scene at most."""
    rng = np.random.default_rng(seed)
    top: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ATTRIBUTES}
    each: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ATTRIBUTES}
    for scene in scenes:
        session = segmenter.open(scene.image)
        for name in ATTRIBUTES:
            if pair := attribute_pairs(scene, name, rng):
                for scores, phrase in zip(top[name], pair, strict=True):
                    scores.append(_best_score(session, phrase))
            pairs = object_pairs(scene, name)
            for row in rng.permutation(len(pairs))[:most_objects].tolist():
                yes, no = _object_scores(session, scene, *pairs[row])
                each[name][0].append(yes)
                each[name][1].append(no)
        session.close()
    return {
        name: AttributeResult(
            image=auroc(*top[name]),
            instance=auroc(*each[name]),
            shown=float(np.mean(np.array(top[name][1]) > 0.5)) if top[name][1] else float("nan"),
            prompts=len(top[name][0]),
            objects=len(each[name][0]),
        )
        for name in ATTRIBUTES
    }


def _best_score(session: ImageSession, phrase: Phrase) -> float:
    found = session.segment(PromptState(text=phrase.words(), threshold=FLOOR))
    return float(found.scores.max(initial=0.0))


def _object_scores(session: ImageSession, scene: Scene, first: int, second: int) -> tuple[float, float]:
    """Scores of two objects for the phrase that names all attributes of the first."""
    thing = scene.objects[first]
    phrase = Phrase(shape=thing.shape, colour=thing.colour, texture=thing.texture)
    found = session.segment(PromptState(text=phrase.words(), threshold=FLOOR))
    wanted = np.stack([scene.objects[first].mask, scene.objects[second].mask])
    overlaps = ious(found.masks, wanted)
    scores = np.where(overlaps >= SAME, found.scores[:, None], 0.0).max(axis=0, initial=0.0)
    return float(scores[0]), float(scores[1])
