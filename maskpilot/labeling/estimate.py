"""What labeling what is left will take, from what was labeled so far."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from maskpilot.agent import Observation
from maskpilot.agent.mllm.exchange import Reply, Request
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.spending import estimated_tokens
from maskpilot.errors import PolicyError
from maskpilot.labeling.store import Store
from maskpilot.labeling.types import LabelClass
from maskpilot.tools import SessionState
from maskpilot.trajectory import Changes
from maskpilot.types import Budget

__all__ = [
    "Expected",
    "Measured",
    "Prospects",
    "expected",
    "first_request_tokens",
    "measured",
    "prospects",
    "t_quantile",
]

FEW = 3
"""Images below which nothing is said of the spread."""

PER_IMAGE = """
SELECT sum(json_extract(usage, '$.prompt_tokens') + json_extract(usage, '$.completion_tokens')),
    sum(json_extract(usage, '$.cost')), sum(json_extract(usage, '$.calls')), max(images.seconds)
FROM sessions JOIN images USING (sha256) GROUP BY sha256
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What each labeled image took.

    Attributes:
        tokens: of all its sessions.
        costs: likewise; of the images whose cost is known, which it is where no model was asked, too; none
            where no price is known.
        seconds: from opening it to its last mask.
    """

    tokens: tuple[float, ...]
    costs: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def images(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Expected:
    """A sum over images that are to come, with its 95% prediction interval.

    Attributes:
        value: the mean so far, times the images.
        low, high: None where too few images are measured.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def record(self) -> dict[str, float | None]:
        """As plain JSON data."""
        return asdict(self)

    def scaled(self, factor: float) -> Expected:
        """In another unit."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Expected(self.value * factor, low, high)


@dataclass(frozen=True)
class Prospects:
    """What the images that are left will take.

    Attributes:
        expected: "tokens", "cost" and "time" (in seconds), as far as anything is known of them.
        computed: bounds by what they are, of a model that was not asked yet.
    """

    expected: Mapping[str, Expected]
    computed: Mapping[str, int]


def prospects(took: Measured, images: int, workers: int) -> Prospects:
    """What so many more images will take, from what was measured.

    Args:
        took: by the images so far.
        images: to come.
        workers: images at a time; the time that each one took is taken to stay the same.
    """
    seconds = expected(took.seconds, images)
    found = {
        "tokens": expected(took.tokens, images),
        "cost": expected(took.costs, images),
        "time": seconds and seconds.scaled(1 / workers),
    }
    return Prospects({name: one for name, one in found.items() if one is not None}, {})


def measured(store: Store) -> Measured:
    """What the images of a run took so far.

    Raises:
        RunFolderError: the database cannot be read.
    """
    rows = store.select(PER_IMAGE)
    costs = tuple(float(cost or 0) for _, cost, calls, _ in rows if cost is not None or not calls)
    return Measured(
        tokens=tuple(float(tokens or 0) for tokens, _, _, _ in rows),
        costs=costs if any(cost is not None for _, cost, _, _ in rows) else (),
        seconds=tuple(float(seconds) for _, _, _, seconds in rows),
    )


def expected(values: Sequence[float], images: int) -> Expected | None:
    """The sum that so many more images will come to, if they are like those so far.

    The interval is m * mean +- t * s * sqrt(m^2 / n + m) for n images so far and m to come, t with n - 1
    degrees of freedom: the spread of the mean and that of the images themselves (Hahn and Meeker, Statistical
    Intervals, 1991, section 4.8). One value is one image with all its classes, so the image is the cluster.

    Args:
        values: of the images so far; none of them negative.
        images: to come.

    Returns:
        None where there are no values.
    """
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) < FEW:
        return Expected(images * mean, None, None)
    spread = statistics.stdev(values) * math.sqrt(images**2 / len(values) + images)
    half = t_quantile(len(values) - 1) * spread
    return Expected(images * mean, max(images * mean - half, 0.0), images * mean + half)


def t_quantile(freedom: int) -> float:
    """0.975 quantile of Student's t, to 1% from two degrees of freedom on.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    x = statistics.NormalDist().inv_cdf(0.975)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def first_request_tokens(
    settings: MllmSettings, query: str, tools: tuple[str, ...], size: tuple[int, int]
) -> int:
    """Prompt tokens of a session's first request, computed and not measured; nothing is sent.

    Args:
        settings: of the model.
        query: as it is asked, hints included.
        tools: on offer.
        size: (width, height) of the image in pixels.
    """
    wire = _Scale()
    image = Image.new("RGB", size)
    observation = Observation(
        image=image,
        query=query,
        state=SessionState(*size),
        changes=Changes(),
        notes=(),
        zooms=(),
        tools=tools,
        steps=(),
        left=Budget(),
    )
    try:
        MllmPolicy(wire, settings, memory=Memory()).decide(observation)
    except PolicyError:
        return wire.tokens
    raise AssertionError("unreachable: the scale never answers")


def bounds(
    settings: MllmSettings,
    classes: Sequence[LabelClass],
    tools: tuple[str, ...],
    size: tuple[int, int],
    images: int,
    max_tokens: int | None,
    *,
    always: bool = True,
) -> dict[str, int]:
    """Between what the sessions of a model must lie that was not asked yet: computed, not measured.

    Args:
        settings: of the model.
        classes: of the run.
        tools: on offer.
        size: (width, height) of a usual image in pixels.
        images: to come; all of their classes are asked about.
        max_tokens: of a session; None for no limit.
        always: the model is asked about every class, not only about doubtful ones.
    """
    first = [first_request_tokens(settings, wanted.brief, tools, size) for wanted in classes]
    found = {
        "prompt tokens of a session's first request": round(statistics.fmean(first)),
        "tokens at least, with one request a session"
        + ("" if always else ", were every class doubtful"): images * sum(first),
    }
    if max_tokens is not None:
        found["tokens at most, by --max-tokens"] = images * len(classes) * max_tokens
    return found


class _Scale:
    """A wire that weighs a request in place of sending it."""

    description: Mapping[str, Any] = {"model": "none"}

    def __init__(self) -> None:
        self.tokens = 0

    def send(self, request: Request) -> Reply:
        self.tokens = estimated_tokens(request)
        raise PolicyError("only weighed")
