"""Training prompts: every word counts, and the answers are right."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskpilot.scenes import read_phrase
from maskpilot.segmenters.nano.tokenizer import BOX_ONLY_TEXT
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, WORDS_OF
from maskpilot.segmenters.nano.training.prompts import KINDS, Mix, Values, draw_prompt, kind_of, matching, say

TEXT = Mix()
VALUES = st.integers(0, 2**32).map(lambda seed: objects(np.random.default_rng(seed)))


def objects(rng: np.random.Generator, count: int = 10) -> Values:
    """Objects that share few shapes, colours and textures, as in a scene."""
    columns = [
        rng.choice(rng.choice(len(words), min(3, len(words)), replace=False), count)
        for words in WORDS_OF.values()
    ]
    return np.stack(columns, axis=1).astype(np.uint8)


@given(values=VALUES, seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_a_phrase_asks_for_what_it_says(values: Values, seed: int) -> None:
    prompt = draw_prompt(values, TEXT, np.random.default_rng(seed))
    assert prompt.targets == tuple(matching(values, prompt.named))
    phrase = read_phrase(prompt.text)
    assert phrase is not None
    for axis, name in enumerate(ATTRIBUTES):
        word = getattr(phrase, name)
        assert (word is not None) == (name in prompt.named)
        if word is not None:
            assert WORDS_OF[name].index(word) == prompt.named[name]
            assert all(values[index, axis] == prompt.named[name] for index in prompt.targets)


def test_leaving_a_word_out_changes_the_answer() -> None:
    rng = np.random.default_rng(0)
    needed = Counter[bool]()
    for _ in range(400):
        values = objects(rng)
        prompt = draw_prompt(values, replace(TEXT, words=(0.0, 1.0, 0.0), absent=0.0), rng)
        for name in prompt.named:
            rest = {other: value for other, value in prompt.named.items() if other != name}
            needed[len(matching(values, rest)) > len(prompt.targets) or not rest] += 1
    assert needed[True] > 0.9 * needed.total()


def test_an_absent_phrase_is_one_word_away_from_a_present_one() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        values = objects(rng)
        prompt = draw_prompt(values, replace(TEXT, absent=1.0), rng)
        if prompt.targets:
            continue  # no word could be swapped
        without_one = [
            {other: value for other, value in prompt.named.items() if other != name} for name in prompt.named
        ]
        assert any(len(matching(values, near)) for near in without_one)


def test_present_and_absent_are_balanced_for_each_attribute() -> None:
    rng = np.random.default_rng(2)
    present, absent = Counter[str](), Counter[str]()
    for _ in range(3000):
        prompt = draw_prompt(objects(rng), replace(TEXT, absent=0.5, words=(1.0, 0.0, 0.0)), rng)
        (present if prompt.targets else absent).update(prompt.named)
    for name in ("shape", "colour"):
        assert 0.4 < present[name] / (present[name] + absent[name]) < 0.6


@given(values=VALUES, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_negative_box_takes_its_kind_away_and_leaves_something(values: Values, seed: int) -> None:
    prompt = draw_prompt(values, Mix({"negative": 1.0}), np.random.default_rng(seed))
    for index, positive in prompt.boxes:
        assert (index in prompt.targets) == positive
        if not positive:
            assert set(prompt.targets) == set(matching(values, prompt.named)) - set(kind_of(values, index))
            assert prompt.targets


@given(values=VALUES, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_positive_box_adds_its_kind(values: Values, seed: int) -> None:
    prompt = draw_prompt(values, Mix({"positive": 1.0}), np.random.default_rng(seed))
    ((index, positive),) = prompt.boxes
    assert positive
    assert set(prompt.targets) >= set(kind_of(values, index))


@given(values=VALUES, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_boxes_alone_ask_for_their_kinds(values: Values, seed: int) -> None:
    prompt = draw_prompt(values, Mix({"box": 1.0}), np.random.default_rng(seed))
    kinds = [set(kind_of(values, index)) for index, positive in prompt.boxes if positive]
    assert prompt.text == BOX_ONLY_TEXT
    assert set(prompt.targets) == set.union(*kinds)


def test_unknown_words_find_nothing() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        prompt = draw_prompt(objects(rng), Mix({"unknown": 1.0}), rng)
        assert prompt.targets == ()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_scene_has_prompts_that_find_nothing(kind: str) -> None:
    rng = np.random.default_rng(4)
    prompt = draw_prompt(np.zeros((0, 4), np.uint8), Mix({kind: 1.0}), rng)
    assert prompt.targets == ()
    assert prompt.text.strip()


def test_synonyms_and_plurals_are_said() -> None:
    rng = np.random.default_rng(5)
    named = {"shape": WORDS_OF["shape"].index("circle"), "colour": WORDS_OF["colour"].index("red")}
    said = {say(named, rng) for _ in range(100)}
    assert {"red circle", "red circles", "red disc", "scarlet circle"} <= said


def test_positive_boxes_are_more_often_on_what_is_easily_missed() -> None:
    rng = np.random.default_rng(0)
    values, mix = objects(rng), Mix({"box": 0.5, "positive": 0.5})
    difficulty = np.array([5.0] * 3 + [1.0] * 7)
    shown = Counter(draw_prompt(values, mix, rng, difficulty).boxes[0][0] for _ in range(2000))
    hard, easy = (sum(shown[index] for index in of) for of in ((0, 1, 2), (7, 8, 9)))
    assert hard > 2 * easy > 0
