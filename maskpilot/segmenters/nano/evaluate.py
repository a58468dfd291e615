"""Measure the small SAM 3 on held-out scenes: python -m maskpilot.segmenters.nano.evaluate --json

Prints every gate beside what a naive answer scores on the same prompts, the goals, and the figures of the
model card.
"""

from __future__ import annotations

import json
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.load import load_nano
from maskpilot.segmenters.nano.evaluation.gates import Bound, gates, goals
from maskpilot.segmenters.nano.evaluation.measures import interval
from maskpilot.segmenters.nano.evaluation.pairs import tell_apart
from maskpilot.segmenters.nano.evaluation.tasks import (
    Tally,
    boxes,
    compositional,
    held_out,
    phrases,
    thresholds,
)
from maskpilot.types import PromptState

__all__ = ["evaluate", "to_json"]

FIRST_SEED = 90_000_000
"""Far from the seeds that training draws."""
Given = TypeVar("Given")
Made = TypeVar("Made")
ASPECTS = {"1:1": (256, 256), "2:1": (360, 180), "1:2": (180, 360)}


def evaluate(segmenter: Segmenter, *, count: int = 500, seed: int = 0) -> dict[str, Any]:
    """All figures, as plain numbers.

    Args:
        count: held-out scenes for phrases and attributes; the other tasks use half of them.
    """
    speed = _speed(segmenter)  # first: what the process needs at its peak is not what measuring it needs
    half = max(1, count // 2)
    text = phrases(segmenter, held_out(count, first=FIRST_SEED), seed=seed)
    exemplars = boxes(segmenter, held_out(half, first=FIRST_SEED), seed=seed)
    aspects = {
        name: phrases(segmenter, held_out(half, first=FIRST_SEED, size=size), seed=seed)["all"].counts.f1
        for name, size in ASPECTS.items()
    }
    curve = thresholds(segmenter, held_out(half, first=FIRST_SEED), seed=seed)
    one_shot = compositional(segmenter, held_out(half, first=FIRST_SEED), seed=seed)
    return {
        "scenes": count,
        "attributes": {
            name: asdict(result)
            for name, result in tell_apart(segmenter, held_out(count, first=FIRST_SEED), seed=seed).items()
        },
        "phrases": {name: _figures(tally) for name, tally in sorted(text.items())},
        "exemplars": {name: _figures(tally) for name, tally in exemplars.items()},
        "aspects": aspects,
        "thresholds": {
            str(level): {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
            for level, counts in curve.items()
        },
        "one_shot_compositional_iou": statistics.fmean(one_shot),
        "speed": speed,
    }


def to_json(figures: Mapping[str, Any]) -> str:
    """The figures as JSON; what could not be measured is null."""
    return json.dumps(_without_nan(figures), indent=1, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _figures(tally: Tally) -> dict[str, Any]:
    low, high = interval(tally.model, lambda counts: counts.f1) if tally.model else (math.nan, math.nan)
    return {
        "f1": tally.counts.f1,
        "f1_interval": [low, high],
        "precision": tally.counts.precision,
        "recall": tally.counts.recall,
        "mask_iou": tally.counts.mean_iou,
        "images": len(tally.model),
        "naive": {name: counts.f1 for name, counts in tally.naive.items()},
        "shares": {name: tally.share(name) for name in tally.shares},
        "out_of": {name: out_of for name, (_, out_of) in tally.shares.items()},
    }


def _speed(segmenter: Segmenter, *, repeats: int = 20) -> dict[str, float]:
    """Median milliseconds to open an image and to answer a fresh prompt; peak memory of the process in MB."""
    images = [scene.image for scene in held_out(repeats, first=FIRST_SEED, size=(320, 240))]
    opened, prompted = [], []
    for number, image in enumerate(images):
        session, seconds = _timed(segmenter.open, image)
        opened.append(seconds)
        prompts = PromptState(text=f"red circle{'s' * (number % 2)}")
        prompted.append(_timed(session.segment, prompts)[1])
        session.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "open_ms": 1000 * statistics.median(opened),
        "prompt_ms": 1000 * statistics.median(prompted),
        "peak_mb": peak,
    }


def _timed(call: Callable[[Given], Made], given: Given) -> tuple[Made, float]:
    started = time.perf_counter()
    made = call(given)
    return made, time.perf_counter() - started


def _table(bounds: Sequence[Bound]) -> str:
    return "\n".join(
        f"{'pass' if bound.passed else 'FAIL'}  {bound.name:52} {bound.value:8.3f}   against "
        f"{bound.limit:8.3f}  ({bound.source})"
        for bound in bounds
    )


def main(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights; those of the package where not given.")
    ] = None,
    scenes: Annotated[int, typer.Option(help="Held-out scenes.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Print the gates, the goals and the figures; exit code 1 where a gate is not passed."""
    figures = evaluate(load_nano(checkpoint), count=scenes)
    held = {"gates": gates(figures), "goals": goals(figures)}
    if as_json:
        for name, bounds in held.items():
            figures[name] = [asdict(bound) | {"passed": bound.passed} for bound in bounds]
        sys.stdout.write(to_json(figures) + "\n")
    else:
        for name, bounds in held.items():
            typer.echo(f"{name}\n{_table(bounds)}\n")
        typer.echo(to_json(figures))
    raise typer.Exit(0 if all(bound.passed for bound in held["gates"]) else 1)


if __name__ == "__main__":
    typer.run(main)
