"""What a request will cost, before it is sent."""

from __future__ import annotations

import json

from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, Request
from maskpilot.agent.mllm.prices import MILLION, Prices
from maskpilot.errors import BudgetReached
from maskpilot.types import Budget, Stop, Usage

__all__ = ["Meter", "estimated_tokens"]

CHARACTERS_PER_TOKEN = 3.5
PIXELS_PER_TOKEN = 750
"""A picture of w x h pixels takes about w * h / 750 tokens (Claude's rule); others take fewer."""

TOKENS_PER_MESSAGE = 6
LEAST_REPLY = 128
"""A reply with less room than this is not worth asking for."""

SCALES = (0.5, 30.0)
"""Least and most times the estimate that a prompt is believed to take; GPT-4o mini counts tens of thousands
of tokens for one picture."""


def estimated_tokens(request: Request) -> int:
    """Prompt tokens of a request: characters / 3.5, and pictures by their size."""
    characters = sum(_characters(message) for message in request.messages)
    if request.style is CallStyle.native and request.tools:
        told = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
        characters += len(json.dumps(told))
    if request.schema is not None:
        characters += len(json.dumps(request.schema))
    pixels = sum(
        picture.width * picture.height for message in request.messages for picture in message.pictures
    )
    written = characters / CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)
    return round(written + pixels / PIXELS_PER_TOKEN)


class Meter:
    """Estimates requests, and learns from what they turned out to take.

    What an endpoint does not report is estimated, so that limits hold there too; it is billed to nobody.
    """

    def __init__(self, prices: Prices | None) -> None:
        self._prices = prices
        self._scale = 1.0
        self._unreported = Usage()

    def room(self, request: Request, left: Budget, spent: Usage, wanted: int) -> int:
        """Tokens that the reply may take at most, so that the request stays within what is left.

        Args:
            request: to be sent.
            left: at the start of the round.
            spent: since then.
            wanted: as many as it would get without a limit.

        Raises:
            BudgetReached: the prompt alone, or with a minimal reply, would break a limit.
        """
        prompt = self._scale * estimated_tokens(request)
        room = float(wanted)
        if left.max_tokens is not None:
            room = min(room, left.max_tokens - spent.tokens - self._unreported.tokens - prompt)
            if room < min(wanted, LEAST_REPLY):
                raise BudgetReached(Stop.max_tokens)
        if left.max_cost is not None and self._prices is not None:
            paid = (spent.cost or 0.0) + self._prices.cost(self._unreported)
            rest = (left.max_cost - paid) * MILLION - prompt * self._prices.input
            least = min(room, LEAST_REPLY) * self._prices.output
            if rest < least:
                raise BudgetReached(Stop.max_cost)
            if self._prices.output:
                room = min(room, rest / self._prices.output)
        return int(room)

    def learn(self, request: Request, reply: Reply) -> None:
        """Take in what one request really took."""
        usage = reply.usage
        if not usage.tokens:
            written = round((len(reply.text) + len(reply.reasoning)) / CHARACTERS_PER_TOKEN)
            self._unreported += Usage(prompt_tokens=estimated_tokens(request), completion_tokens=written)
        if usage.calls == 1 and usage.prompt_tokens:
            scale = usage.prompt_tokens / max(1, estimated_tokens(request))
            self._scale = min(max(scale, SCALES[0]), SCALES[1])


def _characters(message: Message) -> int:
    return len(message.text) + sum(
        len(call.name) + len(json.dumps(dict(call.arguments), default=repr)) for call in message.calls
    )
