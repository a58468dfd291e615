"""What a labeling run comes to so far, from its database alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from maskpilot.labeling.store import Store
from maskpilot.labeling.types import LabelClass
from maskpilot.types import Usage

__all__ = ["ClassFigures", "FailureFigures", "Summary", "summarise", "summary_record"]

LISTED = 5
"""Paths that are named for each cause of failures."""

LABELS = """
SELECT class, count(DISTINCT sha256), count(*), avg(score) FROM labels GROUP BY class
"""
DOUBTFUL = """
SELECT number, count(*) FROM (
    SELECT sha256, number FROM sessions WHERE review != '[]'
    UNION SELECT sha256, class FROM labels WHERE review != '[]'
) GROUP BY number
"""
COPIES = """
SELECT count(*) - count(DISTINCT sha256) FROM files JOIN images USING (sha256)
"""
REASONS = """
SELECT reason, count(*) FROM (
    SELECT sha256, number, json_each.value AS reason FROM sessions, json_each(sessions.review)
    UNION SELECT sha256, class, json_each.value FROM labels, json_each(labels.review)
) GROUP BY reason
"""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """A class in numbers.

    Attributes:
        name: of the class.
        images: with at least one instance.
        instances: on all of them.
        mean_score: of the instances; None where there are none.
        review: share of all labeled images on which this class is to be looked at by a person.
    """

    name: str
    images: int
    instances: int
    mean_score: float | None
    review: float


@dataclass(frozen=True, slots=True)
class FailureFigures:
    """Files that failed for one cause: how many, and the first of them with what was said."""

    cause: str
    count: int
    examples: Mapping[str, str]


@dataclass(frozen=True)
class Summary:
    """A run in numbers.

    Attributes:
        images: labeled ones; files of the same content are one.
        copies: files with the content of another one, which is labeled once.
        instances: of all classes.
        review: images with anything to be looked at by a person.
        classes: in the run's order.
        reasons: why (`Review`), and for how many pairs of image and class.
        failures: the most frequent cause first.
        usage: all that the run has cost.
    """

    images: int
    copies: int
    instances: int
    review: int
    classes: tuple[ClassFigures, ...]
    reasons: Mapping[str, int]
    failures: tuple[FailureFigures, ...]
    usage: Usage = field(default_factory=Usage)

    @property
    def failed(self) -> int:
        """Files that failed."""
        return sum(one.count for one in self.failures)


def summarise(store: Store, classes: Sequence[LabelClass], unfinished: Usage | None = None) -> Summary:
    """Count what a run holds, also while another process goes on with it; no mask is decoded.

    Args:
        store: of the run.
        classes: of the run, in its order.
        unfinished: what session logs cost whose images are not labeled yet.

    Raises:
        RunFolderError: the database cannot be read.
    """
    counts = store.counts()
    found: dict[int, tuple[int, int, float | None]] = {
        number: (images, instances, score) for number, images, instances, score in store.select(LABELS)
    }
    doubtful = dict(store.select(DOUBTFUL))
    return Summary(
        images=counts["images"],
        copies=store.select(COPIES)[0][0],
        instances=counts["labels"],
        review=counts["review"],
        classes=tuple(
            ClassFigures(
                wanted.name,
                *found.get(number, (0, 0, None)),
                doubtful.get(number, 0) / max(counts["images"], 1),
            )
            for number, wanted in enumerate(classes)
        ),
        reasons=dict(store.select(REASONS)),
        failures=_failures(store),
        usage=store.spent() + (unfinished or Usage()),
    )


def summary_record(summary: Summary) -> dict[str, Any]:
    """As plain JSON data."""
    usage = summary.usage
    return {
        "images": summary.images,
        "copies": summary.copies,
        "instances": summary.instances,
        "to_review": summary.review,
        "classes": [asdict(one) for one in summary.classes],
        "review_reasons": dict(summary.reasons),
        "failures": [asdict(one) for one in summary.failures],
        "requests": usage.calls,
        "tokens": usage.tokens,
        "cost": usage.cost,
    }


def _failures(store: Store) -> tuple[FailureFigures, ...]:
    causes: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for failure in store.failures():
        counts[failure.cause] = counts.get(failure.cause, 0) + 1
        named = causes.setdefault(failure.cause, {})
        if len(named) < LISTED:
            named[failure.path] = failure.error
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FailureFigures(cause, count, causes[cause]) for cause, count in ranked)
