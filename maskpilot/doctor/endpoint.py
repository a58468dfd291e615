"""What a model at an endpoint can do, found out by asking it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle, Message, ReplyEnd, Request, Role
from maskpilot.agent.mllm.failures import Feature, Unsupported, plain
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.styles import offer, read_reply, reply_schema, system_text
from maskpilot.agent.mllm.talk import family_for
from maskpilot.doctor.asking import Asking, Examined, question, reading
from maskpilot.doctor.boxes import ask_for_boxes
from maskpilot.doctor.listing import listing_rows
from maskpilot.doctor.pictures import draw_code, reads, shape_pictures
from maskpilot.doctor.rows import Health, Row
from maskpilot.doctor.scoring import Ranking
from maskpilot.doctor.verdicts import COORDINATES, STYLE_CHECKS, coordinates_row, style_rows
from maskpilot.errors import PolicyError

__all__ = ["CHECKS", "Found", "examine_endpoint", "skipped"]

ANSWERS, SEES = "answers", "sees pictures"
CHECKS = ("endpoint", "model", ANSWERS, SEES, *STYLE_CHECKS.values(), COORDINATES)

READY = "This is a test of the line. Reply with the one word: ready"
TOOLS = ("set_text_prompt", "add_positive_box", "finish")
CUPS = "Nothing was asked for yet. Segment: <query>the red ellipse</query>. Call a tool now."


@dataclass(frozen=True)
class Found:
    """What came out.

    Attributes:
        rows: one for each of CHECKS, in their order.
        styles: ways to call tools that work, the preferred one first.
        ranking: of the conventions that it may count in by habit; None where it could not be asked for boxes.
        convention: the one that clearly won there; None where none did.
    """

    rows: tuple[Row, ...]
    styles: tuple[CallStyle, ...] = ()
    ranking: Ranking | None = None
    convention: Convention | None = None


def skipped(checks: Sequence[str], why: str) -> tuple[Row, ...]:
    """Rows of checks that were not made."""
    return tuple(Row(check, Health.skipped, why) for check in checks)


def examine_endpoint(
    settings: MllmSettings,
    wire: Examined,
    memory: Memory,
    *,
    seconds: float = 300.0,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Examine a model. Takes eight to ten requests, and never raises for what the endpoint does.

    Args:
        settings: which model, and how it would be asked.
        wire: to it.
        memory: what is known of it already.
        seconds: for all requests together.
        rng: draws the code that the model is to read.
        clock: seconds; for tests.
    """
    reached = listing_rows(settings, wire)
    if any(row.health is Health.failed for row in reached):
        return Found((*reached, *skipped(CHECKS[len(reached) :], "the endpoint cannot be used")))
    asking = Asking(wire, clock() + seconds, clock)
    answers = _answers_row(asking)
    if answers.health is Health.failed:
        return Found((*reached, answers, *skipped(CHECKS[3:], "the model does not answer")))
    sees, takes_pictures = _sees_row(asking, draw_code(rng or random.SystemRandom()))
    if not takes_pictures:
        return Found((*reached, answers, sees, *skipped(CHECKS[4:], "the model takes no pictures")))
    results = {style: _calls_by(style, settings, memory, asking) for style in CallStyle}
    styles = tuple(style for style, problem in results.items() if not problem)
    expected = family_for(settings, memory).convention
    habit, told, trouble = ask_for_boxes(asking, expected)
    row = coordinates_row(habit, told, expected, trouble)
    won = habit.settled(expected) if habit is not None and habit.is_clear else None
    return Found((*reached, answers, sees, *style_rows(results), row), styles, habit, won)


def _answers_row(asking: Asking) -> Row:
    try:
        reply = asking.ask(question(READY))
    except PolicyError as error:
        return Row(ANSWERS, Health.failed, str(error), "see what it says; the other checks need an answer")
    if reply.end in (ReplyEnd.refused, ReplyEnd.filtered):
        return Row(ANSWERS, Health.note, f"it will not answer ({reply.end.value})", "choose another model")
    if not (reply.text.strip() or reply.calls):
        said = "it answers nothing" + (", only reasons" if reply.reasoning else "")
        return Row(ANSWERS, Health.note, said, "allow longer replies (reply_tokens), or choose another model")
    usage = reply.usage
    counted = (
        f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out" if usage.tokens else "no usage told"
    )
    return Row(ANSWERS, Health.ok, f"after {usage.seconds:.1f} s; {counted}")


def _sees_row(asking: Asking, code: str) -> tuple[Row, bool]:
    """Have the model read a code; with the row, whether it takes pictures at all."""
    fix = (
        "choose a model that takes pictures; a local server needs its vision part too (--mmproj in llama.cpp)"
    )
    try:
        reply = asking.ask(reading(code))
    except PolicyError as error:
        refused = isinstance(error, Unsupported) and error.feature is Feature.images
        return Row(SEES, Health.failed, str(error), fix), not refused
    if reads(reply.text, code):
        return Row(SEES, Health.ok, f"it read {code}"), True
    said = plain(reply.text)[:40] or "nothing"
    return Row(SEES, Health.failed, f"it was shown {code} and read: {said}", fix), True


def _calls_by(style: CallStyle, settings: MllmSettings, memory: Memory, asking: Asking) -> str:
    """Have the model call a tool in one way.

    Returns:
        what went wrong; empty where it called one.
    """
    convention = family_for(settings, memory).convention
    tools = offer(TOOLS, convention)
    messages = (
        Message(Role.system, system_text(style, tools, convention, rulers=False)),
        Message(Role.user, CUPS, (shape_pictures()[0].image,)),
    )
    schema = reply_schema(tools) if style is CallStyle.schema else None
    try:
        reply = asking.ask(Request(messages, tools, style, schema))
    except PolicyError as error:
        return str(error)
    read = read_reply(reply, style, tools)
    known = [call for call in read.calls if call.name in TOOLS]
    if read.leaked and known:
        return "its calls stood in the text; they are found there all the same"
    return "" if known else "it called no tool that it was offered"
