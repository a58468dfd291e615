"""What a model reads and sees of a round, and what a request is estimated to take."""

import json

import numpy as np
import pytest
from PIL import Image

from maskpilot.agent import run_session
from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, Request, Role
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.prices import Prices
from maskpilot.agent.mllm.spending import Meter, estimated_tokens
from maskpilot.agent.mllm.styles import offer, reply_schema, system_text
from maskpilot.errors import BudgetReached
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.tools import FULL, PHRASES, TOOL_SETS
from maskpilot.trajectory import Setup
from maskpilot.types import Budget, ImageRef, Stop, Usage
from tests.agent.mllm.sessions import CUP, FINISH, call, session, settings
from tests.shapes import block


def test_an_observation_tells_all_there_is_to_know() -> None:
    script = [
        CUP,
        call("set_threshold", value=0.3, rating=40),
        [*call("keep_masks", ids=[1], rating=60), *call("drop_masks", ids=[2])],
        call("add_negative_box", x0=100, y0=600, x1=500, y1=900, rating=50),
        FINISH,
    ]
    _, wire = session(script, budget=Budget(max_rounds=9, max_tokens=90_000, max_cost=5, max_seconds=600))
    told = [request.messages[-1].text for request in wire.requests]
    assert "Segment: <query>the cups</query>" in told[0]
    assert "560 wide and 420 high" in told[0]
    assert "Left: 8 rounds" in told[1]
    assert "89890 tokens" in told[1]
    assert "Prompts: 'cup'; threshold 0.5" in told[1]
    assert "1: [62, 83, 312, 417] 0.90" in told[1]
    assert "Against the round before: new 2" in told[2]
    assert "Locked: 1\nDropped: 2" in told[3]
    assert "gone 2" in told[3]
    assert "Note: add_negative_box: no mask is shown there" in told[4]
    assert "negative box [100, 600, 500, 900]" in told[4]


def test_masks_of_several_phrases_are_told_apart() -> None:
    keep = [*call("keep_masks", ids=[1], rating=5), *call("set_text_prompt", text="plate")]
    _, wire = session([CUP, keep, FINISH])
    told = wire.requests[2].messages[-1].text
    assert "1: [62, 83, 312, 417] 0.90 'cup'\n2: [62, 583, 562, 917] 0.80 'plate'" in told


def test_a_closer_look_is_sent_as_two_pictures_and_at_most_two_looks() -> None:
    look = call("zoom", x0=0, y0=0, x1=500, y1=500, rating=5)
    _, wire = session([CUP, look * 3, FINISH])
    message = wire.requests[2].messages[-1]
    assert len(message.pictures) == 4
    assert "Zoom 1, without and with masks: [0, 0," in message.text
    assert "Only the first 2 zooms" in message.text


@pytest.mark.parametrize(("width", "height"), [(900, 600), (9000, 20)])
def test_many_small_masks_come_with_a_contact_sheet(width: int, height: int) -> None:
    dots = [
        FakeObject(block(x, 5, x + 12, 17, width=width, height=height), frozenset({"dot"}), 0.9)
        for x in range(50, 850, 100)
    ]
    image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
    wire = ScriptedWire([call("set_text_prompt", text="dot", rating=1), FINISH])
    run_session(
        Setup("dots", ImageRef("0" * 64, ".png", "dots.png", width, height), FULL),
        image,
        FakeSegmenter(dots).open(image),
        MllmPolicy(wire, settings(), memory=Memory()),
    )
    message = wire.requests[1].messages[-1]
    assert len(message.pictures) == 2
    assert message.pictures[1].width > 250
    assert "small masks larger: 1, 2, 3, 4, 5, 6, 7, 8" in message.text


@pytest.mark.parametrize("rulers", [True, False])
def test_rulers_are_drawn_and_spoken_of_only_where_wanted(rulers: bool) -> None:
    _, wire = session([CUP, FINISH], rulers=rulers)
    assert ("Rulers" in wire.requests[0].messages[0].text) is rulers
    top = np.asarray(wire.requests[1].messages[-1].pictures[0])[:4, 330:]
    assert bool(top.any()) is rulers


