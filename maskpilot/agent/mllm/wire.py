"""A model behind an OpenAI-compatible endpoint, over Chat Completions or the Responses API."""

from __future__ import annotations

import logging
import random
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, Self

from maskpilot.agent.mllm import chat
from maskpilot.agent.mllm.advice import endpoint_error
from maskpilot.agent.mllm.client import FORMS, Client
from maskpilot.agent.mllm.endpoint import Endpoint
from maskpilot.agent.mllm.exchange import CallStyle, Reply, ReplyEnd, Request
from maskpilot.agent.mllm.failures import EndpointError, Failure, Feature, Trouble, plain
from maskpilot.agent.mllm.pictures import Pictures
from maskpilot.agent.mllm.prices import Prices
from maskpilot.agent.mllm.reading import Broken
from maskpilot.agent.mllm.refusals import is_filtered
from maskpilot.agent.mllm.retry import Patience, Persistence
from maskpilot.errors import InvalidInput
from maskpilot.types import Usage

__all__ = ["API", "OpenAIWire"]

log = logging.getLogger(__name__)

API = Literal["auto", "chat", "responses"]


class OpenAIWire:
    """Talks to one model at one endpoint. Safe to share between sessions in threads; close it at the end.

    Args:
        model: its name at the endpoint.
        base_url: of the API, with its version; default `OPENAI_BASE_URL`, else OpenAI's own.
        api_key: default `OPENAI_API_KEY`. Endpoints other than OpenAI's may need none.
        key_name: the environment variable that the key is from, for what errors advise.
        api: "auto" is the Responses API at OpenAI itself, where new models refuse tools together with
            reasoning on Chat Completions, and Chat Completions everywhere else.
        prices: for the cost of a reply; without them it has none.
        patience: how long to go on with a request.
        max_tokens: of a reply, reasoning included, where the request does not say.
        temperature, reasoning_effort: sent where given; some models refuse the one or the other.
        detail: of pictures ("low", "high", "auto"), where the endpoint knows that.
        extra: further parameters of the API, for what only one endpoint knows.
        clock, sleep, jitter: time and chance; for tests.

    Raises:
        InvalidInput: no model, no key where one is needed, or a key or base URL that cannot be used.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        key_name: str = "OPENAI_API_KEY",
        api: API = "auto",
        prices: Prices | None = None,
        patience: Patience | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        reasoning_effort: str | None = None,
        detail: str | None = None,
        extra: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not model.strip():
            raise InvalidInput("no model is named; pass --model or set MASKPILOT_MODEL")
        if api not in ("auto", "chat", "responses"):
            raise InvalidInput(f"api: expected auto, chat or responses, got {api!r}")
        endpoint = Endpoint.of(base_url, api_key, key_name)
        self.model = model
        self.base_url = endpoint.shown
        self.api = ("responses" if endpoint.is_openai else "chat") if api == "auto" else api
        self._endpoint, self._key_name = endpoint, key_name
        self._client = Client(endpoint)
        self._close = weakref.finalize(self, self._client.close)
        self._form = FORMS[self.api]
        self._prices = prices
        self._patience = patience or Patience()
        self._max_tokens = max_tokens
        self._long_limit_name = endpoint.limits_completion
        self._takes_thoughts = True
        self._temperature = temperature
        self._effort = reasoning_effort
        self._detail = detail
        self._extra = dict(extra or {})
        self._pictures = Pictures()
        self._clock, self._sleep, self._jitter = clock, sleep, jitter

    def __repr__(self) -> str:
        return f"OpenAIWire({self.model!r}, base_url={self.base_url!r}, api={self.api!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; what is sent after that fails."""
        self._close()

    @property
    def description(self) -> Mapping[str, Any]:
        """Endpoint, model, API and settings; never a key.

        Of `extra` the names alone: what it holds is for the endpoint, and may be as secret as a key.
        """
        settings = {
            "max_tokens": self._max_tokens,
            "temperature": self._temperature,
            "reasoning_effort": self._effort,
            "detail": self._detail,
            "extra": sorted(self._extra) or None,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        return {"model": self.model, "base_url": self.base_url, "api": self.api, **given}

    def models(self) -> tuple[str, ...]:
        """Names of the models that the endpoint lists, asked for once.

        Raises:
            EndpointError: it cannot be asked, or does not list them.
        """
        try:
            return tuple(self._client.models(min(self._patience.timeout, 30.0)))
        except Failure as failure:
            raise self._error(failure, attempts=1) from failure

    def send(self, request: Request) -> Reply:
        """Send a request, again where that can help.

        Raises:
            Unsupported: the endpoint or the model lacks a feature that the request used.
            OutOfTime: no usable reply in the time given.
            EndpointError: it refuses for good, or only ever answers what is no reply.
        """
        started = self._clock()
        seconds = self._patience.seconds if request.seconds is None else request.seconds
        deadline = started + min(seconds, self._patience.seconds)
        persistence = Persistence(
            self._patience, deadline, clock=self._clock, sleep=self._sleep, jitter=self._jitter
        )
        try:
            reply = persistence.run(lambda: self._attempt(request, deadline))
        except Failure as failure:
            spent = self._priced(persistence.spent, request, started)
            if is_filtered(failure):
                log.warning("the request was filtered: %s", failure)
                return Reply(end=ReplyEnd.filtered, usage=spent)
            raise self._error(
                failure,
                attempts=persistence.attempts,
                out_of_time=persistence.out_of_time,
                impatient=request.seconds is None or request.seconds > self._patience.seconds,
                usage=spent,
            ) from failure
        return replace(reply, usage=self._priced(reply.usage + persistence.spent, request, started))

    def _attempt(self, request: Request, deadline: float) -> Reply:
        seconds = min(self._patience.timeout, deadline - self._clock())
        if seconds <= 0:
            raise Failure(Trouble.timed_out, "no time is left for a request")
        body = self._form.body(request, self._pictures, detail=self._detail)
        long_name = self._long_limit_name
        body |= self._settings(request, long_name)
        if self.api == "chat" and not self._takes_thoughts:
            body = chat.without_reasoning(body)
        try:
            data = self._client.send(self.api, body, self._extra, seconds, _used(request))
        except Failure as error:
            if error.trouble is Trouble.misnamed:  # some servers know the one name alone, some the other
                self._long_limit_name = not long_name
            if error.trouble is Trouble.echoed:
                self._takes_thoughts = False
            raise
        try:
            return _judged(self._form.read(data, len(request.messages)), self._limit(request))
        except Broken as error:
            said = plain(str(error), self._endpoint.secrets)
            raise Failure(Trouble.broken, said, status=200, usage=self._form.usage(data)) from None

    def _limit(self, request: Request) -> int | None:
        return self._max_tokens if request.max_tokens is None else request.max_tokens

    def _settings(self, request: Request, long_name: bool) -> dict[str, Any]:
        """Model, limit and the like, as the API calls them."""
        is_chat = self.api == "chat"
        settings: dict[str, Any] = {"model": self.model}
        limit = self._limit(request)
        if limit is not None:
            chat_name = "max_completion_tokens" if long_name else "max_tokens"
            settings[chat_name if is_chat else "max_output_tokens"] = limit
        if self._temperature is not None:
            settings["temperature"] = self._temperature
        if self._effort is not None:
            effort = (
                {"reasoning_effort": self._effort} if is_chat else {"reasoning": {"effort": self._effort}}
            )
            settings |= effort
        return settings

    def _priced(self, usage: Usage, request: Request, started: float) -> Usage:
        """With pictures, seconds and cost of the whole exchange; no cost where no tokens are reported."""
        pictures = sum(len(message.pictures) for message in request.messages)
        return replace(
            usage,
            images=pictures * usage.calls,
            seconds=self._clock() - started,
            cost=self._prices.cost(usage) if self._prices is not None and usage.tokens else None,
        )

    def _error(self, failure: Failure, **circumstances: Any) -> EndpointError:
        return endpoint_error(
            failure, model=self.model, base_url=self.base_url, key_name=self._key_name, **circumstances
        )


def _judged(reply: Reply, limit: int | None) -> Reply:
    """Words that fill all the room there was were cut off, even where the server calls them complete."""
    full = limit is not None and reply.usage.completion_tokens >= limit
    if full and not reply.calls and reply.end is ReplyEnd.complete:
        return replace(reply, end=ReplyEnd.truncated)
    return reply


def _used(request: Request) -> frozenset[Feature]:
    """Features that a request uses, and that an endpoint may lack."""
    used = set()
    if request.style is CallStyle.native and request.tools:
        used.add(Feature.tools)
    if request.style is CallStyle.schema and request.schema is not None:
        used.add(Feature.schema)
    if any(message.pictures for message in request.messages):
        used.add(Feature.images)
    return frozenset(used)
