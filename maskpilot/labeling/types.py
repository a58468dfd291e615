"""What is labeled, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from maskpilot.types import ImageRef, Instance, Stop, Usage

__all__ = ["ClassLabels", "Failure", "ImageLabels", "Label", "LabelClass", "LabeledFile", "Review"]


@dataclass(frozen=True, slots=True)
class LabelClass:
    """A class of the data set that is made.

    Attributes:
        name: in the data set.
        query: what to segment; the name where none is given.
        hints: what a model is told beside the query, one remark each.
        max_count: instances on one image at most; None for any number.

    Raises:
        ValueError: name or query is blank, or the maximum is below one.
    """

    name: str
    query: str = ""
    hints: tuple[str, ...] = ()
    max_count: int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("LabelClass.name: expected a name, got blank text")
        object.__setattr__(self, "query", self.query.strip() or self.name.strip())
        if self.max_count is not None and self.max_count < 1:
            raise ValueError(f"LabelClass.max_count: expected at least 1 or None, got {self.max_count!r}")

    @property
    def brief(self) -> str:
        """The query with the hints, for who can read."""
        most = "" if self.max_count is None else f"There are at most {self.max_count} on an image."
        told = [hint.strip() for hint in (*self.hints, most) if hint.strip()]
        return "\n".join([self.query, *(f"- {hint}" for hint in told)])


class Review(StrEnum):
    """Why a person should look at a label, or at a class on an image."""

    budget = "budget"
    """the session's budget ended before the policy was satisfied"""
    low_rating = "low_rating"
    """the policy itself rated the masks low, or said that they are only its best effort"""
    second_look = "second_look"
    """a second look held something against the result, and the result stayed; or it could not be had"""
    errors = "errors"
    """the session ended on repeated errors or a refusal"""
    near_threshold = "near_threshold"
    """a score near the threshold, of what was found or just missed, and no model that looked at it"""
    overlap = "overlap"
    """it lies on an instance of another class, or has lost most of its pixels to one"""
    none_found = "none_found"
    """nothing was found, and no model that confirmed it"""
    too_many = "too_many"
    """more were found than the class allows; the best ones were kept"""


@dataclass(frozen=True, slots=True)
class Label:
    """One labeled object.

    Attributes:
        instance: its mask, box, score, and its number on this image and class.
        review: why a person should look at this one, beside what holds for the class (`ClassLabels.review`).
    """

    instance: Instance
    review: tuple[Review, ...] = ()


@dataclass(frozen=True)
class ClassLabels:
    """What became of one class on one image.

    Attributes:
        name: of the class.
        query: as it was asked.
        policy: who had the last word: "one_shot", "mllm", ...
        model: the model that decided; empty where none was asked.
        stop: why the session ended that gave the result.
        rounds: of all sessions of this class on this image.
        rating: 0-100, by the policy, of the masks that are the result; None where it gave none.
        labels: the objects; none is a result like any other.
        review: why a person should look at this class on this image.
        usage: of all sessions of this class on this image.
    """

    name: str
    query: str
    policy: str
    model: str
    stop: Stop
    rounds: int
    rating: float | None
    labels: tuple[Label, ...]
    review: tuple[Review, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def needs_review(self) -> bool:
        """Whether a person should look at this class on this image."""
        return bool(self.review) or any(label.review for label in self.labels)

    def reasons(self, label: Label) -> tuple[Review, ...]:
        """All that speaks for a look at one of its labels."""
        return tuple(dict.fromkeys((*self.review, *label.review)))


@dataclass(frozen=True)
class ImageLabels:
    """What became of one image.

    Attributes:
        image: which one, by content; files with the same content share it.
        classes: one entry for each class of the run, in the run's order.
        seconds: from opening the image to its last mask.
    """

    image: ImageRef
    classes: tuple[ClassLabels, ...]
    seconds: float = 0.0

    @property
    def needs_review(self) -> bool:
        """Whether a person should look at any of it."""
        return any(one.needs_review for one in self.classes)

    @property
    def usage(self) -> Usage:
        """Of all its classes."""
        return sum((one.usage for one in self.classes), Usage())

    @property
    def instances(self) -> int:
        """Labeled objects of all classes."""
        return sum(len(one.labels) for one in self.classes)


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be labeled.

    Attributes:
        path: of the file, relative to the folder of images.
        cause: the kind of error, in a word: "ImageError", "SegmenterError", ...
        error: what was wrong and what to do.
        sha256: of the content; None where it could not be read.
        usage: what the attempt cost that is in none of its session logs, which outlive it.
    """

    path: str
    cause: str
    error: str
    sha256: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class LabeledFile:
    """A file of the folder, and the labels of its content.

    Attributes:
        path: relative to the folder of images, with "/"; bytes that are not text are surrogates, as Python
            has them.
        labels: of its content.
    """

    path: str
    labels: ImageLabels

    def __iter__(self) -> Iterator[tuple[ClassLabels, Label]]:
        """Every labeled object with its class."""
        return ((one, label) for one in self.labels.classes for label in one.labels)
