"""What is tried again, how often, and after how long."""

import email.utils
import json
import logging
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import openai
import pytest

from maskpilot.agent.mllm.exchange import Message, Role
from maskpilot.agent.mllm.failures import EndpointError, Failure, Feature, OutOfTime, Unsupported
from maskpilot.agent.mllm.retry import Patience
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.errors import PolicyError
from maskpilot.testing import Answer, Says, Seen
from maskpilot.testing.faults import (
    CUT_BEFORE,
    CUT_WITHIN,
    HTML,
    PASSING,
    QUOTA,
    busy,
    dripping,
    error,
    server_error,
    slow,
)
from maskpilot.testing.says import Fault, Spoilt
from maskpilot.testing.server import Turn
from tests.agent.mllm.wires import CALL, CANARY, Clock, request, sent, wired

APIS = ("chat", "responses")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "fault",
    [
        busy(),
        error(408, "timeout"),
        error(409, "conflict"),
        server_error(),
        server_error(503),
        CUT_BEFORE,
        CUT_WITHIN,
        HTML,
    ],
    ids=lambda fault: fault.name,
)
def test_what_may_pass_is_tried_again(api: str, fault: Fault) -> None:
    with wired([fault, fault, CALL], api) as (wire, _, clock):
        assert wire.send(request()).calls[0].name == "set_threshold"
    assert clock.slept == [0.25, 0.5]


