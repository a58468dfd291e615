"""Whether a run goes on."""

import threading

import pytest

from maskpilot.agent import Scripted
from maskpilot.crew.control import MAX_FAILURES_IN_A_ROW, Control, Supervised
from maskpilot.errors import BudgetReached, PolicyError, SessionFailed
from maskpilot.types import Stop, Usage
from tests.agent.sessions import run


def test_a_pause_ends_when_its_time_is_over() -> None:
    assert not Control(Usage()).wait(0.001)


def test_a_pause_ends_when_the_run_is_stopped() -> None:
    control, answers = Control(Usage()), list[bool]()
    paused = threading.Thread(target=lambda: answers.append(control.wait(600)))
    paused.start()
    control.stop()
    paused.join(20)
    assert answers == [True]
    assert control.stopped


def test_a_run_that_has_cost_enough_does_not_pause() -> None:
    assert Control(Usage(cost=2.0), max_cost=1.0).wait(600)


def test_failures_in_a_row_stop_a_run_and_one_success_between_them_does_not() -> None:
    control = Control(Usage())
    for _ in range(MAX_FAILURES_IN_A_ROW - 1):
        control.saw(failure=True)
    control.saw(failure=False)
    control.saw(failure=True)
    assert not control.stopped
    for _ in range(MAX_FAILURES_IN_A_ROW - 1):
        control.saw(failure=True)
    assert control.only_fails
    assert control.stopped


def test_a_part_of_a_run_that_only_fails_goes_on_where_somebody_else_counts() -> None:
    control = Control(Usage(), max_failures=None)
    for _ in range(MAX_FAILURES_IN_A_ROW):
        control.saw(failure=True)
    assert not control.stopped


PAID = Usage(calls=1, cost=2.0)


def test_a_decision_that_failed_has_cost_what_it_cost() -> None:
    control = Control(Usage(), max_cost=1.0)
    with pytest.raises(SessionFailed):
        run(Supervised(Scripted([PolicyError("down", usage=PAID)]), control))
    assert control.usage == PAID
    assert control.cost_reached


def test_a_decision_that_was_interrupted_has_cost_what_it_cost() -> None:
    control = Control(Usage())
    trajectory = run(Supervised(Scripted([BudgetReached(Stop.interrupted, usage=PAID)]), control))
    assert trajectory.ending is not None
    assert control.usage == trajectory.ending.usage == trajectory.ending.unrecorded == PAID
