"""Running small sessions on the table of two cups and a plate."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from maskpilot.agent import Policy, Scripted, run_session
from maskpilot.segmenters.base import ImageSession
from maskpilot.tools import FULL
from maskpilot.trajectory import Recorder, Setup, Trajectory
from maskpilot.types import Budget, Decision, ImageRef, ToolCall
from tests.shapes import HEIGHT, WIDTH, table

IMAGE = Image.new("RGB", (WIDTH, HEIGHT))


def setup(*, tools: Sequence[str] = FULL, budget: Budget | None = None, query: str = "the cups") -> Setup:
    image = ImageRef("0" * 64, ".png", "table.png", WIDTH, HEIGHT)
    return Setup(query, image, tuple(tools), budget or Budget())


def says(*calls: tuple[str, dict[str, Any]], rating: float | None = None, **more: Any) -> Decision:
    return Decision(tuple(ToolCall(name, arguments) for name, arguments in calls), rating=rating, **more)


def text(phrase: str, rating: float | None = None) -> Decision:
    return says(("set_text_prompt", {"text": phrase}), rating=rating)


def threshold(value: float, rating: float | None = None) -> Decision:
    return says(("set_threshold", {"value": value}), rating=rating)


def finish(verdict: str = "complete", rating: float | None = None) -> Decision:
    return says(("finish", {"verdict": verdict, "reason": "seen"}), rating=rating)


def run(
    policy: Policy | Sequence[Decision | BaseException],
    *,
    session: ImageSession | None = None,
    recorder: Recorder | None = None,
    clock: Callable[[], float] | None = None,
    **options: Any,
) -> Trajectory:
    """Run a policy, or a script that must be used up, on the table."""
    scripted = Scripted(policy) if isinstance(policy, Sequence) else None
    trajectory = run_session(
        setup(**options),
        IMAGE,
        session or table().open(IMAGE),
        scripted or policy,  # type: ignore[arg-type]
        recorder=recorder,
        clock=clock or time.monotonic,
    )
    assert scripted is None or scripted.is_used_up
    return trajectory


def boxes(trajectory: Trajectory) -> list[tuple[int, ...]]:
    """The result as integer boxes, sorted."""
    return sorted(tuple(int(edge) for edge in instance.box.xyxy) for instance in trajectory.result)
