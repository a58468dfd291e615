"""The three ways to call tools: what the model is told of each, and how its replies are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskpilot.agent.mllm.calls import find_calls, first_object, read_object
from maskpilot.agent.mllm.coordinates import Convention, box_spec
from maskpilot.agent.mllm.exchange import CallStyle, Reply, ReplyEnd
from maskpilot.prompts import load_prompt
from maskpilot.render import LEGEND
from maskpilot.tools import ToolSpec, tool_spec
from maskpilot.types import ToolCall

__all__ = ["FORMS", "NEXT_STYLE", "Read", "offer", "read_reply", "reply_schema", "system_text"]

NEXT_STYLE: Mapping[CallStyle, CallStyle] = {
    CallStyle.native: CallStyle.schema,
    CallStyle.schema: CallStyle.text,
}
"""What to try when one does not work; every model can write text."""

FORMS: Mapping[CallStyle, str] = {
    CallStyle.native: "",
    CallStyle.schema: ", as the JSON object described above",
    CallStyle.text: ", as a <tool_call> block as described above",
}


RATING = {"type": "number", "description": "0 to 100, of the masks shown now"}


@dataclass(frozen=True)
class Read:
    """What a reply asks for.

    Attributes:
        calls: in order; coordinates still in the model's unit.
        rating: given for all calls at once; None where each call carries its own.
        problems: calls that could not be read, in words for the model.
        leaked: the calls stood in the text although the model was to make native ones.
    """

    calls: tuple[ToolCall, ...] = ()
    rating: float | None = None
    problems: tuple[str, ...] = ()
    leaked: bool = False


def offer(names: Sequence[str], convention: Convention) -> tuple[ToolSpec, ...]:
    """The tools of a session as a model that counts in `convention` is told of them.

    All of them carry a rating; the system message explains it once, and they need not.
    """
    return tuple(_briefly_rated(box_spec(tool_spec(name), convention)) for name in names)


def _briefly_rated(spec: ToolSpec) -> ToolSpec:
    properties = {**spec.parameters["properties"], "rating": RATING}
    return replace(spec, parameters={**spec.parameters, "properties": properties})


def system_text(style: CallStyle, tools: Sequence[ToolSpec], convention: Convention, *, rulers: bool) -> str:
    """The system message. It depends on no image, so that all sessions share its place in a cache."""
    text = load_prompt("system.v1").fill(
        legend=LEGEND,
        rulers=" Rulers along the upper and the left edge tell coordinates." if rulers else "",
        unit=convention.unit_text,
        edges=", ".join(convention.edges),
    )
    if style is CallStyle.native:
        return text
    listed = "\n".join(
        json.dumps({"name": tool.name, "description": tool.description, "parameters": tool.parameters})
        for tool in tools
    )
    return f"{text}\n\n{load_prompt(f'calls_{style.value}.v1').fill(tools=listed)}"


def reply_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """JSON schema of a whole reply: a thought, a rating and the calls.

    Calls are flat, with every tool's parameters as optional fields: unions are beyond several servers.
    """
    arguments: dict[str, Any] = {}
    for tool in tools:
        for name, schema in tool.parameters["properties"].items():
            if name != "rating":
                arguments.setdefault(name, {key: schema[key] for key in schema if key != "description"})
    call = {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": [tool.name for tool in tools]}, **arguments},
        "required": ["name"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "thought": {"type": "string"},
            "rating": {"type": "number"},
            "calls": {"type": "array", "items": call},
        },
        "required": ["thought", "rating", "calls"],
        "additionalProperties": False,
    }


def read_reply(reply: Reply, style: CallStyle, tools: Sequence[ToolSpec]) -> Read:
    """Find the calls of a reply, wherever they stand. Never raises."""
    if reply.calls:
        return _native(reply, tools)
    known = {tool.name: tool for tool in tools}
    found = find_calls(reply.text, known)
    if not found.calls:
        hidden = find_calls(reply.reasoning, known, tagged_only=True)
        found = hidden if hidden.calls else found
    problems = ("a tool call in the reply could not be read; it must be valid JSON",) if found.broken else ()
    calls = tuple(_fitting(call, known, flat=style is CallStyle.schema) for call in found.calls)
    return Read(calls, _rating(reply.text), problems, leaked=bool(calls) and style is CallStyle.native)


def _native(reply: Reply, tools: Sequence[ToolSpec]) -> Read:
    known = {tool.name: tool for tool in tools}
    calls, problems = [], []
    for call in reply.calls:
        name = call.name.rpartition(".")[2] if call.name.rpartition(".")[2] in known else call.name
        arguments = call.arguments
        if set(arguments) == {""}:
            mended = read_object(str(arguments[""])) if str(arguments[""]).strip() else {}
            if mended is None:
                if reply.end is not ReplyEnd.truncated:  # else it is merely the part that was cut off
                    problems.append(f"{name[:60]}: its arguments were not a JSON object")
                continue
            arguments = mended
        calls.append(ToolCall(name, arguments, call.id))
    return Read(tuple(calls), problems=tuple(problems))


def _fitting(call: ToolCall, known: Mapping[str, ToolSpec], *, flat: bool) -> ToolCall:
    """Without the fields of other tools, which a schema of flat calls invites models to fill in."""
    if not flat or call.name not in known:
        return call
    own = known[call.name].parameters["properties"]
    return ToolCall(call.name, {name: call.arguments[name] for name in call.arguments if name in own})


def _rating(text: str) -> float | None:
    found = first_object(text, ("calls",))
    rating = found.get("rating") if found else None
    if isinstance(rating, bool) or not isinstance(rating, int | float) or not 0 <= rating <= 100:
        return None
    return float(rating)
