"""What the small SAM 3's figures are held against: gates, without which no weights ship, and goals."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from maskpilot.segmenters.nano.evaluation.tasks import (
    BOX_IGNORED,
    FOUND,
    GOES,
    KIN_FOUND,
    KIN_FOUND_BEFORE,
    SAME_SHAPE,
    STAY,
)

__all__ = ["Bound", "gates", "goals"]

AUROC_GATE, ASPECT_GATE = 0.95, 0.05
GOAL = "goal"


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure, and what it is held against.

    Attributes:
        value: the model's; NaN, which passes nothing, where it could not be measured.
        limit: what it is held against; source: where that comes from, such as a naive answer.
    """

    name: str
    value: float
    limit: float
    source: str
    lower_is_better: bool = False

    @property
    def passed(self) -> bool:
        return self.value <= self.limit if self.lower_is_better else self.value >= self.limit


def gates(figures: dict[str, Any]) -> list[Bound]:
    """Each against what a naive answer scores on the same prompts."""
    found = [
        Bound(f"{name}: AUROC, {level}", result[level], AUROC_GATE, "chance is 0.5")
        for name, result in figures["attributes"].items()
        for level in ("image", "instance")
    ]
    text, exemplars = figures["phrases"]["all"], figures["exemplars"]
    found += [Bound("text: F1", text["f1"], limit, naive) for naive, limit in text["naive"].items()]
    for name, naive in (("box only", SAME_SHAPE), ("text + negative", BOX_IGNORED)):
        # A model that finds nothing gives no chance to take something away: that is no pass.
        limit = exemplars[name]["naive"].get(naive, math.nan)
        found.append(Bound(f"{name}: F1", exemplars[name]["f1"], limit, naive))
    square = figures["aspects"]["1:1"]
    found += [
        Bound(f"{name}: F1", value, square - ASPECT_GATE, "square images less 0.05")
        for name, value in figures["aspects"].items()
        if name != "1:1"
    ]
    return found


def goals(figures: dict[str, Any]) -> list[Bound]:
    """What makes it good to work with; of phrases, the kind that comes out worst."""
    exemplars, speed = figures["exemplars"], figures["speed"]
    shown, hidden = exemplars["text + positive"]["shares"], exemplars["text + negative"]["shares"]
    curve = [figures["thresholds"][level] for level in sorted(figures["thresholds"])]
    found = []
    for name in ("f1", "mask_iou"):
        worst = min(figures["phrases"], key=lambda kind: figures["phrases"][kind][name])
        found.append(Bound(f"phrases ({worst}): {name}", figures["phrases"][worst][name], 0.85, GOAL))
    found += [
        Bound(f"absent {name}: shown", result["shown"], 0.1, GOAL, lower_is_better=True)
        for name, result in figures["attributes"].items()
    ]
    found += [
        Bound(f"positive box: {FOUND}", shown.get(FOUND, math.nan), 0.8, GOAL),
        Bound(
            f"positive box: {KIN_FOUND}",
            shown.get(KIN_FOUND, math.nan),
            math.nextafter(shown.get(KIN_FOUND_BEFORE, math.nan), 1.0),  # more often, not as often
            "by the text alone",
        ),
        Bound("box only: F1", exemplars["box only"]["f1"], 0.7, GOAL),
        Bound(f"negative box: {GOES}", hidden.get(GOES, math.nan), 0.8, GOAL),
        Bound(f"negative box: {STAY}", hidden.get(STAY, math.nan), 0.9, GOAL),
        Bound(
            "threshold, step by step: recall's largest rise",
            _rise(curve, "recall"),
            0.0,
            GOAL,
            lower_is_better=True,
        ),
        Bound(
            "threshold, step by step: precision's smallest rise", -_rise(curve[::-1], "precision"), 0.0, GOAL
        ),
    ]
    found += [
        Bound(name, speed[name], limit, GOAL, lower_is_better=True)
        for name, limit in (("open_ms", 150.0), ("prompt_ms", 80.0), ("peak_mb", 1000.0))
    ]
    one_shot = figures["one_shot_compositional_iou"]
    return [*found, Bound("compositional, one shot: IoU", one_shot, 0.6, GOAL, lower_is_better=True)]


def _rise(curve: list[dict[str, float]], name: str) -> float:
    """The largest step up; negative where every step is one down."""
    return max(later[name] - earlier[name] for earlier, later in itertools.pairwise(curve))
