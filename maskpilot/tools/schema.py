"""Tools as the model is told of them: names, descriptions and JSON schemas, read from the functions.

Schemas are plain on purpose (four named numbers for a box, no unions, no minItems): several servers ignore
or reject anything richer.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from maskpilot.tools.actions import TOOLS

__all__ = ["CORE", "FULL", "PHRASES", "TOOL_SETS", "ToolSpec", "tool_spec"]

PHRASES = ("set_text_prompt", "keep_masks", "drop_masks", "finish")
"""Text and selection, as SAM 3 Agent has them."""

CORE = (
    "set_text_prompt",
    "add_positive_box",
    "add_negative_box",
    "set_threshold",
    "reset",
    "finish",
)
"""The five core tools, and `finish`."""

FULL = tuple(TOOLS)

TOOL_SETS: Mapping[str, tuple[str, ...]] = {"phrases": PHRASES, "core": CORE, "full": FULL}

RATING = {
    "type": "number",
    "description": "0 to 100: how well the masks shown to you right now answer the query",
}
"""Every call carries it; it decides which state of the session is the result."""

JSON_TYPES: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    float: {"type": "number"},
    list[int]: {"type": "array", "items": {"type": "integer"}},
}


@dataclass(frozen=True)
class ToolSpec:
    """One tool for a model: what it is called, what it does, and a JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


def tool_spec(name: str) -> ToolSpec:
    """Describe a tool.

    Raises:
        KeyError: there is no such tool.
        TypeError: a parameter has no description, or a type that has no plain JSON schema.
    """
    tool = TOOLS[name]
    summary, described = _docstring(inspect.getdoc(tool) or "")
    properties: dict[str, Any] = {}
    required = []
    hints = typing.get_type_hints(tool)
    for parameter in list(inspect.signature(tool).parameters.values())[1:]:
        if parameter.name not in described:
            raise TypeError(f"{name}: the parameter {parameter.name} has no description in its docstring")
        properties[parameter.name] = {
            **_json_type(name, hints[parameter.name]),
            "description": described[parameter.name],
        }
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
    properties["rating"] = RATING
    schema = {
        "type": "object",
        "properties": properties,
        "required": [*required, "rating"],
        "additionalProperties": False,
    }
    return ToolSpec(name, summary, schema)


def _json_type(tool: str, hint: object) -> dict[str, Any]:
    if typing.get_origin(hint) is Literal:
        return {"type": "string", "enum": list(typing.get_args(hint))}
    if hint not in JSON_TYPES:
        raise TypeError(f"{tool}: no plain JSON schema for a parameter of type {hint}")
    return JSON_TYPES[hint]


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Summary, and parameter -> description, of a docstring in Google style."""
    summary, _, arguments = text.partition("\nArgs:\n")
    described: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\w+: )", "\n" + arguments.rstrip()):
        name, colon, description = entry.strip().partition(": ")
        if colon:
            described[name] = " ".join(description.split())
    return " ".join(summary.split()), described
