"""Requests and replies in the form of the Chat Completions API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, ReplyEnd, Request, Role
from maskpilot.agent.mllm.pictures import Pictures
from maskpilot.agent.mllm.reading import (
    Broken,
    arguments,
    echoed,
    encodable,
    is_readable,
    kind,
    named,
    tokens,
    without_nulls,
    without_thoughts,
)
from maskpilot.types import ToolCall, Usage

__all__ = ["body", "read", "usage", "without_reasoning"]

THOUGHTS = ("reasoning_content", "reasoning")
"""Fields of a message that hold the model's thoughts, in the order in which they are believed."""


def body(request: Request, pictures: Pictures, *, detail: str | None = None) -> dict[str, Any]:
    """Messages, tools and the form of the reply; model and settings are the wire's."""
    made: dict[str, Any] = {"messages": [_message(one, pictures, detail) for one in request.messages]}
    if request.style is CallStyle.native and request.tools:
        made["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in request.tools
        ]
    if request.style is CallStyle.schema and request.schema is not None:
        form = {"name": "reply", "schema": dict(request.schema)}
        made["response_format"] = {"type": "json_schema", "json_schema": form}
    return made


def without_reasoning(made: dict[str, Any]) -> dict[str, Any]:
    """A body without the thoughts that echoed messages hold: not every server takes back what it sent."""
    left_out = {*THOUGHTS, "reasoning_details"}
    messages = [
        {name: value for name, value in one.items() if name not in left_out} for one in made["messages"]
    ]
    return {**made, "messages": messages}


def _message(message: Message, pictures: Pictures, detail: str | None) -> dict[str, Any]:
    text = encodable(message.text)
    if message.role is Role.tool:
        # The name is in the call already; Gemini wants it in the answer too.
        named = {"name": encodable(message.tool)} if message.tool else {}
        return {"role": "tool", "tool_call_id": message.call_id, **named, "content": text}
    if message.role is Role.assistant:
        return _assistant(message, text)
    if not message.pictures:
        return {"role": message.role.value, "content": text}
    extra = {} if detail is None else {"detail": detail}
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": pictures.url(picture), **extra}}
        for picture in message.pictures
    ]
    if text:
        parts.append({"type": "text", "text": text})
    return {"role": message.role.value, "content": parts}


def _assistant(message: Message, text: str) -> dict[str, Any]:
    if isinstance(message.echo, Mapping):
        return dict(message.echo)
    # Neither a null nor an empty list: several servers refuse both, for content and for calls.
    made: dict[str, Any] = {"role": "assistant"}
    if text or not message.calls:
        made["content"] = text
    if message.calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": encodable(call.name), "arguments": echoed(call)},
            }
            for call in message.calls
        ]
    return made


def read(data: Any, turn: int) -> Reply:
    """A reply from an answer's JSON; `turn` makes ids for calls that came without one.

    Raises:
        Broken: it is no chat completion.
    """
    message, finish = _choice(data)
    calls, raw_calls = _calls(message, turn)
    text, reasoning, refusal = _words(message)
    if calls:  # whatever finish_reason says
        cut = finish == "length" and not all(is_readable(call) for call in calls)
        end = ReplyEnd.truncated if cut else ReplyEnd.complete
    elif refusal or finish == "refusal":
        end = ReplyEnd.refused
    elif finish == "content_filter":
        end = ReplyEnd.filtered
    else:
        end = ReplyEnd.truncated if finish == "length" else ReplyEnd.complete
    return Reply(
        text=text or refusal,
        reasoning=reasoning,
        calls=calls,
        end=end,
        usage=usage(data),
        echo=_echo(message, calls, raw_calls, text or refusal),
    )


def usage(data: Any) -> Usage:
    """Tokens of one answer; an answer that names none counts as a call of 0."""
    reported = data.get("usage") if isinstance(data, Mapping) else None
    return tokens(reported, prompt="prompt", completion="completion")


