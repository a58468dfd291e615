"""What an endpoint's error means: come later, never, or not with this feature.

Endpoints agree on the status at best, so the words of the message are looked at too, and only for features
that the request used. The phrases are those of OpenAI, Azure, Gemini, OpenRouter, DeepSeek, Groq, xAI,
Moonshot, Z.ai, DashScope, vLLM, llama.cpp, LM Studio and Ollama.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from maskpilot.agent.mllm.failures import Failure, Feature, Trouble, plain

__all__ = ["asked_wait", "is_filtered", "refusal"]

NO_MONEY = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
        *("exceeded_current_quota_error", "1113", "Arrearage"),  # Moonshot's, Z.ai's, DashScope's (a 400)
    }
)
"""Codes of a 429 that waiting does not mend. Not the word "quota": Gemini uses it for limits per minute."""

WRONG_KEY = re.compile(r"api key (not valid|expired)|(incorrect|invalid) api key", re.IGNORECASE)
"""How Gemini and xAI say with a 400 what others say with a 401."""

ECHOED = re.compile(r"'reasoning(_content|_details)?'.{0,60}(unsupported|not permitted)", re.IGNORECASE)
"""Groq and Mistral, also behind a proxy, do not take back what they sent of the model's thoughts."""

FILTERED = frozenset(
    {
        *("content_filter", "content_policy_violation", "image_content_policy_violation"),
        *("data_inspection_failed", "DataInspectionFailed"),  # DashScope's
    }
)
"""Codes of a 400 that is about what was said or shown, not about how."""

FEATURE_WORDS: Mapping[Feature, re.Pattern[str]] = {
    Feature.tools: re.compile(
        r"\btools?\b|tool[_ ](use|call|choice)|function[_ ]call|--jinja", re.IGNORECASE
    ),
    Feature.schema: re.compile(
        r"response_?format|json_?schema|structured output|grammar|text\.format", re.IGNORECASE
    ),
    Feature.images: re.compile(
        r"\bimages?\b|image_url|input_image|multi-?modal|mmproj|\bvision\b", re.IGNORECASE
    ),
}

REFUSING_WORDS = re.compile(
    r"not (\w+ )?support|unsupported|does ?n.t support|not available|unavailable|not enabled"
    r"|no endpoints found|requires? (the )?--|must (be )?provide|not a multi-?modal|unknown variant"
    r"|unexpected keyword|unrecognized|not permitted|not allowed|not compiled|only (text|support)"
    r"|cannot be used|at most 0",
    re.IGNORECASE,
)

AFTER_A_TOOL = re.compile(r"role '?user'? after role '?tool|roles must alternate", re.IGNORECASE)
"""Mistral's models take no user's message behind the answers to native calls, which is where the masks are
shown; nothing but another way of calling helps."""

TOO_LONG = re.compile(
    r"context_length_exceeded|maximum (context|model|prompt) length|context (length|window|size)"
    r"|prompt is too long|too many tokens|exceeds? the (available|model)"
    r"|at most [1-9]\d* image|too many images",
    re.IGNORECASE,
)

UNPARSED = re.compile(
    r"failed to parse input at pos|the model produced output that does not match"
    r"|error parsing tool call|failed to parse (xml|json): |xml syntax error|expected element type"
    r"|invalid character .+ (after|in|looking for) |unexpected end of json input|json: cannot unmarshal"
    r"|empty function name|mismatched arg_key|expected '(call:' prefix|\{' in tool call)|tool '.*' not found"
    r"|repair failed to produce valid json",
    re.IGNORECASE,
)
"""How llama.cpp (first line) and Ollama say that they cannot read a model's call; asked again, it may write
another. Ollama hands on what its parser of JSON or XML says, often without a word on a call."""

UNPARSED_CODES = frozenset({"tool_use_failed", "json_validate_failed"})
"""Groq's codes, of a 400, for the same."""


