"""The simulated annotator: faultless by default, wrong as often as it is told to be."""

from collections import Counter
from functools import partial

import pytest

from maskpilot import masks
from maskpilot.agent import Oracle, OracleErrors, Replay
from maskpilot.tools import CORE, PHRASES
from maskpilot.types import Stop, Verdict
from tests.agent.sessions import boxes, run
from tests.shapes import CUP_LEFT, CUP_MIDDLE, PLATE, rle

CUPS = (rle(*CUP_LEFT), rle(*CUP_MIDDLE))


def test_it_finds_a_missed_object_and_finishes_as_complete() -> None:
    trajectory = run(Oracle(CUPS, ["cup"]))
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    assert trajectory.ending is not None
    assert trajectory.ending.verdict is Verdict.complete


def test_it_selects_where_a_phrase_finds_too_much() -> None:
    assert boxes(run(Oracle(CUPS[:1], ["cup plate"]))) == [CUP_LEFT]


def test_it_gathers_objects_of_several_phrases_in_the_ledger() -> None:
    truth = (rle(*CUP_LEFT), rle(*PLATE))
    assert boxes(run(Oracle(truth, ["cup", "plate"]), tools=PHRASES)) == [CUP_LEFT, PLATE]


def test_with_the_core_tools_it_uses_threshold_and_boxes() -> None:
    trajectory = run(Oracle(CUPS, ["cup"]), tools=CORE)
    used = {call.name for step in trajectory.steps for call in step.decision.calls}
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    assert used & {"set_threshold", "add_positive_box"}
    assert used <= set(CORE)


def test_it_says_absent_where_nothing_matches() -> None:
    trajectory = run(Oracle((), ["cup"]))
    assert trajectory.result == ()
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.absent


def test_it_rates_with_the_true_overlap() -> None:
    trajectory = run(Oracle(CUPS, ["cup plate"]))
    shown = masks.union([rle(*CUP_LEFT), rle(*PLATE)], width=80, height=60)
    truth = masks.union(CUPS, width=80, height=60)
    assert trajectory.steps[1].rating == pytest.approx(100 * masks.iou_matrix([shown], [truth])[0, 0])


def test_it_gives_up_with_best_effort_when_no_means_are_left() -> None:
    trajectory = run(Oracle((*CUPS, rle(60, 40, 79, 59)), ["cup"]))
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    assert trajectory.ending is not None
    assert trajectory.ending.verdict is Verdict.best_effort


@pytest.mark.parametrize("rate", [0.2, 0.5, 1.0])
def test_however_much_it_errs_every_session_ends_in_a_result(rate: float) -> None:
    stops: Counter[Stop] = Counter()
    for seed in range(30):
        trajectory = run(Oracle(CUPS, ["cup", "mug"], errors=OracleErrors.at_rate(rate), seed=seed))
        assert trajectory.ending is not None
        stops[trajectory.ending.stop] += 1
    assert stops.total() == 30
    assert Stop.failed not in stops


def test_errors_follow_the_seed() -> None:
    def calls(seed: int) -> list[object]:
        errors = OracleErrors.at_rate(0.6)
        steps = run(Oracle(CUPS, ["cup"], errors=errors, seed=seed)).steps
        return [step.decision.calls for step in steps]

    assert calls(3) == calls(3)
    assert any(calls(3) != calls(seed) for seed in range(4, 9))


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_session_that_is_gone_on_with_ends_as_if_it_had_not_been_cut(rate: float) -> None:
    for seed in range(20):
        make = partial(Oracle, (*CUPS, rle(*PLATE)), ["cup", "mug", "plate"], seed=seed)
        whole = run(make(errors=OracleErrors.at_rate(rate)))
        for cut in range(1, len(whole.steps)):
            again = run(Replay(whole.steps[:cut], then=make(errors=OracleErrors.at_rate(rate))))
            assert [step.decision for step in again.steps] == [step.decision for step in whole.steps]


def test_box_jitter_moves_its_boxes() -> None:
    tight = run(Oracle(CUPS, ["cup"]), tools=CORE).steps[1].decision.calls[0]
    loose = (
        run(Oracle(CUPS, ["cup"], errors=OracleErrors(box_jitter=0.2)), tools=CORE).steps[1].decision.calls[0]
    )
    assert tight.name == loose.name == "add_positive_box"
    assert tight.arguments == dict(zip(("x0", "y0", "x1", "y1"), CUP_MIDDLE, strict=True))
    assert tight.arguments != loose.arguments


@pytest.mark.parametrize("kind", ["malformed_call", "wrong_call", "early_stop"])
def test_each_kind_of_error_keeps_it_from_a_clean_session(kind: str) -> None:
    clean = run(Oracle(CUPS, ["cup"]))
    erring = run(Oracle(CUPS, ["cup"], errors=OracleErrors(**{kind: 1.0})))
    assert [step.decision.calls for step in erring.steps] != [step.decision.calls for step in clean.steps]


def test_late_stop_goes_on_where_all_is_right() -> None:
    errors = OracleErrors(late_stop=1.0)
    assert len(run(Oracle(CUPS, ["cup"], errors=errors)).steps) > len(run(Oracle(CUPS, ["cup"])).steps)


def test_a_missed_fix_overlooks_a_fault() -> None:
    trajectory = run(Oracle(CUPS, ["cup"], errors=OracleErrors(missed_fix=1.0)))
    assert boxes(trajectory) == [CUP_LEFT]


def test_it_says_that_it_is_simulated() -> None:
    assert Oracle(CUPS, ["cup"]).description["simulated"] is True


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="share in"):
        OracleErrors(wrong_call=1.5)
    with pytest.raises(ValueError, match="at least one phrase"):
        Oracle(CUPS, [])
