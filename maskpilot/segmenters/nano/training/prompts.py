"""Prompts to train on, each with the objects that it asks for.

Two rules make every word count. A phrase is drawn so that leaving out any of its words would change the
answer; and an absent phrase differs from a present one in one word alone, each attribute as often as the
others. So no word can be ignored, and none can be guessed from another.

A box is an exemplar of a kind: the objects that share its shape, colour and texture. A positive box adds its
kind to what the text asks for, a negative one takes its kind away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from maskpilot.scenes import NOUNS, ROUND_SHAPES, SHAPES, SYNONYMS, plural
from maskpilot.segmenters.nano.tokenizer import BOX_ONLY_TEXT
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, WORDS_OF

__all__ = ["Mix", "TrainingPrompt", "draw_prompt", "kind_of", "matching", "say", "with_positive"]

Values = NDArray[np.uint8]
"""(n, 4): attribute values of the objects of a scene."""
Named = dict[str, int]
"""Attribute -> the value that a phrase names."""
Show = Callable[[Sequence[int]], int]
"""Draws one of some objects to put a positive box on."""

UNSAID_SIZE = WORDS_OF["size"].index("medium")
TRIES = 8
SYNONYMS_SHARE = 0.2
SWAP_TO_PRESENT = 0.7
"""Of absent words, the share that describes something else in the scene."""
_SYNONYMS_OF = {
    word: [other for other, means in SYNONYMS.items() if means == word] for word in SYNONYMS.values()
}
_ROUND = [SHAPES.index(shape) for shape in sorted(ROUND_SHAPES)]


@dataclass(frozen=True, slots=True)
class TrainingPrompt:
    """What the model is told, and what it should find.

    Attributes:
        text: the phrase, or BOX_ONLY_TEXT.
        targets: indices of the objects to find.
        named: what the phrase names; empty where its words are unknown or say nothing.
        boxes: (object, positive) of each exemplar.
    """

    text: str
    targets: tuple[int, ...]
    named: Named = field(default_factory=dict)
    boxes: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """What is drawn how often.

    Attributes:
        kinds: weights of the keys of KINDS.
        words: weights of phrases of one, two and three attributes.
        attributes: weights of ATTRIBUTES.
        absent: share of phrases that match nothing.
    """

    kinds: Mapping[str, float] = field(default_factory=lambda: {"text": 1.0})
    words: tuple[float, float, float] = (0.35, 0.45, 0.2)
    attributes: tuple[float, float, float, float] = (1.5, 1.0, 0.8, 0.4)
    absent: float = 0.4


def matching(values: Values, named: Named) -> NDArray[np.intp]:
    """Indices of the objects that have all the named values."""
    fits = np.ones(len(values), np.bool_)
    for name, value in named.items():
        fits &= values[:, ATTRIBUTES.index(name)] == value
    return np.flatnonzero(fits)


def kind_of(values: Values, index: int) -> NDArray[np.intp]:
    """Indices of the objects of one kind: same shape, colour and texture."""
    return np.flatnonzero((values[:, :3] == values[index, :3]).all(axis=1))


def say(named: Named, rng: np.random.Generator) -> str:
    """One way to put it: singular or plural, sometimes with a synonym."""
    words = [
        _synonym(WORDS_OF[name][named[name]], rng) for name in ("size", "texture", "colour") if name in named
    ]
    if "shape" in named:
        noun = _synonym(WORDS_OF["shape"][named["shape"]], rng)
    elif words and rng.random() < 0.1:
        return " ".join(words)
    else:
        noun = str(rng.choice(NOUNS))
    return " ".join([*words, plural(noun) if rng.random() < 0.5 else noun])


def _synonym(word: str, rng: np.random.Generator) -> str:
    others = _SYNONYMS_OF.get(word)
    return str(rng.choice(others)) if others and rng.random() < SYNONYMS_SHARE else word


def draw_prompt(
    values: Values, mix: Mix, rng: np.random.Generator, difficulty: NDArray[np.float64] | None = None
) -> TrainingPrompt:
    """One prompt for a scene.

    Args:
        difficulty: (n,), how much more often than others an object is shown by a positive box; all the same
            where None.
    """
    show = partial(_draw_shown, np.ones(len(values)) if difficulty is None else difficulty, rng)
    kinds = list(mix.kinds)
    weights = np.array([mix.kinds[kind] for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
    if not len(values) and kind != "unknown":
        kind = "text"
    return KINDS[kind](values, mix, rng, show)


def _text(values: Values, mix: Mix, rng: np.random.Generator, _show: Show) -> TrainingPrompt:
    absent = not len(values) or rng.random() < mix.absent
    named = _draw_named(values, mix, rng)
    if absent and len(values):
        named = _swap_one(values, named, rng)
    targets = tuple(matching(values, named).tolist())
    return TrainingPrompt(say(named, rng), targets, named)


def _draw_named(values: Values, mix: Mix, rng: np.random.Generator) -> Named:
    """Values of one object, each needed to tell it from others if possible; any where there is none."""
    count = 1 + int(rng.choice(3, p=np.array(mix.words) / sum(mix.words)))
    weights = np.array(mix.attributes) / sum(mix.attributes)
    named: Named = {}
    for _ in range(TRIES):
        chosen = rng.choice(
            len(ATTRIBUTES), min(count, int(np.count_nonzero(weights))), replace=False, p=weights
        )
        if len(values):
            source = values[rng.integers(len(values))]
        else:
            source = np.array([rng.integers(len(words)) for words in WORDS_OF.values()])
        named = {ATTRIBUTES[index]: int(source[index]) for index in chosen}
        if named.get("size") == UNSAID_SIZE:
            del named["size"]
        if named and (len(named) == 1 or _all_needed(values, named)):
            return named
    return named or {"shape": int(rng.integers(len(SHAPES)))}


def _all_needed(values: Values, named: Named) -> bool:
    found = len(matching(values, named))
    return all(len(matching(values, _without(named, name))) > found for name in named)


def _without(named: Named, name: str) -> Named:
    return {other: value for other, value in named.items() if other != name}


def _swap_one(values: Values, named: Named, rng: np.random.Generator) -> Named:
    """Change one word so that nothing matches; the phrase as it was where no word allows it."""
    for name in rng.permutation(list(named)).tolist():
        axis = ATTRIBUTES.index(name)
        free = [
            value
            for value in range(len(WORDS_OF[name]))
            if not (name == "size" and value == UNSAID_SIZE)
            and not len(matching(values, {**named, name: value}))
        ]
        elsewhere = [value for value in free if (values[:, axis] == value).any()]
        choices = elsewhere if elsewhere and rng.random() < SWAP_TO_PRESENT else free
        if choices:
            return {**named, name: int(rng.choice(choices))}
    return named


def _everything(values: Values, _mix: Mix, rng: np.random.Generator, _show: Show) -> TrainingPrompt:
    """Words that name no single shape: "things", "everything red", "round shapes"."""
    if rng.random() < 0.6:
        text = "everything" if rng.random() < 0.5 else say({}, rng)
        return TrainingPrompt(text, tuple(range(len(values))))
    named = {} if rng.random() < 0.5 else {"colour": int(values[rng.integers(len(values)), 1])}
    found = matching(values, named)
    if named and rng.random() < 0.4:
        return TrainingPrompt(
            f"everything {WORDS_OF['colour'][named['colour']]}", tuple(found.tolist()), named
        )
    noun = str(rng.choice(NOUNS))
    words = [*(WORDS_OF["colour"][value] for value in named.values()), "round"]
    targets = tuple(index for index in found.tolist() if values[index, 0] in _ROUND)
    return TrainingPrompt(" ".join([*words, plural(noun) if rng.random() < 0.5 else noun]), targets)


def _unknown(_values: Values, _mix: Mix, rng: np.random.Generator, _show: Show) -> TrainingPrompt:
    """A word that it does not know, perhaps beside one that it does: nothing matches."""
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), int(rng.integers(3, 9)))
    known = [str(rng.choice(WORDS_OF["colour"]))] if rng.random() < 0.4 else []
    return TrainingPrompt(" ".join([*known, "".join(letters)]), ())


def _box(values: Values, _mix: Mix, rng: np.random.Generator, show: Show) -> TrainingPrompt:
    """Boxes alone: one kind; sometimes two kinds, sometimes another kind ruled out."""
    first = show(range(len(values)))
    targets = set(kind_of(values, first).tolist())
    boxes = [(first, True)]
    roll = rng.random()
    if roll < 0.15:
        again = int(rng.choice(sorted(targets)))
        boxes.append((again, True))
    elif roll < 0.4:
        other = int(rng.integers(len(values)))
        positive = roll < 0.25
        others = set(kind_of(values, other).tolist())
        if others.isdisjoint(targets):
            boxes.append((other, positive))
            targets |= others if positive else set()
    return TrainingPrompt(BOX_ONLY_TEXT, tuple(sorted(targets)), boxes=tuple(boxes))


def _draw_shown(difficulty: NDArray[np.float64], rng: np.random.Generator, among: Sequence[int]) -> int:
    """One object to put a positive box on; more likely one that is easily missed."""
    weights = difficulty[list(among)]
    return int(rng.choice(among, p=weights / weights.sum()))


def _text_and_positive(values: Values, mix: Mix, rng: np.random.Generator, show: Show) -> TrainingPrompt:
    """A phrase and an exemplar: one that the phrase describes, or one of another kind to be found as well."""
    prompt = (_unknown if rng.random() < 0.1 else _text)(values, mix, rng, show)
    inside = prompt.targets and rng.random() < 0.6
    box = show(prompt.targets if inside else range(len(values)))
    return with_positive(prompt, box, values)


def with_positive(prompt: TrainingPrompt, index: int, values: Values) -> TrainingPrompt:
    """The prompt with a positive box on an object, which asks for its kind as well."""
    targets = {*prompt.targets, *kind_of(values, index).tolist()}
    return replace(prompt, targets=tuple(sorted(targets)), boxes=((index, True),))


def _text_and_negative(values: Values, mix: Mix, rng: np.random.Generator, show: Show) -> TrainingPrompt:
    """A phrase, and an exemplar of what it describes but is not wanted; something is left if possible."""
    for _ in range(TRIES):
        prompt = _text(values, replace(mix, absent=0.0, words=(0.8, 0.2, 0.0)), rng, show)
        if not prompt.targets:
            continue
        box = int(rng.choice(prompt.targets))
        left = sorted(set(prompt.targets) - set(kind_of(values, box).tolist()))
        if left:
            break
    else:
        return _text(values, mix, rng, show)
    boxes = [(box, False)]
    if rng.random() < 0.2:
        boxes.insert(int(rng.integers(2)), (int(rng.choice(left)), True))
    return replace(prompt, targets=tuple(left), boxes=tuple(boxes))


Drawer = Callable[[Values, Mix, np.random.Generator, Show], TrainingPrompt]
KINDS: Mapping[str, Drawer] = {
    "text": _text,
    "everything": _everything,
    "unknown": _unknown,
    "box": _box,
    "positive": _text_and_positive,
    "negative": _text_and_negative,
}
