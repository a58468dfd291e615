"""A multimodal LLM decides: it is told and shown where the session stands, and answers with tool calls."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from maskpilot.agent.mllm.asking import Asking
from maskpilot.agent.mllm.coordinates import call_in_pixels
from maskpilot.agent.mllm.endpoint import shown_url
from maskpilot.agent.mllm.exchange import Message, Reply, ReplyEnd, Wire
from maskpilot.agent.mllm.failures import Unreadable
from maskpilot.agent.mllm.memory import SHARED, Memory
from maskpilot.agent.mllm.second_look import MAX_OBJECTIONS
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.spending import Meter
from maskpilot.agent.mllm.styles import Read
from maskpilot.agent.mllm.talk import Talk, family_for
from maskpilot.agent.policy import Observation
from maskpilot.agent.turn import take_turn
from maskpilot.errors import BudgetReached, InvalidCall, PolicyError
from maskpilot.prompts import load_prompt, prompt_names
from maskpilot.tools import SessionState
from maskpilot.types import Decision, Seen, SeenPicture, Stop, Verdict

__all__ = ["MllmPolicy", "policy_settings"]

log = logging.getLogger(__name__)

MAX_THOUGHT = 8000
NO_CALL = "no tool call was found in the reply; answer with a tool call"
CUT_OFF = "the reply was cut off; say less and call the tools at once"
UNREADABLE = "the endpoint sent no readable reply; answer with a plain tool call"


def policy_settings(settings: MllmSettings) -> dict[str, Any]:
    """What makes a run with a model repeatable, as plain JSON data.

    What it costs and where the key lies are no part of it, nor is what may be as secret as a key: the values
    of `extra` and the query of an address.
    """
    url = settings.base_url
    plain = {**asdict(settings), "base_url": url and shown_url(url), "extra": sorted(settings.extra)}
    asked = {name: value for name, value in plain.items() if not name.startswith(("price_", "api_key"))}
    prompts = {name: load_prompt(name).sha256 for name in prompt_names()}
    return {"name": "mllm", **asked, "prompts": prompts}


class MllmPolicy:
    """Lets a model pilot one session.

    Nothing that the model says raises: what cannot be used comes back to it as a problem. An endpoint that
    refuses for good, or fails with every attempt, does, in the middle of a session as at its beginning.

    Args:
        wire: to the model; may be shared between sessions.
        settings: how to ask it.
        memory: what is known of it, shared between the sessions of a process by default.
        clock: seconds; for tests.
    """

    def __init__(
        self,
        wire: Wire,
        settings: MllmSettings,
        *,
        memory: Memory = SHARED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._memory = memory
        self._clock = clock
        self._meter = Meter(settings.prices)
        self._talk: Talk | None = None

    @property
    def description(self) -> Mapping[str, Any]:
        family = family_for(self._settings, self._memory)
        return {
            "name": "mllm",
            "wire": dict(self._wire.description),
            "family": family.name,
            "coords": family.convention.name,
            "call_style": self._settings.call_style,
            "verify": self._settings.verify,
            "rulers": self._settings.rulers,
            "prompts": {name: load_prompt(name).sha256 for name in prompt_names()},
        }

    def decide(self, observation: Observation) -> Decision:
        if self._talk is None:
            self._talk = Talk(self._settings, self._memory, observation)
        talk = self._talk
        asking = Asking(self._wire, self._meter, observation.left, self._settings.reply_tokens, self._clock)
        seen = _seen(talk.tell(observation))
        try:
            decision = self._asked(talk, asking, observation)
        except KeyboardInterrupt as interrupt:
            raise BudgetReached(Stop.interrupted, usage=asking.usage) from interrupt
        except PolicyError as error:
            error.usage = asking.usage  # with what was asked before in this decision
            raise
        return replace(decision, usage=asking.usage, seen=seen)

    def _asked(self, talk: Talk, asking: Asking, observation: Observation) -> Decision:
        """A decision in as many requests as it takes; what they cost is with `asking`, whatever happens."""
        try:
            reply, read = talk.ask(asking)
        except BudgetReached as reached:
            if not asking.usage.calls:
                raise
            return Decision(problems=(str(reached),))
        except Unreadable as error:
            if error.status == 200 and not observation.steps:  # perhaps it is no model's address at all
                raise
            log.warning("%s", error)
            talk.note_unreadable()
            return Decision(problems=(UNREADABLE,))
        return self._looked_at_again(talk, asking, observation, self._decision(talk, reply, read))

    def _decision(self, talk: Talk, reply: Reply, read: Read) -> Decision:
        thought = "\n".join(filter(None, (reply.reasoning, reply.text)))[:MAX_THOUGHT]
        if reply.end in {ReplyEnd.refused, ReplyEnd.filtered}:
            return Decision(thought=thought or reply.end.value, refused=True)
        calls, problems = [], list(read.problems)
        for call in read.calls:
            try:
                calls.append(call_in_pixels(call, talk.frame))
            except InvalidCall as error:
                problems.append(str(error))
        # In words, what follows `finish` does not count; among native calls an earlier one may be what lacks.
        is_over = not reply.calls and any(call.name == "finish" for call in calls)
        if reply.end is ReplyEnd.truncated and not is_over:
            problems.append(CUT_OFF)
        elif not read.calls and not problems:
            problems.append(NO_CALL)
        return Decision(tuple(calls), thought, read.rating, problems=tuple(problems))

    def _looked_at_again(
        self, talk: Talk, asking: Asking, observation: Observation, decision: Decision
    ) -> Decision:
        """With the objections of a second look, where this is a `finish` that calls for one."""
        if not self._settings.verify or decision.refused or observation.left.max_rounds == 1:
            return decision
        turn = take_turn(observation.state, decision, observation.tools)
        # From the steps alone, so that a session which another process began goes on as it would have.
        objected = [
            (step.prompts, step.locked, step.dropped)
            for step in observation.steps
            if step.decision.objections
        ]
        if turn.verdict is not Verdict.complete or len(objected) >= MAX_OBJECTIONS:
            return decision
        if _as_told(turn.state) in objected:  # the model was told, and says that it is right
            return decision
        try:
            opinion = talk.second_look(asking, observation, turn.state)
        except (BudgetReached, PolicyError) as error:
            log.warning("no second look: %s", error)
            return replace(decision, unchecked=str(error))
        objections = (opinion.objection,) if opinion.objection else ()
        return replace(decision, objections=objections, unchecked=opinion.lacking)


def _as_told(state: SessionState) -> tuple[object, ...]:
    """A state as a step records it."""
    locked, dropped = ((one.id for one in ids) for ids in (state.locked, state.dropped))
    return state.prompts, tuple(sorted(locked)), tuple(sorted(dropped))


def _seen(message: Message) -> Seen:
    pictures = (
        SeenPicture(hashlib.sha256(picture.tobytes()).hexdigest(), picture.width, picture.height)
        for picture in message.pictures
    )
    return Seen(message.text, tuple(pictures))
