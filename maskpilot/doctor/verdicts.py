"""From what was found to rows with their fixes; pure."""

from __future__ import annotations

from collections.abc import Mapping

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle
from maskpilot.doctor.rows import Health, Row
from maskpilot.doctor.scoring import Ranking, are_alike

__all__ = ["COORDINATES", "STYLE_CHECKS", "coordinates_row", "style_rows"]

STYLE_CHECKS: Mapping[CallStyle, str] = {
    CallStyle.native: "native tool calls",
    CallStyle.schema: "calls by schema",
    CallStyle.text: "calls by text",
}
COORDINATES = "coordinates"
NO_CALLS = "choose a model that follows instructions; the larger ones of a family do"
NO_BOXES = (
    "choose a model that was trained to give boxes, or do without them: --tools phrases offers phrases "
    "and selection"
)


def style_rows(results: Mapping[CallStyle, str]) -> tuple[Row, ...]:
    """A row for each way to call tools: one that works is enough, and `auto` finds it.

    Args:
        results: what went wrong with each; empty where nothing did.
    """
    some = any(not problem for problem in results.values())
    rows = []
    for style, problem in results.items():
        if not problem:
            rows.append(Row(STYLE_CHECKS[style], Health.ok, "called a tool"))
        elif some:
            rows.append(Row(STYLE_CHECKS[style], Health.note, problem, "none needed: another way works"))
        else:
            rows.append(Row(STYLE_CHECKS[style], Health.failed, problem, NO_CALLS))
    return tuple(rows)


def coordinates_row(
    habit: Ranking | None, told: Ranking | None, expected: Convention, trouble: str = ""
) -> Row:
    """Whether the model counts as it is asked to.

    Args:
        habit: how it counts when nothing is said of that; None where it could not be asked.
        told: how it does when told to count as `expected`; None where that was not asked.
        expected: the convention that a session would ask it in.
        trouble: why an answer is missing.
    """
    if habit is None:
        return Row(COORDINATES, Health.failed, trouble, "see the rows above")
    if not habit.answered:
        detail = f"unclear: it gave no boxes; asked in {expected.name}"
        return Row(COORDINATES, Health.note, detail, NO_BOXES)
    best, rival = habit.best, habit.rival
    scores = (
        f"{best.convention.name} IoU {best.iou:.2f}, then {rival.convention.name} {rival.iou:.2f}; "
        f"{habit.answered} of {habit.asked} boxes"
    )
    if not habit.is_clear:
        return Row(COORDINATES, Health.note, f"unclear: {scores}; asked in {expected.name}", NO_BOXES)
    winner = habit.settled(expected)
    if are_alike(winner, expected):
        return Row(COORDINATES, Health.ok, f"{winner.name}, as it is asked: {scores}")
    if told is not None and told.is_clear and are_alike(told.best.convention, expected):
        detail = f"{winner.name} by habit ({scores}), {expected.name} when told (IoU {told.best.iou:.2f})"
        return Row(COORDINATES, Health.note, detail, f"nothing need be done; {_remember(winner)}")
    detail = f"it answers in {winner.name}, but is asked in {expected.name}: {scores}"
    if trouble:
        detail = f"{winner.name} by habit ({scores}); in {expected.name} it could not be asked: {trouble}"
    return Row(COORDINATES, Health.failed, detail, _remember(winner))


def _remember(winner: Convention) -> str:
    return f"doctor --store remembers {winner.name}; or pass --coords {winner.name}"
