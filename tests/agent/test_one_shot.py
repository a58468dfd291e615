"""The baseline."""

from maskpilot.agent import OneShot
from maskpilot.tools.actions import MAX_PHRASE
from maskpilot.types import Verdict
from tests.agent.sessions import boxes, run
from tests.shapes import CUP_LEFT


def test_the_query_is_the_phrase_once() -> None:
    trajectory = run(OneShot(), query="  cup ")
    assert boxes(trajectory) == [CUP_LEFT]
    assert trajectory.steps[0].prompts.text == "cup"
    assert trajectory.ending is not None
    assert trajectory.ending.verdict is Verdict.best_effort


def test_a_query_that_is_too_long_for_a_phrase_is_cut_at_a_word() -> None:
    phrase = run(OneShot(), query="cup " * 2500).steps[0].prompts.text
    assert phrase is not None
    assert len(phrase) <= MAX_PHRASE
    assert phrase.endswith("cup")


def test_one_endless_word_is_cut_all_the_same() -> None:
    assert run(OneShot(), query="杯" * 10_000).steps[0].prompts.text == "杯" * MAX_PHRASE
