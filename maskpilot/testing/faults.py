"""Ways in which an endpoint fails; each is a value that spoils a good reply."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from maskpilot.testing.says import Answer, Fault, Says

__all__ = [
    "ANSWERING",
    "ARGUMENTS_AS_OBJECT",
    "BROKEN_JSON",
    "CUT_BEFORE",
    "CUT_WITHIN",
    "EMPTY_BODY",
    "EMPTY_CHOICES",
    "EMPTY_REPLY",
    "FILTERED",
    "HTML",
    "LEAKED_CALLS",
    "LEAKED_TO_REASONING",
    "NULL_CHOICES",
    "PASSING",
    "QUOTA",
    "REASONING_ONLY",
    "REFUSED",
    "TRUNCATED",
    "UNREADABLE_ARGUMENTS",
    "WRONG_TYPES",
    "Fault",
    "FaultMix",
    "busy",
    "dripping",
    "error",
    "server_error",
    "slow",
]

# --- The answer never was a reply ----------------------------------------------------------------


def error(status: int, message: str, code: str = "", **headers: str) -> Fault:
    """An error answer, in OpenAI's form; a header's name has `_` for `-`."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code or None, "param": None}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    made = Answer(status, body.encode(), {"content-type": "application/json", **named})
    return Fault(f"{status} {code}".strip(), http=lambda _: made)


def busy(retry_after: str | None = None) -> Fault:
    """429; `retry_after` is the header's value, seconds or a date."""
    headers = {} if retry_after is None else {"retry_after": retry_after}
    return error(429, "too many requests", "rate_limit_exceeded", **headers)


def server_error(status: int = 500) -> Fault:
    return error(status, "something broke", "server_error")


QUOTA = error(429, "You exceeded your current quota", "insufficient_quota")


def slow(seconds: float) -> Fault:
    """A good reply, late; at most a second, so that no test hangs."""
    return Fault("slow", http=lambda answer: replace(answer, delay=min(seconds, 1.0)))


def dripping(seconds: float) -> Fault:
    """A good reply whose body trickles in: no single wait is long, their sum is; at most a second."""
    return Fault("dripping", http=lambda answer: replace(answer, drip=min(seconds, 1.0)))


CUT_BEFORE = Fault("cut before the answer", http=lambda answer: replace(answer, cut_at=0))
CUT_WITHIN = Fault("cut within the body", http=lambda answer: replace(answer, cut_at=len(answer.body) // 2))

# --- A 200 that is no reply ----------------------------------------------------------------------

BROKEN_JSON = Fault("broken JSON", http=lambda answer: replace(answer, body=answer.body[:-20]))
EMPTY_BODY = Fault("empty body", http=lambda answer: replace(answer, body=b""))
HTML = Fault(
    "HTML",
    http=lambda answer: replace(
        answer, body=b"<html><body>Sign in</body></html>", headers={"content-type": "text/html"}
    ),
)
EMPTY_CHOICES = Fault("empty choices", lambda says: says, lambda made, api: {**made, _list_of(api): []})
NULL_CHOICES = Fault("null choices", lambda says: says, lambda made, api: {**made, _list_of(api): None})
WRONG_TYPES = Fault("wrong types", lambda says: says, lambda made, api: {**made, _list_of(api): [7, "x"]})


def _list_of(api: str) -> str:
    return "choices" if api == "chat" else "output"


# --- A reply in an odd form ----------------------------------------------------------------------


def _as_object(made: Any, api: str) -> Any:
    if api == "chat":
        for call in made["choices"][0]["message"].get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    else:
        for item in made["output"]:
            if item["type"] == "function_call":
                item["arguments"] = json.loads(item["arguments"])
    return made


ARGUMENTS_AS_OBJECT = Fault("arguments as an object", payload=_as_object)


def _leak(says: Says) -> str:
    calls = (
        json.dumps({"name": name, "arguments": given if isinstance(given, str) else dict(given)})
        for name, given in says.calls
    )
    return "\n".join(f"<tool_call>{call}</tool_call>" for call in calls)


LEAKED_CALLS = Fault(
    "calls in the text",
    lambda says: replace(says, text=f"{says.text}\n{_leak(says)}".strip(), calls=()),
)
LEAKED_TO_REASONING = Fault(
    "calls in the reasoning", lambda says: replace(says, reasoning=f"So: {_leak(says)}", calls=())
)
UNREADABLE_ARGUMENTS = Fault(
    "unreadable arguments",
    lambda says: replace(says, calls=tuple((name, '{"x0": 1, oops') for name, _ in says.calls)),
)

# --- A reply that says nothing -------------------------------------------------------------------

EMPTY_REPLY = Fault("empty reply", lambda says: replace(says, text="", calls=(), reasoning=""))
REASONING_ONLY = Fault(
    "reasoning only", lambda says: replace(says, text="", calls=(), reasoning="Let me look again.")
)
TRUNCATED = Fault(
    "truncated", lambda says: replace(says, text="I see that the", calls=(), reasoning="", end="length")
)
REFUSED = Fault("refused", lambda says: replace(says, text="", calls=(), refusal="I cannot help with that."))
FILTERED = Fault("filtered", lambda says: replace(says, text="", calls=(), end="content_filter"))

PASSING: tuple[Fault, ...] = (
    busy(),
    busy("0.01"),
    server_error(500),
    server_error(503),
    CUT_BEFORE,
    CUT_WITHIN,
    BROKEN_JSON,
    EMPTY_BODY,
    HTML,
    EMPTY_CHOICES,
    NULL_CHOICES,
    WRONG_TYPES,
)
"""Faults that asking again mends."""

ANSWERING: tuple[Fault, ...] = (
    slow(0.02),
    dripping(0.02),
    ARGUMENTS_AS_OBJECT,
    LEAKED_CALLS,
    LEAKED_TO_REASONING,
    UNREADABLE_ARGUMENTS,
    EMPTY_REPLY,
    REASONING_ONLY,
    TRUNCATED,
)
"""Faults in what is a reply all the same. `REFUSED` and `FILTERED` are not among them: they end a session."""


class FaultMix:
    """Spoils a share of the replies, with faults drawn by chance. Safe to share between threads.

    Args:
        rate: share of the replies, in [0, 1].
        faults: drawn evenly.
        seed: of the chance.

    Attributes:
        drawn: how often each fault was, by name.

    Raises:
        ValueError: the rate is outside [0, 1], or there are no faults to draw from.
    """

    def __init__(self, rate: float, faults: Sequence[Fault] = PASSING + ANSWERING, *, seed: int = 0) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"FaultMix.rate: expected a share in [0, 1], got {rate!r}")
        if not faults:
            raise ValueError("FaultMix.faults: expected at least one fault")
        self._rate = rate
        self._faults = tuple(faults)
        self._random = random.Random(seed)  # noqa: S311 (simulation, not secrets)
        self._lock = threading.Lock()
        self.drawn: Counter[str] = Counter()

    def draw(self) -> Fault | None:
        """A fault for the next reply, or None."""
        with self._lock:
            if self._random.random() >= self._rate:
                return None
            fault = self._random.choice(self._faults)
            self.drawn[fault.name] += 1
            return fault
