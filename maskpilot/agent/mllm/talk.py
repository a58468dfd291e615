"""One session's talk with a model: what it is told, how it is asked, and what happens when it calls nothing.

With `auto`, tools are offered natively at first. Evidence against that (the endpoint refuses, the model talks
without calling, calls stand in its text) leads on to a JSON schema and to text; what worked is remembered.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from PIL import Image

from maskpilot.agent.mllm.asking import Asking
from maskpilot.agent.mllm.conversation import Conversation
from maskpilot.agent.mllm.coordinates import Frame
from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, ReplyEnd, Request, Role
from maskpilot.agent.mllm.failures import Feature, Unsupported
from maskpilot.agent.mllm.families import Family, family_of, sent_size
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.messages import observation_message, resized, round_line, start_message
from maskpilot.agent.mllm.second_look import Opinion, opinion_of, second_look
from maskpilot.agent.mllm.settings import AUTO, MllmSettings
from maskpilot.agent.mllm.styles import FORMS, NEXT_STYLE, Read, offer, read_reply, reply_schema, system_text
from maskpilot.agent.policy import Observation
from maskpilot.prompts import load_prompt
from maskpilot.tools import SessionState

__all__ = ["Talk", "family_for"]

log = logging.getLogger(__name__)


def family_for(settings: MllmSettings, memory: Memory) -> Family:
    """How a model is asked: as the settings say, else as was measured, else by its name."""
    family = family_of(settings.model)
    convention = settings.convention or memory.convention(settings.key)
    if convention is not None:
        family = family.asked_in(convention)
    if settings.max_side is None:
        return family
    return replace(family, max_side=settings.max_side, multiple=min(family.multiple, settings.max_side))


class Talk:
    """A conversation about one image.

    Args:
        settings: how to ask.
        memory: what is known of the model, and where to keep what turns out.
        observation: the session's first; it names the image, the query and the tools.
    """

    def __init__(self, settings: MllmSettings, memory: Memory, observation: Observation) -> None:
        self._settings = settings
        self._memory = memory
        family = family_for(settings, memory)
        size = observation.image.size
        self.frame = Frame(family.convention, size, sent_size(*size, family))
        self._picture = resized(observation.image, self.frame.sent)
        self._tools = offer(observation.tools, family.convention)
        self._may_change = settings.call_style == AUTO
        self._works = False
        self._sure = True
        self._looks_by = CallStyle.schema
        self.style = self._first_style()
        self.conversation = Conversation(
            self._system(), keep=settings.keep_pictures, spare=settings.spare_pictures
        )
        self._drawn: object = None
        self._rounds: list[str] = []

    def tell(self, observation: Observation) -> Message:
        """Add what the model is told of this round.

        Returns:
            the message, for the record.
        """
        self._rounds = [round_line(step) for step in observation.steps]
        if self.conversation.is_new:
            self._begin(observation)
        if not observation.steps:
            return self.conversation.messages[-1]
        drawn = _drawn(observation.state)
        shown = observation_message(
            observation,
            self.frame,
            rulers=self._settings.rulers,
            overlay_needed=drawn != self._drawn,
        )
        self._drawn = drawn
        self.conversation.observe(shown)
        return self.conversation.messages[-1]

    def ask(self, asking: Asking) -> tuple[Reply, Read]:
        """Get the model's calls; where it makes none, nudge it once.

        Raises:
            BudgetReached: a request would break a limit.
            PolicyError: the endpoint cannot be used.
        """
        reply, read = self._exchange(asking)
        if read.problems and not read.calls:
            self._change("a call could not be read")
        if read.calls or read.problems or reply.end is not ReplyEnd.complete:
            return reply, read
        if reply.text.strip():
            self._change("the model talked and called nothing")
        self.conversation.say(load_prompt("nudge.v1").fill(form=FORMS[self.style]))
        reply, read = self._exchange(asking)
        if not (read.calls or read.problems) and reply.end is ReplyEnd.complete:
            self._change("the model was asked twice and called nothing")
        return reply, read

    def note_unreadable(self) -> None:
        """The endpoint could not make a reply of what the model wrote: go on as after an empty one."""
        self._change("the endpoint could not read what the model wrote")
        self.conversation.answer(Reply())

    def second_look(self, asking: Asking, observation: Observation, state: SessionState) -> Opinion:
        """Have fresh eyes look at what the model wants to finish with.

        Raises:
            BudgetReached: it would break a limit.
            PolicyError: the endpoint cannot be used.
        """
        style = CallStyle.text if self.style is CallStyle.text else self._looks_by
        request = second_look(observation, state, self._picture, self.frame, style)
        try:
            reply = asking.send(request)
        except Unsupported as error:
            if error.feature is not Feature.schema or style is CallStyle.text:
                raise
            self._looks_by = CallStyle.text
            reply = asking.send(replace(request, style=CallStyle.text, schema=None))
        if reply.end is not ReplyEnd.complete:
            return Opinion(lacking=f"the reply of the second look was {reply.end.value}")
        return opinion_of(reply.text, state)

    def _begin(self, observation: Observation) -> None:
        width, height = self.frame.sent
        task = load_prompt("task.v1").fill(
            width=width, height=height, query=observation.query, unit=self.frame.unit
        )
        pictures: tuple[Image.Image, ...] = (self._picture,)
        if not observation.steps and observation.state.shown:
            # In the same message: some servers refuse two users' messages in a row.
            told, more = start_message(observation, self.frame, rulers=self._settings.rulers)
            task, pictures = f"{task}\n\n{told}", (self._picture, *more)
            self._drawn = _drawn(observation.state)
        self.conversation.begin(Message(Role.user, task, pictures))
        if observation.steps:  # a session that is gone on with
            self.conversation.recall(self._rounds)

    def _exchange(self, asking: Asking) -> tuple[Reply, Read]:
        """One request and its reply, in whatever style the endpoint takes."""
        while True:
            try:
                reply = asking.send_whole(self._request(), lambda reply: bool(self._read(reply).calls))
                break
            except Unsupported as error:
                if not self._give_way(error):
                    raise
        read = self._read(reply)
        self.conversation.answer(reply)
        if read.calls:
            self._note_success(leaked=read.leaked)
        return reply, read

    def _request(self) -> Request:
        schema = reply_schema(self._tools) if self.style is CallStyle.schema else None
        return Request(self.conversation.messages, self._tools, self.style, schema)

    def _read(self, reply: Reply) -> Read:
        return read_reply(reply, self.style, self._tools)

    def _give_way(self, error: Unsupported) -> bool:
        """Ask for less of an endpoint that lacks something; False where there is no less."""
        if error.feature is Feature.context:
            return self.conversation.shorten(self._rounds)
        native = error.feature is Feature.tools and self.style is CallStyle.native
        schema = error.feature is Feature.schema and self.style is CallStyle.schema
        return (native or schema) and self._change(str(error), refused=True)

    def _note_success(self, *, leaked: bool) -> None:
        """Calls came: remember how. One leak of a model that calls natively otherwise says nothing."""
        if self._may_change and not (leaked and self._works):
            if leaked:
                self._sure = False
                self._turn_to(CallStyle.text, "calls stood in the model's text")
            self._memory.remember_style(
                self._settings.key, self.style, "calls came this way", sure=self._sure
            )
        self._works = True

    def _change(self, why: str, *, refused: bool = False) -> bool:
        """On to the next style, unless this one was asked for, or works and was not `refused`."""
        if not self._may_change or self.style not in NEXT_STYLE or (self._works and not refused):
            return False
        self._sure = refused
        self._turn_to(NEXT_STYLE[self.style], why)
        return True

    def _turn_to(self, style: CallStyle, why: str) -> None:
        log.info("%s: from %s to %s tool calls: %s", self._settings.key, self.style.value, style.value, why)
        self.style = style
        self.conversation.retell(self._system())

    def _first_style(self) -> CallStyle:
        if not self._may_change:
            return CallStyle(self._settings.call_style)
        return self._memory.style(self._settings.key) or CallStyle.native

    def _system(self) -> str:
        return system_text(self.style, self._tools, self.frame.convention, rulers=self._settings.rulers)


def _drawn(state: SessionState) -> object:
    """What an overlay depends on."""
    return state.prompts, state.shown, state.locked
