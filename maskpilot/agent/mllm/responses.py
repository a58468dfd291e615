"""Requests and replies in the form of the Responses API, without state on the server."""

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

__all__ = ["body", "read", "usage"]


def body(request: Request, pictures: Pictures, *, detail: str | None = None) -> dict[str, Any]:
    """Messages, tools and the form of the reply; model and settings are the wire's."""
    messages = list(request.messages)
    made: dict[str, Any] = {"store": False}
    if messages and messages[0].role is Role.system:
        made["instructions"] = encodable(messages.pop(0).text)
    made["input"] = [item for one in messages for item in _items(one, pictures, detail)]
    if request.style is CallStyle.native and request.tools:
        made["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
                "strict": False,  # left out it means true here, and optional parameters are then refused
            }
            for tool in request.tools
        ]
    if request.style is CallStyle.schema and request.schema is not None:
        form = {"type": "json_schema", "name": "reply", "schema": dict(request.schema), "strict": False}
        made["text"] = {"format": form}
    return made


def _items(message: Message, pictures: Pictures, detail: str | None) -> list[dict[str, Any]]:
    text = encodable(message.text)
    if message.role is Role.tool:
        return [{"type": "function_call_output", "call_id": message.call_id, "output": text}]
    if message.role is Role.assistant:
        if isinstance(message.echo, list):
            return list(message.echo)
        return _own(text, message.calls)
    if not message.pictures:
        return [{"role": message.role.value, "content": text}]
    parts: list[dict[str, Any]] = [
        {"type": "input_image", "image_url": pictures.url(picture), "detail": detail or "auto"}
        for picture in message.pictures
    ]
    if text:
        parts.append({"type": "input_text", "text": text})
    return [{"role": message.role.value, "content": parts}]


def _own(text: str, calls: Sequence[ToolCall], raw_calls: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """An assistant's turn in items of our own making: without ids, which the server would look up."""
    # Its type may be left out at OpenAI; llama.cpp refuses an assistant's turn without one.
    said = {"type": "message", "role": "assistant", "content": text}
    items: list[dict[str, Any]] = [said] if text or not calls else []
    for number, call in enumerate(calls):
        raw = raw_calls[number] if raw_calls else None
        items.append(
            {
                "type": "function_call",
                "call_id": call.id,
                "name": encodable(call.name),
                "arguments": echoed(call, raw),
            }
        )
    return items


def read(data: Any, turn: int) -> Reply:
    """A reply from an answer's JSON; `turn` makes ids for calls that came without one.

    Raises:
        Broken: it is no response.
    """
    output = data.get("output") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(output, list):
        raise Broken(f"expected a response with a list of output, got {kind(output)}")
    why = _why_incomplete(data)
    if not output and not why:
        raise Broken("expected a response with output, got none")
    texts: list[str] = []
    hidden: list[str] = []
    refusals: list[str] = []
    calls: list[ToolCall] = []
    raw_arguments = []
    for number, item in enumerate(output):
        if not isinstance(item, Mapping):
            raise Broken(f"expected items of output, got {kind(item)}")
        if item.get("type") == "function_call":
            calls.append(_call(item, calls, f"call_{turn}_{number}"))
            raw_arguments.append(item.get("arguments"))
        elif item.get("type") == "message":
            _sort_parts(item.get("content"), texts, refusals)
        elif item.get("type") == "reasoning":
            hidden.extend(_reasoning(item))
    text, thought = without_thoughts("".join(texts))
    said = text or "".join(refusals)
    return Reply(
        text=said,
        reasoning="\n".join(hidden) or thought,
        calls=tuple(calls),
        end=_end(calls, refusals, why),
        usage=usage(data),
        echo=_echo(output, said, calls, raw_arguments),
    )


def usage(data: Any) -> Usage:
    """Tokens of one answer; an answer that names none counts as a call of 0."""
    reported = data.get("usage") if isinstance(data, Mapping) else None
    return tokens(reported, prompt="input", completion="output")


def _why_incomplete(data: Mapping[str, Any]) -> str:
    details = data.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    if isinstance(reason, str):
        return reason
    return "unknown" if data.get("status") == "incomplete" else ""


def _end(calls: Sequence[ToolCall], refusals: Sequence[str], why: str) -> ReplyEnd:
    if calls and all(is_readable(call) for call in calls):  # whatever the status says
        return ReplyEnd.complete
    if refusals and not calls:
        return ReplyEnd.refused
    if why == "content_filter" and not calls:
        return ReplyEnd.filtered
    return ReplyEnd.truncated if why else ReplyEnd.complete


def _call(item: Mapping[str, Any], earlier: Sequence[ToolCall], made_id: str) -> ToolCall:
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or not call_id or any(call.id == call_id for call in earlier):
        call_id = made_id
    return ToolCall(named(item.get("name")), arguments(item.get("arguments")), encodable(call_id))


def _sort_parts(content: Any, texts: list[str], refusals: list[str]) -> None:
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                texts.append(part["text"])
            if isinstance(part, Mapping) and isinstance(part.get("refusal"), str):
                refusals.append(part["refusal"])
    elif content is not None:
        raise Broken(f"expected words as content, got {kind(content)}")


def _reasoning(item: Mapping[str, Any]) -> list[str]:
    """The words of a reasoning item: its content where it is shown, its summary otherwise."""
    for parts in (item.get("content"), item.get("summary")):
        if isinstance(parts, list):
            words = [part.get("text") for part in parts if isinstance(part, Mapping)]
            if found := [word for word in words if isinstance(word, str)]:
                return found
    return []


def _echo(
    output: Sequence[Any], text: str, calls: Sequence[ToolCall], raw_arguments: Sequence[Any]
) -> list[dict[str, Any]]:
    """Items to send back.

    A server that keeps nothing takes its own items back only with their reasoning, and that only encrypted;
    where a piece is missing, items of our own making say the same.
    """
    reasoned = [item for item in output if item.get("type") == "reasoning"]
    whole = all(item.get("encrypted_content") for item in reasoned)
    sent = [(item.get("call_id"), item.get("name")) for item in output if item.get("type") == "function_call"]
    intact = sent == [(call.id, call.name) for call in calls] and all(
        isinstance(raw, str) and is_readable(call) for raw, call in zip(raw_arguments, calls, strict=True)
    )
    if reasoned and whole and intact:
        echo: list[dict[str, Any]] = without_nulls(output)
        return echo
    return _own(encodable(text), calls, raw_arguments)
