"""What people do with a segmenter, each task beside what a naive answer would score on the same prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from maskpilot.scenes import Phrase, Scene, SceneQuery, find, make_scene, queries, read_phrase
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.segmenters.nano.evaluation.measures import SAME, Counts, compare, ious, total
from maskpilot.types import Detections, Exemplar, PromptState

__all__ = [
    "BOX_IGNORED",
    "FOUND",
    "GOES",
    "KIN_FOUND",
    "KIN_FOUND_BEFORE",
    "SAME_SHAPE",
    "STAY",
    "Tally",
    "boxes",
    "compositional",
    "held_out",
    "phrases",
    "thresholds",
]

SAME_SHAPE, BOX_IGNORED = "everything of the same shape", "perfect text, the box ignored"
"""Naive answers to exemplars."""
FOUND, KIN_FOUND = "the missed object is found", "others of its kind are found"
KIN_FOUND_BEFORE = "others of its kind are found by the text alone"
MISSED_KIN_FOUND = "others of its kind that the text missed are found"
GOES, STAY = "the object goes", "the right ones stay"
"""What a box should do; `Tally.shares` says how often it did."""

Set = frozenset[int]
LEVELS = tuple(round(0.1 * step, 1) for step in range(1, 10))


@dataclass
class Tally:
    """What one task scored, and what naive answers score on the same prompts.

    Attributes:
        model: counts of each image.
        naive: name of a naive answer -> its counts.
        shares: name -> (how often it came true, out of how many).
    """

    model: list[Counts] = field(default_factory=list)
    naive: dict[str, Counts] = field(default_factory=dict)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)

    def guess(self, name: str, answer: Set, wanted: Set) -> None:
        """Score perfect masks of a set of objects against the wanted set."""
        hits = len(answer & wanted)
        counts = Counts(hits, len(answer) - hits, len(wanted) - hits, float(hits))
        self.naive[name] = self.naive.get(name, Counts()) + counts

    def note(self, name: str, outcomes: Iterable[bool]) -> None:
        """Count how often something came true."""
        outcomes = list(outcomes)
        true, out_of = self.shares.get(name, (0, 0))
        self.shares[name] = (true + sum(outcomes), out_of + len(outcomes))

    def share(self, name: str) -> float:
        """How often it came true, in [0, 1]; NaN where it was never looked at."""
        true, out_of = self.shares.get(name, (0, 0))
        return true / out_of if out_of else float("nan")

    @property
    def counts(self) -> Counts:
        return total(self.model)


def phrases(
    segmenter: Segmenter, scenes: Iterable[Scene], *, seed: int = 0, per_kind: int = 2
) -> dict[str, Tally]:
    """Plain phrases that match something; one tally overall and one for each kind of phrase."""
    tallies: dict[str, Tally] = {}
    for scene in scenes:
        session = segmenter.open(scene.image)
        per_image: dict[str, Counts] = {}
        for query in queries(scene, seed, kinds=("plain", "attribute"), per_kind=per_kind):
            counts = compare(_overlaps(scene, session.segment(PromptState(text=query.text)), query.answer))
            phrase = _meaning(query.phrase)
            for kind in ("all", _kind(phrase)):
                per_image[kind] = per_image.get(kind, Counts()) + counts
                tally = tallies.setdefault(kind, Tally())
                tally.guess("everything", frozenset(range(len(scene.objects))), frozenset(query.answer))
                only_shape = frozenset(find(scene, Phrase(shape=phrase.shape, round=phrase.round)))
                tally.guess("shape word only", only_shape, frozenset(query.answer))
        for kind, counts in per_image.items():
            tallies[kind].model.append(counts)
        session.close()
    return tallies


def thresholds(segmenter: Segmenter, scenes: Iterable[Scene], *, seed: int = 0) -> dict[float, Counts]:
    """The same phrases at thresholds from 0.1 to 0.9."""
    levels = {level: Counts() for level in LEVELS}
    for scene in scenes:
        session = segmenter.open(scene.image)
        for query in queries(scene, seed, kinds=("plain", "attribute")):
            for level in LEVELS:
                found = session.segment(PromptState(text=query.text, threshold=level))
                levels[level] += compare(_overlaps(scene, found, query.answer))
        session.close()
    return levels


def boxes(segmenter: Segmenter, scenes: Iterable[Scene], *, seed: int = 0) -> dict[str, Tally]:
    """Exemplars: alone, positive on a missed object, negative on an object that is not wanted."""
    tallies = {name: Tally() for name in ("box only", "text + positive", "text + negative")}
    rng = np.random.default_rng(seed)
    for scene in scenes:
        if not scene.objects:
            continue
        session = segmenter.open(scene.image)
        _box_only(session, scene, tallies["box only"], rng)
        for query in queries(scene, seed, kinds=("plain", "attribute"), per_kind=3):
            _positive(session, scene, query, tallies["text + positive"], rng)
            _negative(session, scene, query, tallies["text + negative"], rng)
        session.close()
    return tallies


def compositional(segmenter: Segmenter, scenes: Iterable[Scene], *, seed: int = 0) -> list[float]:
    """IoU of everything found against the whole answer, the query itself being the prompt."""
    kinds = ("except", "either", "relation", "nearest", "ordinal", "superlative", "count")
    values = []
    for scene in scenes:
        session = segmenter.open(scene.image)
        for query in queries(scene, seed, kinds=kinds, per_kind=1):
            found = session.segment(PromptState(text=query.text)).masks.any(axis=0)
            wanted = scene.union(query.answer)
            values.append(float((found & wanted).sum() / max((found | wanted).sum(), 1)))
        session.close()
    return values


def _box_only(session: ImageSession, scene: Scene, tally: Tally, rng: np.random.Generator) -> None:
    index = int(rng.integers(len(scene.objects)))
    kind = _kind_of(scene, index)
    found = session.segment(PromptState(boxes=(Exemplar(scene.objects[index].box, positive=True),)))
    tally.model.append(compare(_overlaps(scene, found, tuple(sorted(kind)))))
    same_shape = frozenset(find(scene, Phrase(shape=scene.objects[index].shape)))
    tally.guess(SAME_SHAPE, same_shape, kind)


def _positive(
    session: ImageSession, scene: Scene, query: SceneQuery, tally: Tally, rng: np.random.Generator
) -> None:
    """A box on an object that the text alone missed: is it found now, and others of its kind with it?

    A positive box adds its kind to what the text asks for: that is what it is scored against.
    """
    text = PromptState(text=query.text)
    before = _found(scene, session.segment(text))
    missed = sorted(frozenset(query.answer) - before)
    if not missed:
        return
    index = int(rng.choice(missed))
    found = session.segment(replace(text, boxes=(Exemplar(scene.objects[index].box, positive=True),)))
    after = _found(scene, found)
    kind = _kind_of(scene, index)
    kin = kind - {index}
    tally.note(FOUND, [index in after])
    tally.note(KIN_FOUND_BEFORE, [other in before for other in kin])
    tally.note(KIN_FOUND, [other in after for other in kin])
    tally.note(MISSED_KIN_FOUND, [other in after for other in kin.intersection(missed)])
    wanted = frozenset(query.answer) | kind
    tally.model.append(compare(_overlaps(scene, found, tuple(sorted(wanted)))))
    tally.guess("what the text found before", before, wanted)


def _negative(
    session: ImageSession, scene: Scene, query: SceneQuery, tally: Tally, rng: np.random.Generator
) -> None:
    """A box on an object that is found but not wanted: does its kind go, and does the rest stay?"""
    text = PromptState(text=query.text)
    before = _found(scene, session.segment(text)) & frozenset(query.answer)
    choices = [index for index in sorted(before) if frozenset(query.answer) - _kind_of(scene, index)]
    if not choices:
        return
    index = int(rng.choice(choices))
    wanted = frozenset(query.answer) - _kind_of(scene, index)
    found = session.segment(replace(text, boxes=(Exemplar(scene.objects[index].box, positive=False),)))
    after = _found(scene, found)
    tally.note(GOES, [index not in after])
    tally.note(STAY, [other in after for other in before & wanted])
    tally.model.append(compare(_overlaps(scene, found, tuple(sorted(wanted)))))
    tally.guess(BOX_IGNORED, frozenset(query.answer), wanted)


def _kind_of(scene: Scene, index: int) -> Set:
    """The objects that share shape, colour and texture with one."""
    thing = scene.objects[index]
    return frozenset(find(scene, Phrase(shape=thing.shape, colour=thing.colour, texture=thing.texture)))


def _kind(phrase: Phrase) -> str:
    """Which attributes a phrase names: "colour + shape"."""
    named = [name for name in ("size", "texture", "colour", "shape") if getattr(phrase, name)]
    return " + ".join([*named, "round"] if phrase.round else named)


def _overlaps(scene: Scene, found: Detections, answer: tuple[int, ...]) -> NDArray[np.float32]:
    wanted = np.zeros((len(answer), scene.height, scene.width), np.bool_)
    for row, index in enumerate(answer):
        wanted[row] = scene.objects[index].mask
    return ious(found.masks, wanted)


def _found(scene: Scene, found: Detections) -> Set:
    """Indices of the objects that have a mask."""
    overlaps = _overlaps(scene, found, tuple(range(len(scene.objects))))
    return frozenset(np.flatnonzero((overlaps >= SAME).any(axis=0)).tolist())


def _meaning(text: str) -> Phrase:
    phrase = read_phrase(text)
    if phrase is None:
        raise ValueError(f"expected a phrase of the vocabulary, got {text!r}")
    return phrase


def held_out(count: int, *, first: int, size: tuple[int, int] | None = None) -> Iterator[Scene]:
    """Scenes of consecutive seeds."""
    for seed in range(first, first + count):
        yield make_scene(seed, size=size)
