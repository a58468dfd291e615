"""What was said so far, kept so that providers' prompt caches hit.

A cache holds a prompt's exact beginning, so a history must only ever grow at its end; pictures, on the other
hand, are most of a prompt, and old ones say nothing any more. Both at once is not to be had. So: the system
message and the first message, which holds the image, never change. Observations gather their pictures until
`keep + spare` of them have some; then all but the latest `keep` become a line of text at one stroke, once and
for all. In between, every request begins with the whole of the one before, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maskpilot.agent.mllm.exchange import Message, Reply, Role
from maskpilot.agent.mllm.messages import Shown

__all__ = ["Conversation"]

MAX_ECHO = 4000
"""Characters of a reply's text that are sent back to the model that wrote it."""

ANSWERED = "Done; the result is in the next message."


@dataclass(frozen=True, eq=False)
class _Entry:
    """A message, and what stands for it when its pictures go; None where it stays as it is."""

    message: Message
    line: str | None = None
    overlay: bool = False
    observed: bool = False


class Conversation:
    """Grows by observations and replies.

    Args:
        system: the system message.
        keep: at least this many of the latest observations keep their pictures, and the latest overlay.
        spare: as many more may gather.
    """

    def __init__(self, system: str, *, keep: int, spare: int) -> None:
        self._keep, self._spare = keep, spare
        self._entries = [_Entry(Message(Role.system, system))]

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(entry.message for entry in self._entries)

    @property
    def is_new(self) -> bool:
        """Nothing but the system message was said."""
        return len(self._entries) == 1

    def begin(self, message: Message) -> None:
        """The first message, which stays whole."""
        self._entries.append(_Entry(message))

    def recall(self, lines: Sequence[str]) -> None:
        """Rounds that another conversation was about, in a session that is gone on with."""
        self._entries.append(_recalled(lines))

    def observe(self, shown: Shown) -> None:
        message = Message(Role.user, shown.text, shown.pictures)
        line = shown.line if shown.pictures else None
        self._entries.append(_Entry(message, line, shown.overlay, observed=True))
        if len(self._with_pictures()) > self._keep + self._spare:
            self._strip(self._keep)

    def say(self, text: str) -> None:
        """Words without pictures, such as a nudge."""
        self._entries.append(_Entry(Message(Role.user, text)))

    def answer(self, reply: Reply) -> None:
        """The model's reply, and a word on each of its native calls: every one must be answered."""
        if reply.calls:
            message = Message(Role.assistant, reply.text[:MAX_ECHO], calls=reply.calls, echo=reply.echo)
        else:
            # Some servers refuse an empty message or two users' messages in a row.
            message = Message(Role.assistant, reply.text.strip()[:MAX_ECHO] or "(no words)")
        self._entries.append(_Entry(message))
        for call in reply.calls:
            self._entries.append(_Entry(Message(Role.tool, ANSWERED, call_id=call.id, tool=call.name)))

    def retell(self, system: str) -> None:
        """Begin anew under another system message, with native calls told as text: for another call style."""
        self._entries[0] = _Entry(Message(Role.system, system))
        told = []
        for entry in self._entries:
            message = entry.message
            if message.role is Role.tool:
                continue
            if message.calls:
                names = ", ".join(call.name for call in message.calls)
                words = f"{message.text}\n[called {names}]".strip()
                entry = replace(entry, message=Message(Role.assistant, words))  # noqa: PLW2901
            told.append(entry)
        self._entries = told

    def shorten(self, rounds: Sequence[str]) -> bool:
        """Leave out what a model with little room can do without: all pictures but the latest, and where
        these are gone, all that was said before the latest overlay.

        Args:
            rounds: a line on each one, which then stands for what was said.

        Returns:
            whether there was anything to leave out.
        """
        before = len(self._with_pictures())
        self._strip(1)
        return len(self._with_pictures()) < before or self._begin_anew(rounds)

    def _begin_anew(self, rounds: Sequence[str]) -> bool:
        observed = [index for index, entry in enumerate(self._entries) if entry.observed]
        overlays = [index for index in observed if self._entries[index].overlay]
        latest = min([*observed[-1:], *overlays[-1:]], default=0)
        head = [*self._entries[:2], _recalled(rounds)]
        if latest <= len(head):
            return False
        self._entries = [*head, *self._entries[latest:]]
        return True

    def _with_pictures(self) -> list[int]:
        return [
            index
            for index, entry in enumerate(self._entries)
            if entry.line is not None and entry.message.pictures
        ]

    def _strip(self, keep: int) -> None:
        pictured = self._with_pictures()
        overlays = [index for index in pictured if self._entries[index].overlay]
        staying = {*pictured[-keep:], *overlays[-1:]}
        for index in pictured:
            if index not in staying:
                entry = self._entries[index]
                message = Message(Role.user, entry.line or "")
                self._entries[index] = _Entry(message)


def _recalled(rounds: Sequence[str]) -> _Entry:
    """Rounds of which nothing else is told any more."""
    return _Entry(Message(Role.assistant, "\n".join(rounds)))
