"""A test double: a wire that plays a script of replies and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskpilot.agent.mllm.exchange import CallStyle, Reply, Request
from maskpilot.errors import PolicyError
from maskpilot.types import ToolCall, Usage

__all__ = ["ScriptedWire", "calls", "says"]


class ScriptedWire:
    """Answers with what it was told to, in order.

    An exception in the script is raised where its turn comes. A test ends with `assert wire.is_used_up`: a
    script longer than the session is a test that did not test what it says.

    Args:
        script: replies as they are; a list of calls, dressed in the call style of the request; or an error.
        prompt_tokens, completion_tokens: what each reply without a usage of its own is billed.

    Raises:
        PolicyError: from `send`, when the script is used up.
    """

    def __init__(
        self,
        script: Sequence[Reply | list[ToolCall] | BaseException],
        *,
        prompt_tokens: int = 100,
        completion_tokens: int = 10,
    ) -> None:
        self._script = list(script)
        self._usage = Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        self.requests: list[Request] = []

    @property
    def description(self) -> Mapping[str, Any]:
        return {"model": "scripted", "base_url": None}

    @property
    def is_used_up(self) -> bool:
        return not self._script

    def send(self, request: Request) -> Reply:
        self.requests.append(request)
        if not self._script:
            raise PolicyError(
                f"the script has {len(self.requests) - 1} replies and another one was asked for"
            )
        said = self._script.pop(0)
        if isinstance(said, BaseException):
            raise said
        reply = said if isinstance(said, Reply) else _dressed(said, request.style, len(self.requests))
        pictures = sum(len(message.pictures) for message in request.messages)
        usage = reply.usage if reply.usage.calls else replace(self._usage, images=pictures)
        return replace(reply, usage=usage)


def calls(*named: tuple[str, Mapping[str, Any]]) -> list[ToolCall]:
    """Calls for a script, from names and arguments in the model's own unit."""
    return [ToolCall(name, arguments) for name, arguments in named]


def says(text: str, **more: Any) -> Reply:
    """A reply in words."""
    return Reply(text=text, **more)


def _dressed(made: list[ToolCall], style: CallStyle, number: int) -> Reply:
    if style is CallStyle.native:
        named = [replace(call, id=f"call_{number}_{index}") for index, call in enumerate(made)]
        return Reply(calls=tuple(named))
    plain = [{"name": call.name, "arguments": dict(call.arguments)} for call in made]
    if style is CallStyle.text:
        return Reply("\n".join(f"<tool_call>{json.dumps(call)}</tool_call>" for call in plain))
    rating = next((call.arguments["rating"] for call in made if "rating" in call.arguments), 0)
    flat = [{"name": call.name, **call.arguments} for call in made]
    return Reply(json.dumps({"thought": "", "rating": rating, "calls": flat}))
