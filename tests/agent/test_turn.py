"""One round's decision, applied."""

from maskpilot.types import Decision
from tests.agent.sessions import finish, run, says, text


def test_a_flood_of_problems_is_not_told_one_by_one() -> None:
    flood = Decision(problems=tuple(f"call {number} lies outside the image" for number in range(500)))
    told = run([text("cup"), flood, finish()]).steps[1].errors
    assert len(told) == 17
    assert told[-1] == "and 484 more of the kind; make fewer calls"


def test_an_endless_name_after_finish_is_not_told_in_full() -> None:
    endless = says(("finish", {"verdict": "best_effort"}), ("x" * 9999, {}))
    assert run([endless]).steps[0].notes == (f"{'x' * 60} was ignored: it came after finish",)
