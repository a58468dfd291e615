"""What a data set gives, and what a scored sample is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from maskpilot.images import LoadedImage
from maskpilot.types import Mask

__all__ = ["Dataset", "Sample", "SampleScore", "Truth"]


@dataclass(frozen=True)
class Truth:
    """What is right, at the image's full resolution. A policy never sees it (except `oracle`).

    Attributes:
        annotators: one set of instance masks per annotator; most data sets have one annotator. An empty set
            says that nothing matches.
        ignore: pixels that count for nothing; None where there are none.
        is_instances: False where a single mask is the union of everything, so that counting instances means
            nothing (ReasonSeg, RefCOCO).
        exhaustive: False where there may be more than is annotated (LVIS says so of some classes of an
            image): what matches no true mask counts for nothing then.

    Raises:
        ValueError: there is no annotator, or masks differ in size.
    """

    annotators: tuple[tuple[Mask, ...], ...]
    ignore: Mask | None = None
    is_instances: bool = True
    exhaustive: bool = True

    def __post_init__(self) -> None:
        if not self.annotators:
            raise ValueError("Truth.annotators: expected at least one annotator, got none")
        sizes = {(mask.width, mask.height) for masks in self.annotators for mask in masks}
        if self.ignore is not None:
            sizes.add((self.ignore.width, self.ignore.height))
        if len(sizes) > 1:
            raise ValueError(f"Truth: expected masks of one size, got {sorted(sizes)}")

    @property
    def instances(self) -> tuple[Mask, ...]:
        """Those of the first annotator."""
        return self.annotators[0]


@dataclass(frozen=True)
class Sample:
    """One query on one image.

    Attributes:
        id: unique within the data set, and the same in every run; letters, digits, '.', '_' and '-' alone.
        image_id: samples on the same image share it: it is the cluster of the statistics.
        query: in the data set's words.
        width, height: pixels of the upright image; 0 where the data set does not say before decoding.
        tags: what to break results down by, such as {"length": "long"}.
        phrases: noun phrases for the oracle, the best first; the query where empty.
    """

    id: str
    image_id: str
    query: str
    width: int = 0
    height: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    phrases: tuple[str, ...] = ()


class Dataset(Protocol):
    """Samples, read lazily from where a user downloaded them to."""

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, str]:
        """licence, citation, home; and what else a report should say of it ("simulated", "split", ...)."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in `maskpilot.evals.metrics.METRICS` of its official metrics, the headline first."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]:
        """Samples in an order that never changes. No image is decoded."""
        ...

    def image(self, sample: Sample) -> LoadedImage:
        """The sample's image. Raises ImageError."""
        ...

    def truth(self, sample: Sample) -> Truth:
        """What is right for a sample, at the size of its image. Raises DatasetError."""
        ...

    def truth_digest(self, sample: Sample) -> str:
        """Changes when what the truth is made from does; no mask is decoded for it. Raises DatasetError.

        Empty where that cannot change.
        """
        ...


@dataclass(frozen=True)
class SampleScore:
    """One sample, scored: plain numbers, so that thousands of them are cheap to keep and to aggregate.

    Attributes:
        sample: its id; image_id, query and tags beside it.
        values: what metrics are aggregated from ("intersection", "union", "iou", "iou_per_round", ...).
        error: why it failed; such a sample has no values and is reported beside the mean.
    """

    sample: str
    image_id: str
    query: str
    tags: Mapping[str, str]
    values: Mapping[str, Any]
    error: str = ""
