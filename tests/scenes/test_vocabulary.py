"""Words, phrases, and what they match."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.scenes import (
    COLOURS,
    SHAPES,
    SIZES,
    SYNONYMS,
    TEXTURES,
    VOCABULARY,
    Phrase,
    plural,
    read_phrase,
)


@dataclass(frozen=True)
class Thing:
    shape: str = "star"
    colour: str = "red"
    texture: str = "striped"
    size: str = "large"


def one_of(words: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(words)


PHRASES = st.builds(
    Phrase,
    shape=one_of(SHAPES),
    colour=one_of(COLOURS),
    texture=one_of(TEXTURES),
    size=one_of(SIZES),
    round=st.booleans(),
)


def test_the_vocabulary_is_as_large_as_promised() -> None:
    assert len(SHAPES) >= 12
    assert len(COLOURS) >= 10
    assert len(TEXTURES) >= 4
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert {"thing", "shape", "everything", "crosses", "disc", "big"} <= set(VOCABULARY)


@given(phrase=PHRASES, many=st.booleans())
def test_what_is_written_is_read_back(phrase: Phrase, many: bool) -> None:
    assert read_phrase(phrase.words(many=many)) == phrase


@given(phrase=PHRASES)
def test_written_phrases_use_known_words_only(phrase: Phrase) -> None:
    assert set(phrase.words().split()) <= set(VOCABULARY)
    assert set(phrase.words(many=True).split()) <= set(VOCABULARY)


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_a_synonym_means_its_word(synonym: str) -> None:
    assert read_phrase(synonym) == read_phrase(SYNONYMS[synonym])


@pytest.mark.parametrize("word", VOCABULARY)
def test_every_word_can_be_read(word: str) -> None:
    assert read_phrase(word) is not None


@pytest.mark.parametrize("text", ["", "zebra", "red zebra", "red blue star", "the", "star heart"])
def test_what_makes_no_sense_is_not_read(text: str) -> None:
    assert read_phrase(text) is None


def test_order_case_articles_and_plurals_make_no_difference() -> None:
    assert read_phrase("The RED striped  Stars") == read_phrase("striped red star")


def test_a_phrase_matches_what_it_names_and_leaves_the_rest_free() -> None:
    thing = Thing()
    assert Phrase().matches(thing)
    assert Phrase(colour="red", texture="striped").matches(thing)
    for other in (Phrase(shape="ring"), Phrase(colour="blue"), Phrase(texture="plain"), Phrase(size="small")):
        assert not other.matches(thing)
    assert not Phrase(round=True).matches(thing)
    assert Phrase(round=True).matches(Thing(shape="ring"))


def test_plurals() -> None:
    assert [plural(noun) for noun in ("star", "cross", "box")] == ["stars", "crosses", "boxes"]


def test_a_phrase_that_says_nothing_is_false() -> None:
    assert not Phrase()
    assert Phrase(round=True)
