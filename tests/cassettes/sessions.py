"""The sessions that are recorded, replayed, and played live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

from maskpilot.agent import run_session
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.trajectory import Trajectory
from maskpilot.types import Stop
from tests.agent.sessions import boxes, setup
from tests.cassettes.serve import MODEL
from tests.shapes import CUP_LEFT, CUP_MIDDLE, HEIGHT, WIDTH, block

__all__ = ["KEY", "SESSIONS", "check", "play"]

KEY = "sk-canary-0123456789abcdef"

SESSIONS: Mapping[str, Mapping[str, Any]] = {
    "native": {"call_style": "native"},
    "schema": {"call_style": "schema"},
    "text": {"call_style": "text"},
    "responses": {"call_style": "native", "api": "responses"},
}
"""Settings, by the name of the cassette."""


def play(name: str, base_url: str) -> Trajectory:
    """A cup and a mug on a table; the model names the one and shows the other, looks again and finishes."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (200, 190, 180))
    for box in (CUP_LEFT, CUP_MIDDLE):
        ImageDraw.Draw(image).rectangle(box, (40, 60, 160))
    segmenter = FakeSegmenter(
        [
            FakeObject(block(*CUP_LEFT), frozenset({"cup"}), 0.9),
            FakeObject(block(*CUP_MIDDLE), frozenset({"mug"}), 0.8),
        ]
    )
    settings = MllmSettings(MODEL, base_url=base_url, **SESSIONS[name])
    api: Any = settings.api
    with OpenAIWire(MODEL, base_url=base_url, api_key=KEY, api=api, max_tokens=256) as wire:
        policy = MllmPolicy(wire, settings, memory=Memory())
        return run_session(setup(), image, segmenter.open(image), policy)


def check(trajectory: Trajectory) -> None:
    """What must come of it: both found in three rounds, after a second look, with nothing amiss."""
    assert [call.name for step in trajectory.steps for call in step.decision.calls] == [
        "set_text_prompt",
        "add_positive_box",
        "finish",
    ]
    assert all(not step.errors for step in trajectory.steps)
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.finished
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    usage = trajectory.usage
    assert usage.calls == 4  # a round each, and the second look
    assert usage.prompt_tokens > 4000
    assert 40 < usage.completion_tokens < 400
