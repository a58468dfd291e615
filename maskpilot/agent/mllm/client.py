"""The `openai` client at arm's length: one attempt, JSON in, JSON out, every error a `Failure`.

Whatever the client raises holds the request, and that the key; so nothing it raises leaves this file, not
even as a cause.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from maskpilot.agent.mllm import chat, reading, responses
from maskpilot.agent.mllm.endpoint import Endpoint, shown_url
from maskpilot.agent.mllm.exchange import Reply, Request
from maskpilot.agent.mllm.failures import Failure, Feature, Trouble, plain
from maskpilot.agent.mllm.pictures import Pictures
from maskpilot.agent.mllm.refusals import asked_wait, refusal
from maskpilot.types import Usage

__all__ = ["FORMS", "Client"]

LONGEST_CONNECT = 15.0
LARGEST_REPLY = 32 * 2**20
"""Bytes; a reply is a few kB, and an endpoint that talks without end must not fill the memory."""


class Form(Protocol):
    """One API's form of requests and replies; a module each."""

    def body(self, request: Request, pictures: Pictures, *, detail: str | None = None) -> dict[str, Any]: ...

    def read(self, data: Any, turn: int) -> Reply: ...

    def usage(self, data: Any) -> Usage: ...


FORMS: Mapping[str, Form] = {"chat": chat, "responses": responses}

NO_KEY = "none"
"""Sent where no key is known: the client insists on one, local servers do not look at it."""


class Client:
    """Sends single requests to one endpoint; safe to share between threads.

    Redirects are not followed: they would carry pictures and prompts, on the same host the key too, where
    nobody asked for. Proxies of the environment are used, as by every HTTP client.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import openai  # noqa: PLC0415 (heavy, and needed only where a model is asked)

        self._secrets = endpoint.secrets
        key = endpoint.key or NO_KEY
        self._client = openai.OpenAI(
            base_url=endpoint.shown,
            default_query=endpoint.query,  # the client loses one that is in the URL
            api_key=key,
            # Said once more, since OPENAI_CUSTOM_HEADERS may hold a key that is for another endpoint.
            default_headers={"Authorization": f"Bearer {key}"},
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False, verify=_certificates(), event_hooks={"response": [_error_read]}
            ),
        )

    def close(self) -> None:
        self._client.close()

    def models(self, seconds: float) -> list[str]:
        """Names of the models that the endpoint lists, in its order.

        Raises:
            Failure: it lists none, or cannot be asked.
        """
        listed = self._attempt(self._client.models.with_streaming_response.list, seconds)
        found = listed.get("data") if isinstance(listed, Mapping) else listed
        if not isinstance(found, list):
            raise Failure(Trouble.broken, f"expected a list of models, got {reading.kind(found)}")
        names = [one.get("id") for one in found if isinstance(one, Mapping)]
        return [name for name in names if isinstance(name, str)]

    def send(
        self,
        api: str,
        body: Mapping[str, Any],
        extra: Mapping[str, Any],
        seconds: float,
        used: Collection[Feature],
    ) -> Any:
        """One attempt at a reply; its JSON.

        Args:
            api: "chat" or "responses".
            body: what that API calls its parameters.
            extra: further parameters, that the client need not know.
            seconds: for the attempt.
            used: features that the body uses, for the reading of a refusal.

        Raises:
            Failure: there was no reply, or it was no JSON, or an error in a 200's clothes.
        """
        resource = self._client.chat.completions if api == "chat" else self._client.responses
        create: Any = resource.with_streaming_response.create
        data = self._attempt(
            lambda **how: create(**body, extra_body=dict(extra) or None, **how), seconds, used
        )
        if error := _error_in(data):
            failure = self._error_inside(error, used)
            failure.usage = FORMS[api].usage(data)
            raise failure
        return data

    def _attempt(self, call: Callable[..., Any], seconds: float, used: Collection[Feature] = ()) -> Any:
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415

        until = time.monotonic() + seconds
        try:
            with call(timeout=openai.Timeout(seconds, connect=min(seconds, LONGEST_CONNECT))) as response:
                return reading.parsed(_read(response.iter_bytes(), until))
        except openai.APIStatusError as error:
            failure = self._status(error, used)
        except (openai.APITimeoutError, httpx2.TimeoutException):
            failure = Failure(Trouble.timed_out, f"no reply within {seconds:.0f} s")
        except openai.APIConnectionError as error:
            failure = self._no_connection(error.__cause__ or error)
        except httpx2.HTTPError as error:  # while the body was read
            failure = self._no_connection(error)
        except reading.Broken as error:
            failure = Failure(Trouble.broken, plain(str(error), self._secrets), status=200)
        except openai.OpenAIError as error:
            said = plain(f"{type(error).__name__}: {error}", self._secrets)
            failure = Failure(Trouble.final, said)
        except _TooSlow:
            failure = Failure(Trouble.timed_out, f"no whole reply within {seconds:.0f} s")
        raise failure

    def _status(self, error: Any, used: Collection[Feature]) -> Failure:
        headers = error.response.headers
        body = error.body
        if 300 <= error.status_code < 400:
            target = shown_url(headers.get("location", ""))
            body = f"it redirects to {target or 'nowhere'}, which is not followed"
        return refusal(
            error.status_code,
            body,
            used=used,
            asked=asked_wait(headers, time.time()),
            name=type(error).__name__,
            secrets=self._secrets,
        )

    def _error_inside(self, error: Any, used: Collection[Feature]) -> Failure:
        """OpenRouter puts an error of the provider behind it into a 200, the Responses API its own."""
        code = error.get("code") if isinstance(error, Mapping) else None
        named = {"server_error": 500, "rate_limit_exceeded": 429, "vector_store_timeout": 500}
        status = code if isinstance(code, int) and 400 <= code < 600 else named.get(str(code), 400)
        return refusal(status, error, used=used, name="error in a 200,", secrets=self._secrets)

    def _no_connection(self, error: BaseException) -> Failure:
        said = plain(f"{type(error).__name__}: {error}", self._secrets)
        return Failure(Trouble.no_connection, said)


def _error_in(data: Any) -> Any:
    """The error in the clothes of a 200: in place of choices, or in the first one (OpenRouter's)."""
    if not isinstance(data, Mapping):
        return None
    holder, choices = data, data.get("choices")
    if choices:
        holder = choices[0] if isinstance(choices, list) and isinstance(choices[0], Mapping) else {}
        if holder.get("finish_reason") != "error":
            return None
    error = holder.get("error")
    return error if isinstance(error, Mapping | str) else None


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, read once: it takes 40 ms, and every session may have a wire of its own."""
    import httpx2  # noqa: PLC0415

    return httpx2.create_ssl_context()


def _error_read(response: Any) -> None:
    """Read the body of an error here: the client would read it to its end, however long that takes."""
    import httpx2  # noqa: PLC0415

    if response.is_success:
        return
    until = time.monotonic() + response.request.extensions["timeout"]["read"]
    try:
        body = _read(response.iter_raw(), until)
    except _TooSlow:
        raise httpx2.ReadTimeout("the body trickles", request=response.request) from None
    response.stream = httpx2.ByteStream(body)
    response.is_closed = response.is_stream_consumed = False


class _TooSlow(Exception):
    """A body that trickles: each piece in time, the whole not."""


def _read(pieces: Any, until: float) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > LARGEST_REPLY:
            raise reading.Broken(f"expected a reply, got more than {LARGEST_REPLY >> 20} MiB")
        if time.monotonic() > until:
            raise _TooSlow
    return bytes(body)
