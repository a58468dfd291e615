"""What a scripted model says, and its form in both APIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Fault", "Says", "Spoilt", "chat_payload", "responses_payload"]

API = str
"""\"chat" or "responses"."""


@dataclass(frozen=True)
class Says:
    """A model's turn.

    Attributes:
        text: visible words.
        calls: (name, arguments) of native calls; arguments given as text are sent as they are.
        reasoning: hidden words.
        refusal: the words of a refusal.
        end: "stop", "length" or "content_filter".
        tokens: prompt, cached, completion and reasoning; None leaves usage out.
    """

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any] | str], ...] = ()
    reasoning: str = ""
    refusal: str = ""
    end: str = "stop"
    tokens: tuple[int, int, int, int] | None = (1000, 0, 50, 0)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        delay: seconds before it.
        drip: seconds over which the body comes, in eight pieces.
        cut_at: bytes of the body after which the connection is cut; 0 cuts before the status line.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    delay: float = 0.0
    drip: float = 0.0
    cut_at: int | None = None


@dataclass(frozen=True)
class Fault:
    """One way in which a reply goes wrong, at one of three stations on its way out.

    Attributes:
        name: for reports.
        speech: what the model says.
        payload: the API's JSON; gets the API's name too.
        http: the answer that carries it.
    """

    name: str
    speech: Callable[[Says], Says] = lambda says: says
    payload: Callable[[Any, API], Any] = lambda payload, _: payload
    http: Callable[[Answer], Answer] = lambda answer: answer

    def spoil(self, says: Says, api: API, model: str) -> Answer:
        """The answer that this fault makes of a good turn."""
        spoken = self.speech(says)
        make = chat_payload if api == "chat" else responses_payload
        payload = self.payload(make(spoken, model), api)
        return self.http(Answer(200, json.dumps(payload).encode()))


@dataclass(frozen=True)
class Spoilt:
    """A good turn that a fault spoils."""

    says: Says
    fault: Fault


def chat_payload(says: Says, model: str) -> dict[str, Any]:
    """As Chat Completions."""
    message: dict[str, Any] = {"role": "assistant", "content": says.text or None}
    if says.reasoning:
        message["reasoning_content"] = says.reasoning
    if says.refusal:
        message["refusal"] = says.refusal
    if says.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": name, "arguments": _text(given)},
            }
            for number, (name, given) in enumerate(says.calls)
        ]
    finish = "tool_calls" if says.calls and says.end == "stop" else says.end
    payload: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if says.tokens is not None:
        prompt, cached, completion, reasoning = says.tokens
        payload["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    return payload


def responses_payload(says: Says, model: str) -> dict[str, Any]:
    """As the Responses API."""
    output: list[dict[str, Any]] = []
    if says.reasoning:
        summary = [{"type": "summary_text", "text": says.reasoning}]
        output.append({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "b64"})
    if says.text or says.refusal or not says.calls:
        words = [{"type": "output_text", "text": says.text, "annotations": []}] if says.text else []
        refused = [{"type": "refusal", "refusal": says.refusal}] if says.refusal else []
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "content": words + refused})
    output.extend(
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": name,
            "arguments": _text(given),
        }
        for number, (name, given) in enumerate(says.calls)
    )
    reason = {"length": "max_output_tokens"}.get(says.end, says.end)
    payload: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": model,
        "status": "completed" if says.end == "stop" else "incomplete",
        "incomplete_details": None if says.end == "stop" else {"reason": reason},
        "error": None,
        "output": output,
    }
    if says.tokens is not None:
        prompt, cached, completion, reasoning = says.tokens
        payload["usage"] = {
            "input_tokens": prompt,
            "output_tokens": completion,
            "total_tokens": prompt + completion,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens_details": {"reasoning_tokens": reasoning},
        }
    return payload


def _text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