def test_the_system_message_is_the_same_for_all_images_and_names_the_unit() -> None:
    for convention in (Convention("pixels"), Convention("1000", "yxyx")):
        text = system_text(CallStyle.native, offer(FULL, convention), convention, rulers=True)
        assert convention.unit_text in text
        assert ", ".join(convention.edges) in text


@pytest.mark.parametrize("tools", list(TOOL_SETS.values()))
def test_styles_without_native_calls_are_told_of_the_tools_on_offer_alone(tools: tuple[str, ...]) -> None:
    convention = Convention("1000")
    for style in (CallStyle.schema, CallStyle.text):
        text = system_text(style, offer(tools, convention), convention, rulers=True)
        listed = [json.loads(line)["name"] for line in text.splitlines() if line.startswith('{"name": "')]
        assert tuple(listed) == tools


def test_the_schema_of_a_reply_is_plain() -> None:
    schema = json.dumps(reply_schema(offer(FULL, Convention("1000"))))
    assert not any(word in schema for word in ("anyOf", "oneOf", "minItems", "maxItems", "$ref", "null"))
    call_schema = reply_schema(offer(PHRASES, Convention("1")))["properties"]["calls"]["items"]
    assert call_schema["properties"]["name"]["enum"] == list(PHRASES)


def request(characters: int = 0, side: int = 0) -> Request:
    pictures = (Image.new("RGB", (side, side)),) if side else ()
    return Request((Message(Role.user, "x" * characters, pictures),))


def test_a_request_is_estimated_by_its_characters_and_pictures() -> None:
    assert estimated_tokens(request(characters=3500)) == 1006
    assert estimated_tokens(request(side=750)) == 756


def test_the_estimate_learns_from_what_a_request_really_took() -> None:
    meter = Meter(None)
    before = meter.room(request(3500), Budget(max_tokens=4000), Usage(), 4096)
    meter.learn(request(3500), Reply(usage=Usage(calls=1, prompt_tokens=2012)))
    after = meter.room(request(3500), Budget(max_tokens=4000), Usage(), 4096)
    assert (before, after) == (4000 - 1006, 4000 - 2012)


def test_it_learns_that_pictures_cost_many_times_what_is_usual() -> None:
    """GPT-4o mini counts tens of thousands of tokens for one picture."""
    meter = Meter(None)
    meter.learn(request(side=750), Reply(usage=Usage(calls=1, prompt_tokens=15_120)))
    with pytest.raises(BudgetReached):
        meter.room(request(side=750), Budget(max_tokens=15_000), Usage(), 4096)


def test_what_was_spent_in_the_round_counts() -> None:
    spent = Usage(calls=1, prompt_tokens=2500)
    with pytest.raises(BudgetReached) as caught:
        Meter(None).room(request(3500), Budget(max_tokens=3600), spent, 4096)
    assert caught.value.stop is Stop.max_tokens


def test_cost_limits_the_reply_s_room() -> None:
    meter = Meter(Prices(input=1000.0, output=2000.0))
    assert meter.room(request(3500), Budget(max_cost=2.0061), Usage(), 4096) == 500
    with pytest.raises(BudgetReached):
        meter.room(request(3500), Budget(max_cost=1.1), Usage(), 4096)
    assert Meter(None).room(request(3500), Budget(max_cost=0.001), Usage(), 4096) == 4096


def test_words_that_no_usage_tells_of_cost_what_words_cost() -> None:
    meter = Meter(Prices(input=1.0, output=1000.0))
    meter.learn(request(3500), Reply(text="x" * 3500, usage=Usage(calls=1)))
    assert meter.room(request(3500), Budget(max_cost=1.5), Usage(), 4096) == 497  # of 1.5: 1 and two prompts
    with pytest.raises(BudgetReached):
        meter.room(request(3500), Budget(max_cost=1.1), Usage(), 4096)
