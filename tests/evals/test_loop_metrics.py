"""Loop metrics against sessions written out by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from maskpilot.evals.loop_metrics import LOOP_METRICS, curve, session_values
from maskpilot.trajectory import Trajectory
from maskpilot.types import Instance, Stop
from tests.agent.sessions import finish, run, text, threshold


def session(*ious: float, result: float | None = None, **more: Any) -> dict[str, Any]:
    """Values of a session that showed these, and returned the last one unless told otherwise."""
    result = ious[-1] if result is None else result
    return {
        "iou": result,
        "iou_per_round": list(ious),
        "result_iou": result,
        "one_shot_iou": None,
        "rounds": len(ious),
        "max_rounds": 20,
        "stop": "finished",
        "said_so": True,
        "requests": 0,
        "tokens": 0,
        "cost": None,
        "seconds": 1.0,
        **more,
    }


def value(name: str, values: dict[str, Any]) -> float | None:
    return LOOP_METRICS[name].of(values)


def test_rounds_to_a_target_count_from_one() -> None:
    assert value("rounds_to_85", session(0.2, 0.86, 0.95)) == 2
    assert value("rounds_to_90", session(0.2, 0.86, 0.95)) == 3
    assert value("rounds_to_85", session(0.85)) == 1


def test_a_target_that_is_never_reached_counts_the_limit() -> None:
    assert value("rounds_to_90", session(0.2, 0.3)) == 20
    assert value("rounds_to_90", session(0.2, max_rounds=None)) is None
    assert value("reached_90", session(0.2, 0.3)) == 0
    assert value("reached_85", session(0.9, 0.1)) == 1


def test_gain_and_what_the_loop_made_worse() -> None:
    assert value("gain", session(0.5, one_shot_iou=0.7)) == pytest.approx(-0.2)
    assert value("made_worse", session(0.5, one_shot_iou=0.7)) == 1
    assert value("made_worse", session(0.7, one_shot_iou=0.7)) == 0
    assert value("gain", session(0.5)) is None
    assert value("made_worse", session(0.5)) is None
    assert value("made_worse", session(0.695, one_shot_iou=0.7)) == 1
    assert value("worse_by_a_point", session(0.695, one_shot_iou=0.7)) == 0
    assert value("worse_by_a_point", session(0.685, one_shot_iou=0.7)) == 1
    assert value("worse_by_a_point", session(0.89, one_shot_iou=0.9)) == 0  # by a point, not by more


def test_regret_is_what_the_best_round_had_more() -> None:
    assert value("regret", session(0.2, 0.9, 0.6)) == pytest.approx(0.3)
    assert value("regret", session(0.2, 0.9, 0.6, result=0.9)) == 0
    # "absent" was right, though masks were shown on the way
    assert value("regret", session(0.0, 0.0, result=1.0)) == 0


def test_finished_too_early_is_the_policys_own_fault() -> None:
    assert value("too_early", session(0.5)) == 1
    assert value("too_early", session(0.5, said_so=False, stop="max_rounds")) == 0
    assert value("too_early", session(0.85)) == 0


def test_the_last_word_is_not_an_idle_round() -> None:
    assert value("idle_rounds", session(0.3, 0.9, 0.9)) == 0  # the third one said "finished"
    assert value("idle_rounds", session(0.3, 0.9, 0.9, 0.905, 0.9)) == 2
    assert value("too_late", session(0.3, 0.9, 0.9, 0.905, 0.9)) == 1
    assert value("idle_rounds", session(0.9, 0.5, 0.5, said_so=False)) == 2
    assert value("too_late", session(0.3, 0.9)) == 0
    assert value("idle_rounds", {**session(0.0), "iou_per_round": []}) == 0


def test_tokens_are_not_defined_where_no_model_was_asked() -> None:
    assert value("tokens", session(0.5)) is None
    assert value("tokens", session(0.5, requests=2, tokens=300)) == 300
    assert value("cost", session(0.5)) is None


def test_the_curve_ends_at_the_mean_of_the_results() -> None:
    first, second = session(0.2, 0.8, 0.6, result=0.8), session(0.4)
    assert curve([first, second]) == pytest.approx([0.3, 0.6, 0.5, 0.6])
    assert curve([first, second], rounds=2) == pytest.approx([0.3, 0.6])
    assert curve([]) == []


def counted(shown: Sequence[Instance]) -> float:
    """In place of an IoU: half for each mask."""
    return 0.5 * len(shown)


def test_a_session_is_boiled_down() -> None:
    trajectory = run([text("cup"), threshold(0.3, rating=50), finish(rating=90)])
    values = session_values(trajectory, counted, one_shot=trajectory.steps[0].instances)
    assert values["iou_per_round"] == [0.5, 1.0, 1.0]
    assert values["result_iou"] == 1.0
    assert values["one_shot_iou"] == 0.5
    assert (values["rounds"], values["stop"], values["verdict"]) == (3, "finished", "complete")
    assert values["said_so"]
    assert values["cost"] is None


def test_the_same_masks_are_measured_once() -> None:
    asked = []

    def measured(shown: Sequence[Instance]) -> float:
        asked.append(len(shown))
        return 1.0

    session_values(run([text("cup"), threshold(0.3), finish()]), measured)
    assert asked == [1, 2]


def test_a_session_without_an_end_is_refused() -> None:
    ended = run([text("cup"), finish()])
    assert ended.ending is not None
    assert ended.ending.stop is Stop.finished
    with pytest.raises(ValueError, match="a session that ended"):
        session_values(Trajectory(ended.setup, ended.steps, None), counted)
