"""Prompt tokens and pictures of a session, beside SAM 3 Agent's for the same calls; and our own time a round.

Two scripts on a photo of 1920x1080. "phrases": four phrases that find eight masks, and the end. "checked":
three phrases, a look at what was found, and the end. SAM 3 Agent looks by `examine_each_mask`, a request of
three pictures for each mask, maskpilot by one second look.

SAM 3 Agent's messages follow the rules of `sam3/agent/agent_core.py` (0.1.4): two messages are kept for good,
and what follows the latest phrase; its pictures keep the photo's size. Its prompt files are not in the wheel:
the system prompt counts as the 11,078 words that it has, the one of `examine_each_mask` as nothing. Both
sides are estimated alike: characters / 3.5, and width * height / 750 a picture. `ratio_small_photo` is for a
photo of 1024x576, where both send pictures of one size.

The time is that of `MllmPolicy.decide` with 20 masks at 1024 px on this thread; the wire takes none.

    python benchmarks/prompt_tokens.py [--rounds 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
from PIL import Image

from maskpilot.agent import Observation, run_session
from maskpilot.agent.mllm.exchange import Reply, Request
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.spending import CHARACTERS_PER_TOKEN, PIXELS_PER_TOKEN, estimated_tokens
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.tools import FULL
from maskpilot.trajectory import Setup
from maskpilot.types import Budget, Decision, ImageRef, ToolCall

QUERY = "the people who wait at the crossing"
PHRASES = ("pedestrian", "human", "someone", "person")
MASKS = 8
PHOTO, SMALL_PHOTO = (1920, 1080), (1024, 576)
PEER_WORDS = 11_078
CHARACTERS_PER_WORD = 6
"""With the space behind it; in our own system prompt it is 5.5."""

CALL, SHOWN, USED = 150, 380, 330
"""Characters in SAM 3 Agent's messages: a call with its tags, what is said of masks and of used phrases."""

SETTINGS = MllmSettings("qwen3-vl", base_url="http://localhost/v1")

Size = tuple[int, int]


def scene(masks: int, words: frozenset[str], size: Size) -> FakeSegmenter:
    """Ellipses in a grid of five columns."""
    width, height = size
    y, x = np.ogrid[:height, :width]
    objects = []
    for number in range(masks):
        column, row = number % 5, number // 5
        centre = ((column + 0.5) * width / 5, (row + 0.5) * height / 4)
        radius = (width * (0.06 + 0.004 * column), height * (0.07 + 0.01 * row))
        mask = ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 <= 1
        objects.append(FakeObject(mask, words, 0.9))
    return FakeSegmenter(objects)


def photo(size: Size) -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def setup(size: Size, rounds: int = 20) -> Setup:
    ref = ImageRef("0" * 64, ".png", "photo.png", *size)
    return Setup(QUERY, ref, FULL, Budget(max_rounds=rounds))


def ours(size: Size, phrases: Sequence[str], *, checked: bool) -> list[Request]:
    """The requests of our session."""
    script: list[Reply | list[ToolCall] | BaseException] = [
        [ToolCall("set_text_prompt", {"text": phrase, "rating": 10})] for phrase in phrases
    ]
    script += [[ToolCall("finish", {"verdict": "complete", "reason": "all are covered", "rating": 90})]]
    if checked:
        script += [Reply('{"wrong_ids": [], "missed": [], "why": ""}')]
    wire = ScriptedWire(script)
    policy = MllmPolicy(wire, replace(SETTINGS, verify=checked), memory=Memory())
    image = photo(size)
    run_session(setup(size), image, scene(MASKS, frozenset(phrases), size).open(image), policy)
    if not wire.is_used_up:
        raise RuntimeError("the session ended before its script")
    return wire.requests


