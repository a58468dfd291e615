"""From a call as a model wrote it to one that can be applied: names checked, types mended or refused.

What can be understood in one way only is mended ("3" for 3, [4] for 4); everything else goes back to the
model in words that tell it how to do it right.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from maskpilot.errors import InvalidCall, UnknownTool
from maskpilot.tools.actions import TOOLS, Outcome
from maskpilot.tools.state import SessionState
from maskpilot.types import ToolCall

__all__ = ["apply_call", "rating_of"]


def apply_call(state: SessionState, call: ToolCall, offered: Collection[str]) -> Outcome:
    """Check a call and apply it.

    Args:
        state: before the call.
        call: as the model made it; box coordinates in pixels of the original image.
        offered: names of the tools that this session offers.

    Raises:
        UnknownTool: no tool of this name is offered.
        InvalidCall: the arguments cannot be applied.
    """
    if call.name not in offered or call.name not in TOOLS:
        raise UnknownTool(f"there is no tool {_short(call.name)!r}; the tools are: {', '.join(offered)}")
    try:
        return TOOLS[call.name](state, **_arguments(TOOLS[call.name], call.arguments))
    except InvalidCall as error:
        raise InvalidCall(f"{call.name}: {error}") from error


def rating_of(call: ToolCall) -> float | None:
    """The rating that a call carries, clipped to 0..100; None where there is none that can be read."""
    try:
        return min(max(_number("rating", call.arguments["rating"]), 0.0), 100.0)
    except (KeyError, InvalidCall):
        return None


def _arguments(tool: Callable[..., Outcome], given: Mapping[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(tool)
    parameters = list(inspect.signature(tool).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    unknown = [name for name in given if name not in names and name != "rating"]
    if unknown:
        raise InvalidCall(
            f"no parameter is called {_short(unknown[0])!r}; expected {', '.join(names) or 'none'}"
        )
    arguments = {}
    for parameter in parameters:
        if given.get(parameter.name) is not None:
            arguments[parameter.name] = _converted(
                parameter.name, given[parameter.name], hints[parameter.name]
            )
        elif parameter.default is inspect.Parameter.empty:
            raise InvalidCall(f"{parameter.name} is missing; expected {', '.join(names)}")
    return arguments


def _converted(name: str, value: object, hint: object) -> object:
    if hint is float:
        return _number(name, value)
    if hint == list[int]:
        return _ids(name, value)
    if not isinstance(value, str):
        raise InvalidCall(f"{name} must be text, got {_short(value)}")
    if typing.get_origin(hint) is Literal and value not in typing.get_args(hint):
        raise InvalidCall(f"{name} must be one of {', '.join(typing.get_args(hint))}, got {_short(value)!r}")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidCall(f"{name} must be a number, got {_short(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidCall(f"{name} must be a finite number")
    return number


def _ids(name: str, value: object) -> list[int]:
    if isinstance(value, str):
        text = value.strip()
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text if text.startswith("[") else f"[{text}]")
    values = value if isinstance(value, list | tuple) else [value]
    numbers = []
    for one in values:
        number = _number(name, one)
        if number != int(number):
            raise InvalidCall(f"{name} must hold whole numbers, got {_short(one)}")
        numbers.append(int(number))
    return numbers


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