def refusal(
    status: int,
    body: Any,
    *,
    used: Collection[Feature] = (),
    asked: float | None = None,
    name: str = "",
    secrets: Collection[str] = (),
) -> Failure:
    """An error answer as a `Failure`.

    Args:
        status: HTTP status, or the one that a 200 names inside.
        body: of the answer: JSON, text or nothing.
        used: features that the request used.
        asked: seconds that the server asks to wait.
        name: of the client's own exception, for the message.
        secrets: not to be repeated.
    """
    message, code = _words(body)
    said = plain(f"{name} {status} {code}: {message}" if message else f"{name} {status} {code}", secrets)
    # Before all else: what follows in such a message are the model's words.
    if code in UNPARSED_CODES or (status == 500 and UNPARSED.match(message)):
        return Failure(Trouble.broken, said, status=status, code=plain(code, secrets))
    if status in (400, 422) and ECHOED.search(message):
        return Failure(Trouble.echoed, said, status=status, code=plain(code, secrets))
    if status == 400:
        status = 401 if WRONG_KEY.search(message) else 402 if code in NO_MONEY else 400
    feature = _lacking(status, f"{code} {message}", used)
    trouble = Trouble.final
    if feature is None and code not in NO_MONEY:
        trouble = _trouble(status, message)
    return Failure(trouble, said, status=status, code=plain(code, secrets), asked=asked, feature=feature)


def is_filtered(failure: Failure) -> bool:
    """Whether a filter took offence at the request: a reply of its own kind, not a fault of the endpoint."""
    flagged = failure.code == "invalid_prompt" and "policy" in str(failure)
    return failure.code in FILTERED or flagged


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `Retry-After` (or OpenAI's `retry-after-ms`) asks to wait; None where nothing sensible is.

    Args:
        headers: with names in any case, if it is a mapping that knows about that.
        now: seconds since the epoch, for the form that is a date (RFC 9110, 10.2.3).
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
            except (ValueError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _words(body: Any) -> tuple[str, str]:
    """Message and code of an error body, whatever its shape."""
    if isinstance(body, list) and body:  # Gemini's
        body = body[0]
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | str):
        body = body["error"]
    if isinstance(body, str):
        return ("", "") if body.lstrip().startswith("<") else (body, "")
    if not isinstance(body, Mapping):
        return "", ""
    message = next((body[key] for key in ("message", "detail", "error") if body.get(key)), "")
    code = next((body[key] for key in ("code", "type", "status") if isinstance(body.get(key), str)), "")
    said = message if isinstance(message, str) else repr(message)
    behind = body.get("metadata")  # OpenRouter's: what the provider or the moderator behind it said
    behind = behind if isinstance(behind, Mapping) else {}
    raw = behind.get("raw")
    if "flagged_input" in behind:
        code = "content_filter"
    return f"{said}: {raw}" if isinstance(raw, str) and raw else said, code


def _lacking(status: int, words: str, used: Collection[Feature]) -> Feature | None:
    """The feature that an error is about, if it says so: local servers with 500, OpenRouter with 404."""
    if status in (401, 403, 408, 409, 429, 502, 503, 504):
        return None
    if status == 413 or TOO_LONG.search(words):
        return Feature.context
    if Feature.tools in used and AFTER_A_TOOL.search(words):
        return Feature.tools
    # Where one form is refused in favour of another API, leaving tools out is not what is asked for.
    if "/v1/responses" in words or not REFUSING_WORDS.search(words):
        return None
    return next(
        (one for one, pattern in FEATURE_WORDS.items() if one in used and pattern.search(words)), None
    )


def _trouble(status: int, message: str) -> Trouble:
    if status in (408, 409, 429):
        return Trouble.busy
    if status in (503, 529):
        return Trouble.overloaded
    if status >= 500:
        return Trouble.server_error
    if status in (400, 422) and "max_completion_tokens" in message and "too large" not in message:
        return Trouble.misnamed
    return Trouble.final
