"""A second look: fresh eyes, without the history, on what the model wants to finish with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from maskpilot.agent.mllm.calls import first_object
from maskpilot.agent.mllm.coordinates import Frame
from maskpilot.agent.mllm.exchange import CallStyle, Message, Request, Role
from maskpilot.agent.mllm.messages import listed, masks_text, overlay_pictures
from maskpilot.agent.policy import Observation
from maskpilot.prompts import load_prompt
from maskpilot.render import LEGEND
from maskpilot.tools import SessionState
from maskpilot.trajectory import Changes

__all__ = ["MAX_OBJECTIONS", "Opinion", "opinion_of", "second_look"]

MAX_OBJECTIONS = 2
"""How often a session may be sent back to work by a second look."""

MAX_MISSED = 8
MAX_WORDS = 200

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "wrong_ids": {"type": "array", "items": {"type": "integer"}},
        "missed": {"type": "array", "items": {"type": "string"}},
        "why": {"type": "string"},
    },
    "required": ["wrong_ids", "missed", "why"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Opinion:
    """What a second look found; nothing where it is satisfied.

    Attributes:
        wrong: ids of masks.
        missed: objects in words.
        why: in a sentence.
        lacking: why there is no opinion; else empty.
    """

    wrong: tuple[int, ...] = ()
    missed: tuple[str, ...] = ()
    why: str = ""
    lacking: str = ""

    @property
    def objection(self) -> str:
        """In words for the model; empty where there is nothing to object to."""
        found = [
            f"wrong: masks {listed(self.wrong)}" if self.wrong else "",
            f"missed: {'; '.join(self.missed)}" if self.missed else "",
        ]
        if not any(found):
            return ""
        why = f" ({self.why})" if self.why else ""
        return (
            f"finish was put off: a second look found {', '.join(filter(None, found))}{why}. It may err: "
            "check this yourself, mend what is so, then call finish; where nothing is so, call finish again"
        )


def second_look(
    observation: Observation, state: SessionState, picture: Image.Image, frame: Frame, style: CallStyle
) -> Request:
    """The request for one.

    Args:
        observation: that the model answered with `finish`.
        state: as `finish` would leave it.
        picture: the image as it is sent.
        frame: in whose unit coordinates are.
        style: schema, or text where the endpoint knows no schema.
    """
    final = replace(observation, state=state, changes=Changes())
    pictures, _ = overlay_pictures(final, frame, rulers=False)
    task = load_prompt("second_look_task.v1").fill(
        query=observation.query, masks=masks_text(state.shown, frame)
    )
    return Request(
        messages=(
            Message(Role.system, load_prompt("second_look.v1").fill(legend=LEGEND)),
            Message(Role.user, task, (picture, *pictures)),
        ),
        style=style,
        schema=SCHEMA if style is CallStyle.schema else None,
    )


def opinion_of(text: str, state: SessionState) -> Opinion:
    """Read the answer; nonsense is no objection, and no opinion either. Never raises."""
    found = first_object(text, ("wrong_ids", "missed"))
    if found is None:
        return Opinion(lacking="the reply of the second look could not be read")
    wrong, missed, why = found.get("wrong_ids"), found.get("missed"), found.get("why")
    named = {str(one) for one in wrong} if isinstance(wrong, list) else set()
    words = [_in_words(one) for one in missed] if isinstance(missed, list) else []
    return Opinion(
        tuple(sorted(one.id for one in state.shown if str(one.id) in named)),
        tuple(_plain(one) for one in words if one.strip())[:MAX_MISSED],
        _plain(why) if isinstance(why, str) else "",
    )


def _in_words(missed: Any) -> str:
    """A missed object as a sentence, where a server without schemas lets the model make a table of it."""
    if isinstance(missed, Mapping):
        return ", ".join(one for one in missed.values() if isinstance(one, str))
    return missed if isinstance(missed, str) else ""


def _plain(text: str) -> str:
    return " ".join(text.split())[:MAX_WORDS]
