"""Which endpoint, and the key to it: read from arguments and environment, checked before anything is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from maskpilot.agent.mllm.failures import plain
from maskpilot.errors import InvalidInput

__all__ = ["SHORTEST_SECRET", "Endpoint", "shown_url"]

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_HOSTS = ("api.openai.com", ".openai.azure.com")

SHORTEST_SECRET = 8
"""Characters; what is shorter is a word that a local server takes for a key."""
SECRET_NAME = re.compile(r"key|token|secret|sig|auth|code", re.IGNORECASE)
"""Names of a query's parameters that hold what nobody else may know; `api-version` is none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint.

    Attributes:
        url: of the API, with its version; may hold a query.
        key: a secret; empty where none is known.
    """

    url: str
    key: str = field(repr=False)

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None, key_name: str) -> Endpoint:
        """What was given, else `OPENAI_BASE_URL` and `OPENAI_API_KEY`, else OpenAI itself.

        `key_name` is the environment variable that the key is from, for what errors advise.

        Raises:
            InvalidInput: no key where one is needed, or a URL or key that cannot be used.
        """
        url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).strip()
        key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        endpoint = cls(_checked_url(url, key_name), _checked_key(key, key_name))
        if not endpoint.key and endpoint.is_openai:
            raise InvalidInput(
                "no API key: set OPENAI_API_KEY, or name another endpoint with --base-url or OPENAI_BASE_URL"
            )
        return endpoint

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own, those of a region (eu.api.openai.com) included."""
        own = urlsplit(OPENAI_URL).hostname or ""
        host = urlsplit(self.url).hostname or ""
        return host == own or host.endswith(f".{own}")

    @property
    def limits_completion(self) -> bool:
        """Whether the limit of a reply is called `max_completion_tokens` there.

        OpenAI's newer models refuse `max_tokens`, most other servers do not know the longer name.
        """
        return (urlsplit(self.url).hostname or "").endswith(OPENAI_HOSTS)

    @property
    def query(self) -> Mapping[str, str]:
        """The URL's query, to be sent with every request (Azure's `api-version`)."""
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def shown(self) -> str:
        """The URL without its query; what is asked for is below it."""
        return shown_url(self.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated. A key of a few letters is a local server's "EMPTY" or "ollama"."""
        in_query = (value for name, value in self.query.items() if SECRET_NAME.search(name))
        return tuple(secret for secret in (self.key, *in_query) if len(secret) >= SHORTEST_SECRET)


def shown_url(url: str) -> str:
    """A URL as it may be shown: without user, password and query, where keys are put at times.

    What is no URL is not shown at all.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _checked_url(url: str, key_name: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput(
            f"base URL: expected one like http://localhost:8000/v1, got {plain(url)!r}; see --base-url"
        )
    if "@" in parts.netloc:
        raise InvalidInput(
            f"base URL {shown_url(url)}: holds a user name or password; put the key into {key_name}"
        )
    return url


def _checked_key(key: str, key_name: str) -> str:
    """What a header cannot hold is refused here: later it would be quoted in an error."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidInput(
            "the API key holds characters that no key has (a space, a line break, or not ASCII); "
            f"copy it into {key_name} again"
        )
    return key
