"""The baseline: the query as the text prompt, once. What SAM 3 does alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskpilot.agent.policy import Observation
from maskpilot.tools.actions import MAX_PHRASE
from maskpilot.types import Decision, ToolCall

__all__ = ["OneShot"]


class OneShot:
    """Sets the query as the phrase and takes what comes; a query too long for a phrase is cut at a word."""

    description: Mapping[str, Any] = {"name": "one_shot"}

    def decide(self, observation: Observation) -> Decision:
        if observation.steps:
            reason = "one shot: taken as it came"
            return Decision((ToolCall("finish", {"verdict": "best_effort", "reason": reason}),))
        return Decision((ToolCall("set_text_prompt", {"text": _phrase(observation.query)}),))


def _phrase(query: str) -> str:
    phrase = " ".join(query.split())
    if len(phrase) <= MAX_PHRASE:
        return phrase
    cut = phrase[: MAX_PHRASE + 1]
    return cut.rsplit(" ", 1)[0][:MAX_PHRASE]
