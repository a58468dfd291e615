"""Running small sessions of a model behind a scripted wire, on the table of two cups and a plate."""

from collections.abc import Sequence
from typing import Any

from maskpilot.agent import run_session
from maskpilot.agent.mllm.exchange import Reply
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.trajectory import Trajectory
from maskpilot.types import Stop, ToolCall
from tests.agent.sessions import IMAGE, setup
from tests.shapes import table

Script = Sequence[Reply | list[ToolCall] | BaseException]


def call(name: str, **arguments: Any) -> list[ToolCall]:
    return [ToolCall(name, arguments)]


CUP = call("set_text_prompt", text="cup", rating=0)
PLATE = call("set_text_prompt", text="plate", rating=10)
FINISH = call("finish", verdict="complete", reason="seen", rating=90)
GIVE_UP = call("finish", verdict="best_effort", reason="seen", rating=50)
TALK = Reply(text="I see two cups on a table.")


def settings(**more: Any) -> MllmSettings:
    return MllmSettings(**{"model": "qwen3-vl", "base_url": "http://localhost:1/v1", "verify": False, **more})


def session(
    script: Script, *, used_up: bool = True, memory: Memory | None = None, **options: Any
) -> tuple[Trajectory, ScriptedWire]:
    """Run a session; the script must be used up. `budget`, `tools` and `query` go to the session's setup."""
    outer = {name: options.pop(name) for name in ("budget", "tools", "query") if name in options}
    bills = {name: options.pop(name) for name in ("prompt_tokens", "completion_tokens") if name in options}
    wire = ScriptedWire(script, **bills)
    policy = MllmPolicy(wire, settings(**options), memory=memory or Memory())
    trajectory = run_session(setup(**outer), IMAGE, table().open(IMAGE), policy)
    assert wire.is_used_up is used_up
    return trajectory, wire


def stop(trajectory: Trajectory) -> Stop:
    assert trajectory.ending is not None
    return trajectory.ending.stop