def peer(phrases: Sequence[str], *, checked: bool) -> list[tuple[int, int]]:
    """Characters and pictures of each request of SAM 3 Agent, by its own rules."""
    task = len(f"The above image is the raw input image. The initial user input query is: '{QUERY}'.")
    start = PEER_WORDS * CHARACTERS_PER_WORD + task
    requests = [(start, 1)]
    requests += [(start + CALL + SHOWN + (USED if number else 0), 2) for number in range(len(phrases))]
    if checked:
        requests += [(task + 100, 3)] * MASKS
        requests += [(start + USED + 2 * CALL + SHOWN, 2)]
    return requests


def cached(before: Request, after: Request) -> int:
    """Tokens at the beginning of a request that the one before began with as well."""
    pairs = zip(before.messages, after.messages, strict=False)
    same = [message for message, _ in takewhile(lambda pair: pair[0] is pair[1], pairs)]
    return estimated_tokens(replace(after, messages=tuple(same))) if same else 0


def compare(size: Size, phrases: Sequence[str], *, checked: bool) -> dict[str, Any]:
    requests, others = ours(size, phrases, checked=checked), peer(phrases, checked=checked)
    mine = sum(estimated_tokens(request) for request in requests)
    picture = size[0] * size[1] / PIXELS_PER_TOKEN
    theirs = sum(round(characters / CHARACTERS_PER_TOKEN + images * picture) for characters, images in others)
    return {
        "maskpilot": {
            "requests": len(requests),
            "images": sum(len(message.pictures) for request in requests for message in request.messages),
            "prompt_tokens": mine,
            "of_these_cacheable": sum(cached(before, after) for before, after in pairwise(requests)),
        },
        "sam3_agent": {
            "requests": len(others),
            "images": sum(images for _, images in others),
            "prompt_tokens": theirs,
        },
        "ratio": round(theirs / mine, 2),
    }


def tokens() -> dict[str, Any]:
    """Both scripts."""
    scripts = {"phrases": (PHRASES, False), "checked": (PHRASES[1:], True)}
    return {
        name: {
            **compare(PHOTO, phrases, checked=checked),
            "ratio_small_photo": compare(SMALL_PHOTO, phrases, checked=checked)["ratio"],
        }
        for name, (phrases, checked) in scripts.items()
    }


class Timed:
    """A policy with a stopwatch; what the wire takes is next to nothing."""

    def __init__(self, policy: MllmPolicy) -> None:
        self._policy = policy
        self.description = policy.description
        self.seconds: list[float] = []

    def decide(self, observation: Observation) -> Decision:
        began = time.thread_time()
        decision = self._policy.decide(observation)
        if observation.steps:
            self.seconds.append(time.thread_time() - began)
        return decision


def overhead(rounds: int) -> dict[str, Any]:
    """Our own time a round, with 20 masks that are drawn anew each time."""
    size = (1024, 768)
    script: list[Reply | list[ToolCall] | BaseException] = [
        [ToolCall("set_text_prompt", {"text": f"person {number}", "rating": 10})]
        for number in range(rounds + 1)
    ]
    image = photo(size)
    policy = Timed(MllmPolicy(ScriptedWire(script), SETTINGS, memory=Memory()))
    segmenter = scene(20, frozenset({"person"}), size)
    run_session(setup(size, rounds + 1), image, segmenter.open(image), policy)
    return {
        "masks": 20,
        "image": list(size),
        "rounds": len(policy.seconds),
        "milliseconds_per_round": round(1000 * statistics.median(policy.seconds), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Prompt tokens beside SAM 3 Agent's, and our time a round.")
    parser.add_argument("--rounds", type=int, default=15, help="rounds to take the median time of")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result: dict[str, Any] = {"tokens": tokens(), "overhead": overhead(options.rounds), "machine": machine}
    if options.json:
        print(json.dumps(result))
        return
    for script, numbers in result["tokens"].items():
        for name in ("maskpilot", "sam3_agent"):
            told = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in numbers[name].items())
            print(f"{script:<8} {name:<11} {told}")
        print(f"{script:<8} ratio       {numbers['ratio']}; {numbers['ratio_small_photo']} for a small photo")
    print(f"overhead {result['overhead']['milliseconds_per_round']} ms a round, 20 masks; {machine}")


if __name__ == "__main__":
    main()
