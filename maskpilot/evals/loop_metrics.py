"""What no official metric shows: what the loop did on the way to its result. Pure functions.

A session is boiled down to plain values once (`session_values`); each metric is a number per sample, computed
from these values, so that its mean has a clustered interval as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskpilot.trajectory import Trajectory
from maskpilot.types import Instance, Mask, Stop, Usage

__all__ = ["EQUAL", "LOOP_METRICS", "LoopMetric", "curve", "session_values", "usage_values"]

GOOD = 0.85
"""Below this IoU an answer that the policy called finished was finished too early."""

SAME = 0.01
"""IoU that is not worth another round."""

EQUAL = 1e-6
"""IoU below which two results count as the same."""

DIGITS = 6
"""Of an IoU that is kept."""

Values = Mapping[str, Any]


def session_values(
    trajectory: Trajectory,
    iou: Callable[[Sequence[Instance]], float],
    one_shot: Sequence[Instance] | None = None,
) -> dict[str, Any]:
    """What is kept of a session beside its score, as plain JSON data.

    Args:
        trajectory: a session that ended.
        iou: of any masks with the truth, as `maskpilot.evals.metrics.measure` has it; not asked twice for the
            same masks.
        one_shot: what the query alone as the text prompt finds; None where that was not asked.

    Returns:
        iou_per_round: IoU of what was shown after each round.
        result_iou: of what was returned.
        one_shot_iou: None where it is not known.
        rounds, max_rounds (None without limit), stop, verdict, said_so: whether the policy itself ended it;
        and the values of `usage_values`, and `seconds` of the whole session;
        recorded_tokens, recorded_cost: of a replay alone, what the session took that it replays.

    Raises:
        ValueError: the session did not end.
    """
    ending = trajectory.ending
    if ending is None:
        raise ValueError("session_values: expected a session that ended")
    recorded: Mapping[str, Any] = trajectory.setup.policy.get("recorded", {})
    known: dict[tuple[Mask, ...], float] = {}

    def of(instances: Sequence[Instance]) -> float:
        key = tuple(instance.mask for instance in instances)
        if key not in known:
            known[key] = round(iou(instances), DIGITS)
        return known[key]

    return {
        "iou_per_round": [of(step.instances) for step in trajectory.steps],
        "result_iou": of(trajectory.result),
        "one_shot_iou": None if one_shot is None else of(one_shot),
        "rounds": len(trajectory.steps),
        "max_rounds": trajectory.setup.budget.max_rounds,
        "stop": ending.stop.value,
        "verdict": ending.verdict.value,
        "said_so": ending.stop in (Stop.finished, Stop.absent),
        "seconds": round(ending.seconds, 3),
        **usage_values(ending.usage),
        **{f"recorded_{name}": spent for name, spent in recorded.items()},
    }


def usage_values(usage: Usage) -> dict[str, Any]:
    """What was spent: tokens, requests, and cost (None where no price is known)."""
    return {
        "tokens": usage.tokens,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "requests": usage.calls,
        "cost": usage.cost,
    }


def curve(sessions: Sequence[Values], rounds: int | None = None) -> list[float]:
    """Mean IoU after each round, the first one first.

    A session that has ended stays at what it returned, so that the last point is the mean IoU of the results
    (as in the curves of interactive segmentation: Sofiiuk et al., arXiv 2102.06583).

    Args:
        sessions: values of `session_values`.
        rounds: how many; as many as the longest session has where None.
    """
    if not sessions:
        return []
    count = rounds or max(len(session["iou_per_round"]) for session in sessions) + 1
    return [
        sum(_iou_after(session, number) for session in sessions) / len(sessions) for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class LoopMetric:
    """A number per sample.

    Attributes:
        name: as JSON has it.
        title: for people.
        meaning: one sentence.
        of: the number, None where the sample does not define it.
        form: how it is printed, as in `format`; costs of a sample are small.
    """

    name: str
    title: str
    meaning: str
    of: Callable[[Values], float | None]
    form: str = ".3f"


def _iou_after(session: Values, number: int) -> float:
    per_round: list[float] = session["iou_per_round"]
    return float(per_round[number] if number < len(per_round) else session["result_iou"])


def _regret(session: Values) -> float:
    return float(max([*session["iou_per_round"], session["result_iou"]]) - session["result_iou"])


def _gain(session: Values) -> float | None:
    baseline = session.get("one_shot_iou")
    # Rounded, as both are: .89 less .90 is a point, and not a bit more.
    return None if baseline is None else round(session["result_iou"] - baseline, DIGITS)


def _worse_by(more_than: float) -> Callable[[Values], float | None]:
    def worse(session: Values) -> float | None:
        gain = _gain(session)
        return None if gain is None else float(gain < -more_than)

    return worse


def _reached(target: float) -> Callable[[Values], float]:
    return lambda session: float(any(iou >= target for iou in session["iou_per_round"]))


def _rounds_to(target: float) -> Callable[[Values], float | None]:
    def rounds(session: Values) -> float | None:
        for number, iou in enumerate(session["iou_per_round"], start=1):
            if iou >= target:
                return float(number)
        limit: int | None = session["max_rounds"]
        return None if limit is None else float(limit)

    return rounds


def _too_early(session: Values) -> float:
    return float(session["said_so"] and session["result_iou"] < GOOD)


def _idle_rounds(session: Values) -> float:
    """Rounds after the first one that was as good as it got; the one that said so is not counted."""
    per_round = session["iou_per_round"]
    if not per_round:
        return 0.0
    best = max(per_round)
    first = next(number for number, iou in enumerate(per_round) if iou >= best - SAME)
    return float(max(len(per_round) - 1 - first - int(session["said_so"]), 0))


def _too_late(session: Values) -> float:
    return float(_idle_rounds(session) > 0)


def _value(name: str) -> Callable[[Values], float | None]:
    def value(session: Values) -> float | None:
        found = session.get(name)
        return None if found is None else float(found)

    return value


ALL = (
    LoopMetric("iou", "IoU", "Union of the result against union of the truth.", _value("iou")),
    LoopMetric(
        "one_shot_iou",
        "IoU of one shot",
        "The query as the text prompt, once, on the same samples.",
        _value("one_shot_iou"),
    ),
    LoopMetric("gain", "Gain over one shot", "IoU of the result less that of one shot.", _gain),
    LoopMetric(
        "made_worse", "Made worse", "Share of samples whose result is below one shot.", _worse_by(EQUAL)
    ),
    LoopMetric(
        "worse_by_a_point",
        "Made worse by over a point",
        "Share of samples whose result is more than 0.01 of IoU below one shot: another phrase for the same "
        "objects moves their outlines by less.",
        _worse_by(0.01),
    ),
    LoopMetric("reached_85", "Reached .85", "Share of samples with a round at IoU .85.", _reached(0.85)),
    LoopMetric("reached_90", "Reached .90", "Share of samples with a round at IoU .90.", _reached(0.9)),
    LoopMetric(
        "rounds_to_85",
        "Rounds to .85",
        "First round at IoU .85; a sample that never gets there counts the limit of rounds.",
        _rounds_to(0.85),
    ),
    LoopMetric(
        "rounds_to_90",
        "Rounds to .90",
        "First round at IoU .90; a sample that never gets there counts the limit of rounds.",
        _rounds_to(0.9),
    ),
    LoopMetric("regret", "Stop regret", "IoU of the best round less that of the result.", _regret),
    LoopMetric(
        "too_early", "Finished too early", "Share of samples that the policy ended below IoU .85.", _too_early
    ),
    LoopMetric(
        "too_late",
        "Finished too late",
        "Share of samples that went on after a round within .01 of their best IoU.",
        _too_late,
    ),
    LoopMetric("idle_rounds", "Idle rounds", "Rounds after that one, without the last word.", _idle_rounds),
    LoopMetric("rounds", "Rounds", "Rounds of a session.", _value("rounds")),
    LoopMetric(
        "tokens",
        "Tokens",
        "Tokens of a sample, in and out; not defined where no model was asked.",
        lambda session: float(session["tokens"]) if session["requests"] else None,
    ),
    LoopMetric(
        "cost", "Cost", "Cost of a sample, in the currency of the given prices.", _value("cost"), form=".4g"
    ),
    LoopMetric(
        "recorded_tokens",
        "Recorded tokens",
        "Tokens that the replayed session took when a model was asked; the replay takes none.",
        _value("recorded_tokens"),
    ),
    LoopMetric(
        "recorded_cost",
        "Recorded cost",
        "What the replayed session cost when a model was asked; the replay costs nothing.",
        _value("recorded_cost"),
        form=".4g",
    ),
    LoopMetric("seconds", "Seconds", "Wall time of a session.", _value("seconds")),
)

LOOP_METRICS: Mapping[str, LoopMetric] = {metric.name: metric for metric in ALL}
"""By name; the order is that of the report."""