def test_waits_grow_up_to_a_limit() -> None:
    with wired([*[busy()] * 9, CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize(("jitter", "waits"), [(0.0, [0.25, 7.0]), (1.0, [0.5, 7.7])])
def test_chance_spreads_waits_but_never_below_what_is_asked(jitter: float, waits: list[float]) -> None:
    with wired([busy(), busy("7"), CALL], jitter=lambda: jitter) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == pytest.approx(waits)


def test_retry_after_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    with wired([busy(date), CALL]) as (wire, _, clock):
        wire.send(request())
    assert 15 < clock.slept[0] <= 20


def test_a_long_wait_is_told_and_a_short_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sent([busy("2"), busy("40"), CALL])
    assert [record.getMessage().endswith("trying again in 40.0 s") for record in caplog.records] == [True]


def test_a_date_that_has_passed_means_now() -> None:
    with wired([busy("Sun, 06 Nov 1994 08:49:37 GMT"), CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [0]


@pytest.mark.parametrize("value", ["0", "0.01", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_server_that_says_now_and_stays_busy_is_not_asked_without_end(value: str) -> None:
    with wired([*[busy(value)] * 5, CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [float(value) if value[0] == "0" else 0, 0.5, 1, 2, 4]


def test_milliseconds_go_before_seconds() -> None:
    both = error(429, "slow down", retry_after="9", retry_after_ms="1500")
    with wired([both, CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [1.5]


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-", ""])
def test_a_senseless_retry_after_is_left_aside(value: str) -> None:
    with wired([busy(value), CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [0.25]


def test_a_wait_that_is_too_long_is_cut() -> None:
    with wired([busy("300"), CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [120]


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    with (
        wired([busy("60")]) as (wire, _, clock),
        pytest.raises(OutOfTime, match=r"asks to wait 60 s") as caught,
    ):
        wire.send(request(seconds=30))
    assert clock.slept == []
    assert caught.value.status == 429


def test_a_busy_server_is_asked_until_the_time_is_up() -> None:
    with wired(lambda _: busy()) as (wire, server, clock), pytest.raises(OutOfTime, match="attempts"):
        wire.send(request())
    assert 585 < sum(clock.slept) <= 600
    assert len(server.seen) == len(clock.slept) + 1


def test_the_request_may_shorten_the_time_and_not_lengthen_it() -> None:
    for seconds, limit in ((10.0, 10.0), (1e9, 50.0)):
        with wired(lambda _: busy(), patience=Patience(seconds=50)) as (wire, _, clock):
            with pytest.raises(OutOfTime):
                wire.send(request(seconds=seconds))
            assert limit - 15 <= sum(clock.slept) <= limit


@pytest.mark.parametrize(("seconds", "impatient"), [(None, True), (9.0, True), (5.0, False)])
def test_it_is_told_whose_time_ran_out(seconds: float | None, impatient: bool) -> None:
    with wired(lambda _: busy(), patience=Patience(seconds=5)) as (wire, _, _):
        with pytest.raises(OutOfTime) as caught:
            wire.send(request(seconds=seconds))
        assert caught.value.impatient is impatient


def test_no_time_no_request() -> None:
    with wired([]) as (wire, server, _):
        with pytest.raises(OutOfTime, match="no time is left"):
            wire.send(request(seconds=0.0))
        assert not server.seen


@pytest.mark.parametrize("api", APIS)
def test_server_errors_are_few(api: str) -> None:
    with wired([server_error()] * 4, api) as (wire, _, clock):
        with pytest.raises(EndpointError, match=r"fails with every attempt.*\(4 attempts\)") as caught:
            wire.send(request())
        assert not isinstance(caught.value, OutOfTime)
        assert caught.value.status == 500
    assert len(clock.slept) == 3


@pytest.mark.parametrize("status", [503, 529])
def test_a_server_that_loads_or_is_overloaded_has_a_minute(status: int) -> None:
    with wired([*[server_error(status)] * 7, CALL], jitter=lambda: 1.0) as (wire, _, clock):
        assert wire.send(request()).calls
    assert clock.slept == [0.5, 1, 2, 4, 8, 16, 30]
    with pytest.raises(EndpointError, match=r"fails with every attempt.*\(8 attempts\)"):
        sent([server_error(status)] * 8)


def test_a_server_that_is_overloaded_says_how_long() -> None:
    with wired([error(503, "overloaded", retry_after="20"), CALL]) as (wire, _, clock):
        wire.send(request())
    assert clock.slept == [20]


def test_troubles_are_counted_apart() -> None:
    turns: list[Turn] = [server_error(), HTML, busy(), server_error(), HTML, server_error(), CUT_BEFORE, CALL]
    assert sent(turns).calls


def test_a_slow_answer_is_asked_for_again() -> None:
    with wired([slow(0.4), CALL], patience=Patience(timeout=0.1)) as (wire, _, clock):
        assert wire.send(request()).calls
    assert len(clock.slept) == 1


def test_an_answer_that_never_comes() -> None:
    patience = Patience(timeout=0.05, no_connection=2)
    with pytest.raises(EndpointError, match="does not answer in time"):
        sent([slow(0.2), slow(0.2)], patience=patience)


def test_an_answer_that_trickles_in() -> None:
    with wired([dripping(0.6), CALL], patience=Patience(timeout=0.25)) as (wire, _, clock):
        assert wire.send(request()).calls
    assert len(clock.slept) == 1
    assert sent([Spoilt(CALL, dripping(0.05))]).calls


def test_nobody_listens() -> None:
    with wired([]) as (_, server, _):
        url = server.url
    clock = Clock()
    wire = OpenAIWire("m1", base_url=url, api_key=CANARY, clock=clock, sleep=clock.sleep)
    with wire, pytest.raises(EndpointError, match="cannot be reached; see that the server runs") as caught:
        wire.send(request())
    assert len(clock.slept) == 5
    assert caught.value.status is None


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (QUOTA, "no credit left; see the plan and the billing"),
        (error(402, "Insufficient credits"), "no credit left"),
        (error(400, "temperature must be below 2", "invalid_value"), "leave out the setting"),
        (error(401, "Incorrect API key provided", "invalid_api_key"), "OPENAI_API_KEY"),
        (error(403, "Project has no access to model"), "rights of the key"),
        (error(404, "The model m1 does not exist", "model_not_found"), "/models"),
        (error(405, "Method not allowed"), "--base-url"),
        (error(422, "Unprocessable"), "refuses the request"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_what_stays_ends_at_once(api: str, fault: Fault, advice: str) -> None:
    with wired([fault], api) as (wire, _, clock):
        with pytest.raises(PolicyError, match=advice) as caught:
            wire.send(request())
        assert type(caught.value) is EndpointError
        assert isinstance(caught.value.__cause__, Failure)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "set GEMINI_API_KEY "), (404, 'Bearer $GEMINI_API_KEY"')]
)
def test_advice_names_the_variable_that_holds_the_key(status: int, advice: str) -> None:
    with pytest.raises(EndpointError, match=re.escape(advice)) as caught:
        sent([error(status, "no")], key_name="GEMINI_API_KEY")
    assert "OPENAI_API_KEY" not in str(caught.value)


@pytest.mark.parametrize("api", APIS)
def test_a_filter_is_no_fault_of_the_endpoint(api: str) -> None:
    reply = sent([error(400, "The prompt triggered the content filter", "content_filter")], api)
    assert reply.end == "filtered"


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_lacking_feature_is_told_apart(status: int) -> None:
    with pytest.raises(Unsupported, match="--call-style") as caught:
        sent([error(status, "m1 does not support tools")])
    assert caught.value.feature is Feature.tools
    assert caught.value.status == status


def test_the_limit_goes_by_the_name_that_the_server_knows() -> None:
    refused = error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    with wired([refused, CALL, CALL], max_tokens=300) as (wire, server, clock):
        wire.send(request())
        wire.send(request())
        sent_names = [sorted(name for name in body if "tokens" in name) for body in server.bodies]
    assert sent_names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]
    assert clock.slept == [0]


def test_a_limit_that_no_name_mends_is_refused() -> None:
    refused = error(400, "max_completion_tokens is not what I know")
    with pytest.raises(EndpointError, match="refuses the request"):
        sent([refused, refused], max_tokens=300)


GROQ = "for 'role:assistant' the following must be satisfied ... property 'reasoning_content' is unsupported"
MISTRAL = {
    "type": "extra_forbidden",
    "loc": ["body", "messages", 2, "assistant", "reasoning_content"],
    "msg": "Extra inputs are not permitted",
    "input": "I should call the tool",
}


@pytest.mark.parametrize(
    "refused",
    [
        error(400, GROQ),
        Answer(422, json.dumps({"object": "error", "message": {"detail": [MISTRAL]}}).encode()),
    ],
)
def test_thoughts_that_a_server_does_not_take_back_are_left_out(refused: Turn) -> None:
    thinking = replace(CALL, reasoning="I should call the tool")
    with wired([thinking, refused, CALL, CALL]) as (wire, server, clock):
        reply = wire.send(request())
        said = Message(Role.assistant, calls=reply.calls, echo=reply.echo)
        for _ in range(2):
            assert wire.send(request(said)).calls
        echoed = [body["messages"][2] for body in server.bodies[1:]]
    assert ["reasoning_content" in message for message in echoed] == [True, False, False]
    assert all(message["tool_calls"] for message in echoed)
    assert clock.slept == [0]


def test_a_server_that_takes_back_nothing_at_all_is_left() -> None:
    with pytest.raises(EndpointError, match="refuses the request"):
        sent([error(400, GROQ)] * 2)


def test_threads_share_a_wire() -> None:
    chance = random.Random(1)
    turns = {number: Says(f"reply {number}") for number in range(24)}
    failed: set[int] = set()

    def turn(seen: Seen) -> Turn:
        number = int(seen.body["messages"][-1]["content"])
        if number not in failed and chance.random() < 0.5:
            failed.add(number)
            return chance.choice(PASSING)
        return turns[number]

    with wired(turn) as (wire, _, _), ThreadPoolExecutor(8) as pool:
        asked = [request(Message(Role.user, str(number))) for number in turns]
        assert [reply.text for reply in pool.map(wire.send, asked)] == [says.text for says in turns.values()]
    assert failed


def test_ctrl_c_is_not_held_up() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with wired([busy()], sleep=interrupted) as (wire, _, _), pytest.raises(KeyboardInterrupt):
        wire.send(request())


def test_a_mistake_of_our_own_is_no_failure_of_the_endpoint() -> None:
    with wired([], extra={"seed": object()}) as (wire, _, clock), pytest.raises(TypeError):
        wire.send(request())
    assert clock.slept == []


def test_what_the_client_itself_objects_to_is_final() -> None:
    def objecting(**_: object) -> None:
        raise openai.OpenAIError(f"I do not like {CANARY}")

    with (
        wired([]) as (wire, _, _),
        pytest.raises(Failure, match=r"^OpenAIError: I do not like \[key\]$") as caught,
    ):
        wire._client._attempt(objecting, 1.0)
    assert caught.value.trouble == "final"


def test_a_late_good_reply_is_taken() -> None:
    assert sent([Spoilt(CALL, slow(0.05))]).calls
    assert sent([Says("done")]).text == "done"


@pytest.mark.parametrize("name", Patience.__slots__)
def test_patience_is_positive(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Patience\.{name}: expected a positive number"):
        Patience(**{name: 0})