def _choice(data: Any) -> tuple[Mapping[str, Any], str]:
    """The message of the first choice, and why it ended."""
    if not isinstance(data, Mapping):
        raise Broken(f"expected a chat completion, got {kind(data)}")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Broken(f"expected a list of choices, got {'none' if choices == [] else kind(choices)}")
    choice = choices[0] if isinstance(choices[0], Mapping) else {}
    message, finish = choice.get("message"), choice.get("finish_reason")
    finish = finish.partition(":")[0] if isinstance(finish, str) else ""  # Gemini's "content_filter: SAFETY"
    if message is None and finish in ("content_filter", "function_call_filter"):
        message = {}  # Gemini again: what it has filtered it leaves out
    if not isinstance(message, Mapping):
        raise Broken(f"expected a choice with a message, got {kind(message)}")
    if finish == "error":
        raise Broken("the server reports an error inside its reply")
    return message, finish


def _calls(message: Mapping[str, Any], turn: int) -> tuple[tuple[ToolCall, ...], list[dict[str, Any]]]:
    """The calls, and the same as the server sent them but for ids, which are made where they lack."""
    found = message.get("tool_calls")
    if found is None and isinstance(message.get("function_call"), Mapping):
        found = [{"function": message["function_call"]}]  # as it was before tools
    if not isinstance(found, list | None):
        raise Broken(f"expected a list of tool calls, got {kind(found)}")
    calls: list[ToolCall] = []
    raw_calls = []
    for number, raw in enumerate(found or []):
        function = raw.get("function") if isinstance(raw, Mapping) else None
        if not isinstance(function, Mapping):
            raise Broken(f"expected a tool call of a function, got {kind(function)}")
        call_id = raw.get("id")
        if not isinstance(call_id, str) or not call_id or any(call.id == call_id for call in calls):
            call_id = f"call_{turn}_{number}"
        calls.append(
            ToolCall(named(function.get("name")), arguments(function.get("arguments")), encodable(call_id))
        )
        raw_calls.append(dict(raw))
    return tuple(calls), raw_calls


def _words(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """Visible words, hidden ones, and those of a refusal."""
    content = message.get("content")
    texts: list[str] = []
    hidden = [message[key] for key in THOUGHTS if isinstance(message.get(key), str)]
    refusals = [message["refusal"]] if isinstance(message.get("refusal"), str) else []
    if isinstance(content, list):
        for part in content:
            _sort_part(part, texts, hidden, refusals)
    elif isinstance(content, str):
        texts.append(content)
    elif content is not None:
        raise Broken(f"expected words as content, got {kind(content)}")
    text, thought = without_thoughts("".join(texts))
    return text, next((words for words in (*hidden, thought) if words), ""), "".join(refusals)


def _sort_part(part: Any, texts: list[str], hidden: list[str], refusals: list[str]) -> None:
    if isinstance(part, str):
        texts.append(part)
    if not isinstance(part, Mapping):
        return
    if isinstance(part.get("text"), str):
        (hidden if part.get("type") in ("thinking", "reasoning") else texts).append(part["text"])
    if isinstance(part.get("refusal"), str):
        refusals.append(part["refusal"])
    thinking = part.get("thinking")
    if isinstance(thinking, list):  # Mistral's: a list of text parts
        thinking = "".join(one["text"] for one in thinking if isinstance(one, Mapping) and "text" in one)
    if isinstance(thinking, str):
        hidden.append(thinking)


def _echo(
    message: Mapping[str, Any], calls: Sequence[ToolCall], raw_calls: Sequence[dict[str, Any]], text: str
) -> dict[str, Any]:
    """The message to send back: all that the server sent, unknown fields too, but for what servers refuse."""
    echo: dict[str, Any] = without_nulls({**message, "role": "assistant", "tool_calls": None})
    echo.pop("function_call", None)
    if not echo.get("content"):
        echo.pop("content", None)
    if calls:
        echo["tool_calls"] = [
            without_nulls(
                {
                    **raw,
                    "id": call.id,
                    "type": "function",
                    "function": {
                        **raw["function"],
                        "name": call.name,
                        "arguments": echoed(call, raw["function"].get("arguments")),
                    },
                }
            )
            for call, raw in zip(calls, raw_calls, strict=True)
        ]
    elif "content" not in echo:
        echo["content"] = encodable(text)
    return echo
