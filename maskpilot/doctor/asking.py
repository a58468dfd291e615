"""Questions to a model, within a time and not for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from PIL import Image

from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, Request, Role
from maskpilot.agent.mllm.failures import Unsupported
from maskpilot.doctor.pictures import code_picture
from maskpilot.errors import PolicyError

__all__ = ["Asking", "Examined", "question", "reading"]

MAX_ERRORS = 2
"""After this many requests in a row that came to nothing, no more are made."""

READ = "Which characters does this picture show? Reply with these characters and nothing else."


class Examined(Protocol):
    """A wire that also lists models, as `OpenAIWire` does."""

    def models(self) -> Sequence[str]: ...

    def send(self, request: Request) -> Reply: ...


@dataclass
class Asking:
    """Sends requests until the time is up or the endpoint has failed too often."""

    wire: Examined
    deadline: float
    clock: Callable[[], float]
    errors: int = 0

    def ask(self, request: Request) -> Reply:
        """Raises:
        PolicyError: no reply, or no use in asking for one.
        """
        if self.errors >= MAX_ERRORS:
            raise PolicyError("not asked: the requests before this one failed")
        left = self.deadline - self.clock()
        if left <= 0:
            raise PolicyError("not asked: the time for all requests together is up")
        try:
            reply = self.wire.send(replace(request, seconds=left))
        except Unsupported:  # an answer too
            self.errors = 0
            raise
        except PolicyError:
            self.errors += 1
            raise
        self.errors = 0
        return reply


def question(text: str, *pictures: Image.Image) -> Request:
    """Words and pictures, without tools."""
    return Request((Message(Role.user, text, pictures),), style=CallStyle.text)


def reading(code: str) -> Request:
    """A small picture of a code, to be read: any model that takes pictures can answer."""
    return question(READ, code_picture(code))
