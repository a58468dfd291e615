"""Queries: unambiguous, answered exactly, and of every kind."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskpilot.scenes import (
    COLOURS,
    KINDS,
    SHAPES,
    Phrase,
    Scene,
    SceneQuery,
    find,
    make_scene,
    queries,
    read_phrase,
)

SCENES = st.integers(0, 10_000).map(make_scene)
SEVERAL = [query for seed in range(60) for query in queries(make_scene(seed))]
"""Queries about sixty scenes, to look through."""


def asked(kind: str, *, scenes: int = 40) -> list[tuple[Scene, SceneQuery]]:
    made = (make_scene(seed) for seed in range(scenes))
    return [(scene, query) for scene in made for query in queries(scene, kinds=(kind,))]


def meaning(text: str) -> Phrase:
    phrase = read_phrase(text)
    assert phrase is not None
    return phrase


@given(scene=SCENES)
@settings(max_examples=25, deadline=None)
def test_the_phrases_find_at_least_the_answer(scene: Scene) -> None:
    for query in queries(scene):
        found = {index for text in (query.phrase, *query.also) for index in find(scene, meaning(text))}
        assert set(query.answer) <= found
        assert query.answer == tuple(sorted(set(query.answer)))
        if query.kind in {"plain", "attribute", "absent", "either", "count"}:
            assert set(query.answer) == found


@given(scene=SCENES)
@settings(max_examples=10, deadline=None)
def test_a_seed_asks_the_same_again_and_no_text_twice(scene: Scene) -> None:
    first = queries(scene, 3)
    assert first == queries(scene, 3)
    assert len({query.text for query in first}) == len(first)


def test_every_kind_is_asked_often() -> None:
    counts = Counter(query.kind for query in SEVERAL)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) > 40


def test_only_absent_queries_have_no_answer() -> None:
    assert all(bool(query.answer) == (query.kind != "absent") for query in SEVERAL)


def test_an_empty_scene_has_nothing_but_absent_things() -> None:
    assert {query.kind for query in queries(make_scene(0, count=0))} == {"absent"}


def test_what_can_be_asked_about_an_empty_scene_has_an_end() -> None:
    asked_for = queries(make_scene(0, count=0), kinds=("absent",), per_kind=1000)
    assert len(asked_for) == len(SHAPES) * len(COLOURS)


def test_an_absent_query_is_one_word_away_from_something_there() -> None:
    for scene, query in asked("absent"):
        phrase = meaning(query.phrase)
        said = {field: getattr(phrase, field) for field in ("shape", "colour", "texture", "size")}
        without_one = [Phrase(**{**said, field: None}) for field, word in said.items() if word]
        assert not find(scene, phrase)
        assert not scene.objects or any(find(scene, near) for near in without_one)


def test_sides_are_clear() -> None:
    axis = {"left of": 0, "right of": 0, "above": 1, "below": 1}
    for scene, query in asked("relation"):
        side = next(word for word in axis if f" {word} the " in query.text)
        (anchor,) = find(scene, meaning(query.text.split(f" {side} the ")[1]))
        centre = scene.objects[anchor].centre[axis[side]]
        sign = 1 if side in {"right of", "below"} else -1
        for index in set(find(scene, meaning(query.phrase))) - {anchor}:
            ahead = sign * (scene.objects[index].centre[axis[side]] - centre)
            assert abs(ahead) > 0.05 * np.sqrt(scene.width * scene.height)
            assert (ahead > 0) == (index in query.answer)


def test_the_largest_is_plainly_the_largest() -> None:
    for scene, query in asked("superlative"):
        (best,) = query.answer
        area = scene.objects[best].area
        others = [scene.objects[index].area for index in find(scene, meaning(query.phrase)) if index != best]
        larger = "largest" in query.text
        assert all((area > 1.5 * other) if larger else (1.5 * area < other) for other in others)


def test_ordinals_count_from_their_end() -> None:
    rank = {"first": 0, "second": 1, "third": 2, "fourth": 3}
    for scene, query in asked("ordinal"):
        end = query.text.rsplit(" ", 1)[1]
        group = find(scene, meaning(query.phrase))
        axis, backwards = (0 if end in {"left", "right"} else 1), end in {"right", "bottom"}
        row = sorted(group, key=lambda index: scene.objects[index].centre[axis], reverse=backwards)
        assert query.answer == (row[rank[query.text.split()[1]]],)


def test_the_nearest_is_plainly_the_nearest() -> None:
    for scene, query in asked("nearest"):
        (anchor,) = find(scene, meaning(query.text.split(" nearest to the ")[1]))
        x, y = scene.objects[anchor].centre

        def distance(index: int, scene: Scene = scene, x: float = x, y: float = y) -> float:
            there = scene.objects[index].centre
            return float(np.hypot(there[0] - x, there[1] - y))

        group = set(find(scene, meaning(query.phrase))) - {anchor}
        (best,) = query.answer
        assert all(distance(other) > distance(best) for other in group - {best})


def test_what_is_excepted_is_left_out() -> None:
    for scene, query in asked("except"):
        word = query.text.rsplit(" ", 2)[1]
        out = set(find(scene, meaning(query.phrase))) - set(query.answer)
        assert out
        assert all(word in {scene.objects[i].colour, scene.objects[i].texture} for i in out)
        assert all(word not in {scene.objects[i].colour, scene.objects[i].texture} for i in query.answer)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        queries(make_scene(1), kinds=("riddle",))
