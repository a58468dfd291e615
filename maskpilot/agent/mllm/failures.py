"""What can go wrong between here and a model's reply.

    PolicyError
    └── EndpointError    the endpoint refuses for good, or only ever answers what cannot be used
        ├── Unsupported  it, or the model, lacks a feature that the request used: ask without it
        ├── Unreadable   what it answers is no reply, or a reply that it cannot read itself
        └── OutOfTime    no usable reply within the time that the request, or the wire's patience, allows

`Failure` is what these are made from and have as their cause: one attempt's outcome, without the client's own
exception, since that one holds the request and with it the key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum

from maskpilot.errors import PolicyError
from maskpilot.types import Usage

__all__ = [
    "EndpointError",
    "Failure",
    "Feature",
    "OutOfTime",
    "Trouble",
    "Unreadable",
    "Unsupported",
    "plain",
]

MAX_SAID = 400
"""Characters of an endpoint's own words that are repeated."""

BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
DATA_URL = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]*")


class Feature(StrEnum):
    """What an endpoint or a model may lack.

    tools: native tool calls. schema: `response_format` with a JSON schema. images: pictures in a message.
    context: room for a conversation as long as this one, or with as many pictures.
    """

    tools = "tools"
    schema = "schema"
    images = "images"
    context = "context"


class Trouble(StrEnum):
    """Kinds of failed attempts; all but `final` are worth another one.

    busy: the server asks to come later (408, 409, 429). overloaded: it cannot just now, or loads the model
    (503, 529). server_error: any other 5xx. no_connection: none, or cut. timed_out: no reply in time.
    broken: a 200 that is no reply, or an error that says that what the model wrote could not be parsed.
    misnamed: a parameter that goes by another name here. echoed: thoughts of the model's, which the server
    sent and does not take back.
    """

    busy = "busy"
    overloaded = "overloaded"
    server_error = "server_error"
    no_connection = "no_connection"
    timed_out = "timed_out"
    broken = "broken"
    misnamed = "misnamed"
    echoed = "echoed"
    final = "final"


class EndpointError(PolicyError):
    """The endpoint refuses for good, or only ever answers what cannot be used.

    Attributes:
        status: HTTP status of the last answer; None where there was none.
        usage: what the failed attempts cost.
    """

    def __init__(self, message: str, *, status: int | None = None, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.usage: Usage = usage or Usage()


class Unsupported(EndpointError):
    """The endpoint or the model lacks a feature that the request used; the same without it may work."""

    def __init__(
        self, message: str, feature: Feature, *, status: int | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(message, status=status, usage=usage)
        self.feature = feature


class Unreadable(EndpointError):
    """What comes back is no reply: a 200 without one, or an error about a call that the model made and the
    server cannot parse, which is the model's doing and not the server's.
    """


class OutOfTime(EndpointError):
    """No usable reply in time, all retries included.

    Attributes:
        impatient: it was the wire's own patience that ended; the request was given more time.
    """

    def __init__(
        self,
        message: str,
        *,
        impatient: bool = False,
        status: int | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message, status=status, usage=usage)
        self.impatient = impatient


class Failure(Exception):
    """One failed attempt.

    Attributes:
        trouble: what kind.
        status: HTTP status, None where there was no answer.
        code: the endpoint's own short name of the error; empty where it gave none.
        asked: seconds that the server asks to wait; None where it does not.
        feature: for `Trouble.final`: what is lacking, where that is the reason.
        usage: what the attempt cost, where that is known.
    """

    def __init__(
        self,
        trouble: Trouble,
        said: str,
        *,
        status: int | None = None,
        code: str = "",
        asked: float | None = None,
        feature: Feature | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(said)
        self.trouble = trouble
        self.status = status
        self.code = code
        self.asked = asked
        self.feature = feature
        self.usage = usage or Usage()


def plain(text: str, secrets: Collection[str] = ()) -> str:
    """An endpoint's words made fit to be repeated: on one line, short, without secrets and pictures.

    What an endpoint says is data from outside: it may hold escape sequences for a terminal, an echo of the
    request with its key, or megabytes.
    """
    text = _without(text, secrets)[: 100 * MAX_SAID]
    text = "".join(" " if char.isspace() else char for char in text)
    text = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
    # Once more: a secret may have been broken up by what was just taken out.
    text = BEARER.sub(r"\1 [key]", DATA_URL.sub("[picture]", _without(text, secrets)))
    text = " ".join(text.split())
    return text if len(text) <= MAX_SAID else text[: MAX_SAID - 1] + "…"


def _without(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[key]")
    return text
