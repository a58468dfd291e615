"""What a model is asked in sessions, and what it should answer: recorded from maskpilot itself."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from maskpilot.agent import run_session
from maskpilot.agent.mllm import chat
from maskpilot.agent.mllm.exchange import CallStyle, Reply, Request
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.pictures import Pictures
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.scenes import NOUNS, make_scene, queries
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.tools import TOOL_SETS
from maskpilot.trajectory import Setup
from maskpilot.types import Budget, ImageRef, ToolCall

__all__ = ["TEMPLATE", "Sample", "samples", "shortened"]

ROUNDS = (
    ToolCall("set_text_prompt", {"text": "cup", "rating": 0}, "call_1"),
    ToolCall("add_positive_box", {"x0": 375, "y0": 83, "x1": 625, "y1": 417, "rating": 40}, "call_2"),
    ToolCall("finish", {"verdict": "complete", "rating": 90, "reason": "all found"}, "call_3"),
)
"""Arguments that a tool requires come first: llama.cpp's grammar allows no other order."""
CONTENT = json.dumps({"wrong_ids": [], "missed": [], "why": "all found"})
MARKER = "<|image_pad|>"

TEMPLATE = """\
{%- for m in messages %}
{%- if loop.first and tools %}
{{- '<|im_start|>system\\n' + (m.content if m.role == 'system' else '') + '\\n\\n# Tools\\n\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\nReturn each call as ' }}
{{- '<tool_call>{"name": ..., "arguments": ...}</tool_call>.<|im_end|>\\n' }}
{%- endif %}
{%- if not (loop.first and tools and m.role == 'system') %}
{{- '<|im_start|>' + ('user' if m.role == 'tool' else m.role) + '\\n' }}
{%- if m.role == 'tool' %}{{- '<tool_response>\\n' }}{%- endif %}
{%- if m.content is string %}{{- m.content }}
{%- elif m.content %}
{%- for part in m.content %}
{%- if part.type == 'text' %}{{- part.text }}{%- else %}{{- '<|image_pad|>' }}{%- endif %}
{%- endfor %}
{%- endif %}
{%- for call in m.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{%- if m.role == 'tool' %}{{- '\\n</tool_response>' }}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""ChatML with tools as Hermes writes them, which llama.cpp knows how to read back."""


@dataclass(frozen=True)
class Sample:
    """A prompt, with `MARKER` where a picture is, and the reply to learn."""

    prompt: str
    reply: str


def samples(sessions: int) -> Iterator[Sample]:
    """All requests of some sessions, each in a scene, a call style and a tool set of its own."""
    for seed in range(sessions):
        yield from _session(random.Random(seed), list(CallStyle)[seed % 3])


def shortened(sample: Sample, rng: random.Random, most: int) -> Sample:
    """The same without some of the system message's lines: no answer may hang on a prompt's exact words."""
    head, end, rest = sample.prompt.partition("<|im_end|>")
    lines = head.split("\n")
    keep = rng.uniform(0.0, 1.0) * min(1.0, most / max(len(sample.prompt), 1))
    first = lines[0]
    kept = [
        line for line in lines[1:] if rng.random() < keep or line.startswith(("Reply with one", "You check"))
    ]
    return replace(sample, prompt="\n".join([first, *kept]) + end + rest)


def _session(rng: random.Random, style: CallStyle) -> Iterator[Sample]:
    scene = make_scene(rng.randrange(10_000), count=rng.randrange(1, 9))
    words = ("cup", "mug", "plate")
    objects = [
        FakeObject(np.asarray(thing.mask), frozenset({rng.choice(words)}), rng.uniform(0.3, 0.95))
        for thing in scene.objects
    ]
    asked = [query.text for query in queries(scene, seed=0)] or [rng.choice(sorted(NOUNS))]
    settings = MllmSettings(
        "tiny", base_url="http://localhost:1/v1", call_style=style.value, rulers=rng.random() < 0.5
    )
    wire = ScriptedWire([*(_dressed(call, style) for call in ROUNDS), Reply(CONTENT)])
    image = ImageRef("0" * 64, ".png", "scene.png", scene.width, scene.height)
    names = TOOL_SETS["full" if rng.random() < 0.7 else "core"]
    budget = Budget(max_rounds=rng.randrange(5, 30))
    opened = FakeSegmenter(objects).open(scene.image)
    run_session(
        Setup(rng.choice([*asked, "the cups"]), image, names, budget),
        scene.image,
        opened,
        MllmPolicy(wire, settings, memory=Memory()),
    )
    for number, request in enumerate(wire.requests):
        reply = _text(_dressed(ROUNDS[number], style)) if number < len(ROUNDS) else CONTENT
        yield Sample(_rendered(request), reply)


def _dressed(call: ToolCall, style: CallStyle) -> Reply:
    if style is CallStyle.native:
        return Reply(calls=(call,))
    rest = dict(call.arguments)
    if style is CallStyle.text:
        return Reply(_tagged(call))
    rating = rest.pop("rating")
    return Reply(json.dumps({"thought": "", "rating": rating, "calls": [{"name": call.name, **rest}]}))


def _text(reply: Reply) -> str:
    return reply.text or "".join(_tagged(call) for call in reply.calls)


def _tagged(call: ToolCall) -> str:
    made = json.dumps({"name": call.name, "arguments": dict(call.arguments)})
    return f"<tool_call>\n{made}\n</tool_call>"


def _rendered(request: Request) -> str:
    import jinja2

    body: dict[str, Any] = chat.body(request, Pictures())
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = json.dumps
    return environment.from_string(TEMPLATE).render(
        messages=body["messages"], tools=body.get("tools"), add_generation_prompt=True
    )
