"""A wire to the faulty server, on a clock that does not wait."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from maskpilot.agent.mllm.exchange import Message, Reply, Request, Role
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.testing import FaultyServer, Says, Seen
from maskpilot.testing.server import Turn
from maskpilot.tools import tool_spec

CANARY = "sk-canary-0123456789abcdef"
CALL = Says("I see two cups.", (("set_threshold", {"value": 0.4, "rating": 50}),))
PICTURE = Image.effect_noise((40, 30), 80).convert("RGB")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def request(*more: Message, **options: Any) -> Request:
    messages = (
        Message(Role.system, "You pilot a segmenter."),
        Message(Role.user, "Find the cups.", pictures=(PICTURE,)),
        *more,
    )
    return Request(messages, **{"tools": (tool_spec("set_threshold"),), **options})


@contextmanager
def wired(
    turns: Sequence[Turn] | Callable[[Seen], Turn], api: str = "chat", **options: Any
) -> Iterator[tuple[OpenAIWire, FaultyServer, Clock]]:
    """A wire to a server with a script, which must be used up."""
    clock = Clock()
    given: dict[str, Any] = {
        "api_key": CANARY,
        "api": api,
        "clock": clock,
        "sleep": clock.sleep,
        "jitter": lambda: 0.0,
        **options,
    }
    with FaultyServer(turns) as server, OpenAIWire("m1", base_url=server.url, **given) as wire:
        yield wire, server, clock
    assert server.is_used_up


def sent(turns: Sequence[Turn], api: str = "chat", asked: Request | None = None, **options: Any) -> Reply:
    """The reply to one request."""
    with wired(turns, api, **options) as (wire, _, _):
        return wire.send(asked or request())


def body_of(asked: Request, api: str = "chat", **options: Any) -> Any:
    """The JSON that one request is sent as."""
    with wired([CALL], api, **options) as (wire, server, _):
        wire.send(asked)
        return server.bodies[0]
