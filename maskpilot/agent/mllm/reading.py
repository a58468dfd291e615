"""What both APIs' answers have in common, read without trust: any value may be of any type."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from maskpilot.types import ToolCall, Usage

__all__ = [
    "UNREADABLE",
    "Broken",
    "arguments",
    "count",
    "echoed",
    "encodable",
    "is_readable",
    "kind",
    "named",
    "parsed",
    "tokens",
    "without_nulls",
    "without_thoughts",
]

UNREADABLE = ""
"""The key under which arguments that are no JSON object lie in a `ToolCall`, as text."""


NAMELESS = "unnamed"
"""Stands for the name of a call that has none: the model is told that there is no such tool, and goes on."""

THOUGHT_BEGINS, THOUGHT_ENDS = "<think>", "</think>"

DEEPEST = 100
"""Levels of nesting that a message may have to be sent back."""


class Broken(ValueError):
    """A 200 whose body is no reply; the message says what was expected and what came."""


def parsed(body: bytes) -> Any:
    """The body as JSON.

    Raises:
        Broken: it is not JSON; HTML, an empty body and a stream of events have words of their own.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        start = body[:200].decode("utf-8", "replace").strip()
    if not start:
        raise Broken("expected JSON, got an empty body")
    what = "HTML" if start.startswith("<") else "events" if start.startswith("data:") else "something else"
    raise Broken(f"expected JSON, got {what}: {start}")


def arguments(raw: Any) -> dict[str, Any]:
    """A call's arguments, however they were sent; what is no JSON object comes back under `UNREADABLE`."""
    value = raw
    for _ in range(2):  # some servers encode them twice
        if isinstance(value, str):
            try:
                value = json.loads(value, parse_constant=_no_number) if value.strip() else {}
            except (ValueError, RecursionError):
                break
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    return {UNREADABLE: raw if isinstance(raw, str) else json.dumps(raw)}


def is_readable(call: ToolCall) -> bool:
    """Whether its arguments were a JSON object."""
    return UNREADABLE not in call.arguments


def echoed(call: ToolCall, raw: Any = None) -> str:
    """A call's arguments as JSON, byte by byte as they came where that is possible.

    Servers parse them again and fail on anything but an object, so unreadable ones go back as `{}`.
    """
    if not is_readable(call):
        return "{}"
    if isinstance(raw, str) and raw.lstrip().startswith("{"):
        return encodable(raw)
    try:
        return json.dumps(dict(call.arguments), allow_nan=False)
    except ValueError:  # NaN, of a server that sends arguments as an object
        return "{}"


def encodable(text: str) -> str:
    """Without lone surrogates: an argument of the command line, or a model, may hold some, UTF-8 may not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def without_nulls(value: Any, *, room: int = DEEPEST) -> Any:
    """A message as it may be sent back: without nulls in objects, and without what UTF-8 or JSON cannot hold.

    A number that is not finite (Python's servers write NaN and Infinity) counts as null.

    Raises:
        Broken: it is nested more than `room` levels deep.
    """
    if not room:
        raise Broken(f"expected a reply, got one nested more than {DEEPEST} levels deep")
    if isinstance(value, Mapping):
        return {
            encodable(key): without_nulls(item, room=room - 1)
            for key, item in value.items()
            if not _is_null(item)
        }
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Sequence):
        return [None if _is_null(item) else without_nulls(item, room=room - 1) for item in value]
    return value


def without_thoughts(text: str) -> tuple[str, str]:
    """Visible words, and the thoughts that a server without a parser for them leaves in the text before.

    Some templates begin the thought themselves, so that the text has its end alone; one that was cut off has
    its beginning alone.
    """
    thought, end, rest = text.rpartition(THOUGHT_ENDS)
    if not end:
        if not text.lstrip().startswith(THOUGHT_BEGINS):
            return text, ""
        thought, rest = text, ""
    return rest.lstrip(), thought.strip().removeprefix(THOUGHT_BEGINS).strip()


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def named(name: object) -> str:
    """The name of a call, however little of one there is."""
    return name.strip() or NAMELESS if isinstance(name, str) else NAMELESS


def kind(value: Any) -> str:
    """What a value is, in words for an error."""
    return "null" if value is None else type(value).__name__


def count(holder: Any, *path: str) -> int:
    """The whole number at a path of keys; 0 where there is none, or no sensible one."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    if isinstance(holder, bool) or not isinstance(holder, int | float):
        return 0
    return int(holder) if 0 <= holder < 1e12 else 0


def tokens(usage: Any, *, prompt: str, completion: str) -> Usage:
    """Tokens of one reply, `prompt` and `completion` being the API's names for the two.

    Some endpoints (Gemini's, xAI's) leave reasoning out of the completion and in the total: what is in the
    total and not in the prompt was written by the model.
    """
    read = count(usage, f"{prompt}_tokens")
    reasoning = count(usage, f"{completion}_tokens_details", "reasoning_tokens")
    written = count(usage, f"{completion}_tokens")
    cached = count(usage, f"{prompt}_tokens_details", "cached_tokens")
    unnamed = count(usage, "total_tokens") - read - written
    if unnamed > 0:
        written, reasoning = written + unnamed, max(reasoning, unnamed)
    return Usage(
        calls=1,
        prompt_tokens=read,
        completion_tokens=written,
        cached_tokens=min(cached or count(usage, "cached_tokens"), read),  # the latter is Kimi's
        reasoning_tokens=min(reasoning, written),
    )


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
