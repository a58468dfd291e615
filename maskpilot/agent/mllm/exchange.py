"""What is said to a model and what comes back, free of any API's own form.

A `Wire` turns a `Request` into one API's JSON and its answer into a `Reply`; everything above it knows only
these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from PIL import Image

from maskpilot.tools import ToolSpec
from maskpilot.types import ToolCall, Usage

__all__ = ["CallStyle", "Message", "Reply", "ReplyEnd", "Request", "Role", "Wire"]


class CallStyle(StrEnum):
    """How the model is to call tools.

    native: the API's own tool calls. schema: `response_format` with a JSON schema of one reply that lists
    its calls. text: `<tool_call>{...}</tool_call>` in the reply's text.
    """

    native = "native"
    schema = "schema"
    text = "text"


class Role(StrEnum):
    """Who speaks. `tool` answers one native call and carries text only: pictures go into a user message."""

    system = "system"
    user = "user"
    assistant = "assistant"
    tool = "tool"


class ReplyEnd(StrEnum):
    """How a reply ended, judged by its content first and by what the server says of it second."""

    complete = "complete"
    truncated = "truncated"
    refused = "refused"
    filtered = "filtered"


@dataclass(frozen=True, eq=False)
class Message:
    """One message.

    Attributes:
        text: its words.
        pictures: RGB, in the order in which they are to be seen; before the words.
        calls: of an assistant's message with native calls.
        call_id, tool: of a tool's message: which call it answers, and of which tool.
        echo: of an assistant's message: what the server sent, to be sent back unchanged (some endpoints
            require fields that nobody else knows). None where the message is our own making.
    """

    role: Role
    text: str = ""
    pictures: tuple[Image.Image, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""
    echo: Any = None


@dataclass(frozen=True, eq=False)
class Request:
    """One request for a reply.

    Attributes:
        messages: the whole conversation, system message first.
        tools: on offer; sent as such in `CallStyle.native` alone.
        style: how they are to be called.
        schema: JSON schema of the reply in `CallStyle.schema`; also for replies that call no tool.
        max_tokens: of the reply; None leaves it to the server.
        seconds: until the wire gives up, all retries included; None for the wire's own limit.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    style: CallStyle = CallStyle.native
    schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Reply:
    """What came back.

    Attributes:
        text: the visible words; empty where there are none.
        reasoning: the hidden ones, where the server shows them.
        calls: native tool calls; arguments that were no JSON object are under the key "" as text.
        end: how it ended.
        usage: of this exchange, failed attempts that were billed included.
        echo: for `Message.echo`.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    end: ReplyEnd = ReplyEnd.complete
    usage: Usage = field(default_factory=Usage)
    echo: Any = None


class Wire(Protocol):
    """Talks to one model at one endpoint."""

    @property
    def description(self) -> Mapping[str, Any]:
        """Endpoint, model, API and settings, for the record; never a key."""
        ...

    def send(self, request: Request) -> Reply:
        """Send a request, again where that can help.

        Raises:
            PolicyError: the endpoint refuses for good, or does not answer in time; the message says what
                to do and holds no key. `maskpilot.agent.mllm.failures` tells the kinds that can be acted on.
        """
        ...
