"""Tool calls in a model's text, in whatever dress they come.

Known dresses: `<tool_call>{json}</tool_call>`, `<tool>{json}</tool>` and their relatives,
`<function=NAME><parameter=KEY>VALUE</parameter></function>`, `<function=NAME>{json}</function>`, JSON in a
fence, bare JSON, JSON of a whole reply that lists its calls. Inside the tags, a call is any JSON object that
names a tool and its arguments.

Nothing is evaluated. The text may be anything of any length: no place is looked at without bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maskpilot.types import ToolCall

__all__ = ["Found", "find_calls", "first_object", "read_object"]

MAX_CALLS = 64
MAX_OBJECTS = 256
"""JSON objects that are tried in one text; junk that looks like JSON costs no more than this."""

MAX_OBJECT = 20_000
"""Characters of one JSON object."""

OPENING = re.compile(r"<(tool_call|tool|tool_calls|function_call|function)>|<function=|<\|tool_call\|>")
FUNCTION = re.compile(r"<function=\s*([\w.:-]{1,80})\s*>")
PARAMETER = re.compile(r"<parameter=\s*([\w.:-]{1,80})\s*>")
TRAILING_COMMA = re.compile(r",\s{0,100}([}\]])")

NAMES = ("name", "tool", "tool_name", "function", "action")
ARGUMENTS = ("arguments", "args", "parameters", "params", "input", "action_input")
LISTS = ("calls", "tool_calls", "tools", "actions")

_decoder = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Found:
    """What a text held.

    Attributes:
        calls: in the order of the text; their names may be of no tool.
        broken: a call was begun that could not be read.
    """

    calls: tuple[ToolCall, ...] = ()
    broken: bool = False


def find_calls(text: str, offered: Collection[str], *, tagged_only: bool = False) -> Found:
    """Find the tool calls in a text. Never raises.

    Args:
        text: a model's visible or hidden words.
        offered: names of tools; an object without a field for arguments counts only when it names one.
        tagged_only: leave bare JSON alone: a model that thinks aloud quotes what it does not mean.
    """
    tags = [match.start() for match in OPENING.finditer(text)]
    begin = tags[0] if tags else len(text)
    calls = list(_in_blocks(text, tags, offered))
    if not calls and not tagged_only:
        calls, begin = list(_in_json(text, offered)), min(begin, _begun(text, offered))
    return Found(tuple(calls[:MAX_CALLS]), broken=not calls and begin < len(text))


def first_object(text: str, fields: Collection[str]) -> Mapping[str, Any] | None:
    """The first JSON object in a text that has one of these fields. Never raises."""
    return next((found for found in _objects(text) if any(field in found for field in fields)), None)


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text begins with, small slips mended; None where there is none."""
    return _object_at(text.strip(), 0)[0]


def _in_blocks(text: str, tags: list[int], offered: Collection[str]) -> Iterator[ToolCall]:
    """Calls between tags; a block ends where the next one begins, so that closing tags may be missing."""
    for begin, end in zip(tags[:MAX_OBJECTS], [*tags[1:], len(text)], strict=False):
        block = text[begin : min(end, begin + MAX_OBJECT)]
        function = FUNCTION.match(block)
        if function:
            arguments = _parameters(block) or read_object(block[function.end() :]) or {}
            yield ToolCall(_tool_name(function[1], offered), arguments)
        else:
            yield from _in_json(block, offered)


def _parameters(block: str) -> dict[str, Any]:
    found = list(PARAMETER.finditer(block))[:MAX_CALLS]
    ends = [*(match.start() for match in found), len(block)][1:]
    return {
        match[1]: _value(block[match.end() : end].partition("</parameter>")[0].partition("</function>")[0])
        for match, end in zip(found, ends, strict=True)
    }


def _value(text: str) -> Any:
    """A parameter's text as JSON where it is some (a number, a list), else as it is."""
    text = text.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _in_json(text: str, offered: Collection[str]) -> Iterator[ToolCall]:
    for found in _objects(text):
        yield from _as_calls(found, offered)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, those inside another left out."""
    at = text.find("{")
    for _ in range(MAX_OBJECTS):
        if at < 0:
            return
        found, end = _object_at(text, at)
        if found is not None:
            yield found
        at = text.find("{", end)


def _object_at(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins at `at`, and where to look on."""
    window = text[at : at + MAX_OBJECT]
    for candidate in (window, TRAILING_COMMA.sub(r"\1", window), _double_quoted(window)):
        try:
            found, length = _decoder.raw_decode(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            # After a repair the length is that of the mended text: never more than the original's.
            return found, at + max(length, 1)
    return None, at + 1


def _double_quoted(text: str) -> str:
    """Python's way of writing an object, as JSON, where no string holds a quote of its own."""
    return text if '"' in text else text.replace("'", '"')


def _as_calls(found: Mapping[str, Any], offered: Collection[str]) -> Iterator[ToolCall]:
    """The calls that an object is or lists."""
    for field in LISTS:
        if isinstance(found.get(field), list):
            for item in found[field][:MAX_CALLS]:
                if isinstance(item, dict):
                    yield from _as_call(item, offered, listed=True)
            return
    yield from _as_call(found, offered)


def _as_call(
    found: Mapping[str, Any], offered: Collection[str], *, listed: bool = False
) -> Iterator[ToolCall]:
    """The call that an object is, if any; one that stands in a list of calls needs no more than a name."""
    inner = found.get("function")
    if isinstance(inner, dict):  # as in the API's own form
        found = inner
    name_field = next((field for field in NAMES if isinstance(found.get(field), str)), None)
    if name_field is None:
        for name in offered:  # {"set_text_prompt": {"text": "cup"}}
            if isinstance(found.get(name), dict):
                yield ToolCall(name, found[name])
        return
    name = _tool_name(found[name_field], offered)
    for field in ARGUMENTS:
        arguments = found.get(field)
        if isinstance(arguments, str):
            arguments = read_object(arguments)
        if isinstance(arguments, dict):
            yield ToolCall(name, arguments)
            return
    if listed or name in offered:
        rest = {field: value for field, value in found.items() if field not in {name_field, *ARGUMENTS}}
        yield ToolCall(name, rest)


def _tool_name(name: str, offered: Collection[str]) -> str:
    """Without a name space that some models put before it: "functions.zoom"."""
    last = re.split(r"[.:]", name.strip())[-1]
    return last if last in offered else name.strip()


def _begun(text: str, offered: Collection[str]) -> int:
    """Where a JSON object names a tool that was offered; the text's length where none does."""
    if "{" not in text:
        return len(text)
    places = (text.find(f'"{name}"') for name in offered)
    return min((place for place in places if place >= 0), default=len(text))
