"""What comes back: whole, odd, or broken."""

import json
from typing import Any

import pytest

from maskpilot.agent.mllm import chat, responses
from maskpilot.agent.mllm.exchange import Message, Reply, Role
from maskpilot.agent.mllm.failures import EndpointError, OutOfTime, Unreadable
from maskpilot.agent.mllm.reading import NAMELESS, UNREADABLE, Broken, arguments
from maskpilot.agent.mllm.retry import Patience
from maskpilot.testing import Answer, Says
from maskpilot.testing.faults import (
    ARGUMENTS_AS_OBJECT,
    BROKEN_JSON,
    CUT_WITHIN,
    EMPTY_BODY,
    EMPTY_CHOICES,
    EMPTY_REPLY,
    FILTERED,
    HTML,
    LEAKED_CALLS,
    LEAKED_TO_REASONING,
    NULL_CHOICES,
    REASONING_ONLY,
    REFUSED,
    TRUNCATED,
    UNREADABLE_ARGUMENTS,
    WRONG_TYPES,
)
from maskpilot.testing.says import Fault, Spoilt, chat_payload, responses_payload
from tests.agent.mllm.wires import CALL, request, sent, wired

APIS = ("chat", "responses")
BROKEN = (BROKEN_JSON, EMPTY_BODY, HTML, EMPTY_CHOICES, NULL_CHOICES, WRONG_TYPES, CUT_WITHIN)


def answer(payload: Any) -> Answer:
    return Answer(200, json.dumps(payload).encode())


def message(**fields: Any) -> Any:
    """A chat completion with a message of these fields."""
    return {"choices": [{"message": fields, "finish_reason": "stop"}]}


def call(given: Any, **more: Any) -> Any:
    return {"id": "c1", "type": "function", "function": {"name": "reset", "arguments": given}, **more}


def response_with(odd: Any) -> Any:
    """A response whose reasoning, which goes back as it came, holds something odd."""
    reasoning = {"type": "reasoning", "encrypted_content": "b64", "odd": odd}
    return {"output": [reasoning, {"type": "message", "content": "x"}]}


@pytest.mark.parametrize("api", APIS)
def test_a_good_reply(api: str) -> None:
    reply = sent([Says("Two cups.", CALL.calls, reasoning="Hm.")], api)
    assert (reply.text, reply.reasoning, reply.end) == ("Two cups.", "Hm.", "complete")
    assert [(one.name, one.arguments) for one in reply.calls] == [
        ("set_threshold", {"value": 0.4, "rating": 50})
    ]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
def test_a_broken_reply_is_asked_for_again(api: str, fault: Fault) -> None:
    with wired([Spoilt(CALL, fault), CALL], api) as (wire, _, clock):
        assert wire.send(request()).calls
    assert len(clock.slept) == 1


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", BROKEN[:-1], ids=lambda fault: fault.name)
def test_an_endpoint_of_broken_replies_is_given_up(api: str, fault: Fault) -> None:
    with pytest.raises(EndpointError, match=r"answers what is no reply.*\(3 attempts\)") as caught:
        sent([Spoilt(CALL, fault)] * 3, api)
    assert caught.value.status == 200
    assert not isinstance(caught.value, OutOfTime)


@pytest.mark.parametrize("api", APIS)
def test_broken_replies_that_were_billed_are_counted(api: str) -> None:
    usage = sent([Spoilt(CALL, EMPTY_CHOICES), CALL], api).usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.images) == (2, 2000, 100, 2)
    with pytest.raises(EndpointError) as caught:
        sent([Spoilt(CALL, EMPTY_CHOICES)] * 3, api)
    assert caught.value.usage.prompt_tokens == 3000


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("fault", "end", "text", "reasoning"),
    [
        (EMPTY_REPLY, "complete", "", ""),
        (REASONING_ONLY, "complete", "", "Let me look again."),
        (TRUNCATED, "truncated", "I see that the", ""),
        (REFUSED, "refused", "I cannot help with that.", ""),
        (FILTERED, "filtered", "", ""),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_a_reply_without_calls(api: str, fault: Fault, end: str, text: str, reasoning: str) -> None:
    reply = sent([Spoilt(CALL, fault)], api)
    assert (reply.calls, reply.end, reply.text, reply.reasoning) == ((), end, text, reasoning)


@pytest.mark.parametrize("api", APIS)
def test_leaked_calls_stay_where_they_are(api: str) -> None:
    assert '<tool_call>{"name": "set_threshold"' in sent([Spoilt(CALL, LEAKED_CALLS)], api).text
    assert "<tool_call>" in sent([Spoilt(CALL, LEAKED_TO_REASONING)], api).reasoning


@pytest.mark.parametrize("api", APIS)
def test_odd_arguments(api: str) -> None:
    assert sent([Spoilt(CALL, ARGUMENTS_AS_OBJECT)], api).calls[0].arguments["value"] == 0.4
    unreadable = sent([Spoilt(CALL, UNREADABLE_ARGUMENTS)], api).calls[0]
    assert unreadable.arguments == {UNREADABLE: '{"x0": 1, oops'}


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("", {}),
        (None, {}),
        ("null", {}),
        ("{}", {}),
        ({"a": 1}, {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("[1]", {UNREADABLE: "[1]"}),
        ([1], {UNREADABLE: "[1]"}),
        ("NaN", {UNREADABLE: "NaN"}),
        ('{"a": Infinity}', {UNREADABLE: '{"a": Infinity}'}),
        ("[" * 100_000, {UNREADABLE: "[" * 100_000}),
        (7, {UNREADABLE: "7"}),
    ],
)
def test_arguments(raw: Any, read: Any) -> None:
    assert arguments(raw) == read


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        7,
        {},
        {"choices": {}},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": "hello"}]},
        message(content=7),
        message(content={"text": "x"}),
        message(tool_calls={"name": "reset"}),
        message(tool_calls=[7]),
        message(tool_calls=[{"id": "c", "function": None}]),
        {"choices": [{"message": {"content": "x"}, "finish_reason": "error"}]},
    ],
    ids=repr,
)
def test_what_is_no_chat_completion(payload: Any) -> None:
    with pytest.raises(Broken, match=r"expected|reports an error"):
        chat.read(payload, 1)


@pytest.mark.parametrize("left", [{}, {"message": None}, {"message": {"role": "assistant", "content": ""}}])
def test_gemini_leaves_out_what_it_has_filtered(left: dict[str, Any]) -> None:
    for reason in ("PROHIBITED_CONTENT", "SAFETY", "OTHER"):
        reply = chat.read({"choices": [{"finish_reason": f"content_filter: {reason}", **left}]}, 1)
        assert (reply.text, reply.end) == ("", "filtered")
    malformed = {"finish_reason": "function_call_filter: MALFORMED_FUNCTION_CALL", **left}
    reply = chat.read({"choices": [malformed]}, 1)
    assert (reply.text, reply.calls, reply.end) == ("", (), "complete")


@pytest.mark.parametrize("name", [None, "", "  ", 7])
def test_a_call_without_a_name_is_a_call_of_no_tool(name: object) -> None:
    said = message(tool_calls=[{"id": "c", "function": {"name": name, "arguments": "{}"}}])
    reply = chat.read(said, 1)
    assert [call.name for call in reply.calls] == [NAMELESS]
    assert reply.echo["tool_calls"][0]["function"]["name"] == NAMELESS
    item = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
    answered = responses.read({"output": [item]}, 1)
    assert [call.name for call in answered.calls] == [NAMELESS]
    assert [sent["name"] for sent in answered.echo] == [NAMELESS]


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"output": {}},
        {"output": []},
        {"output": ["x"]},
        {"output": [{"type": "message", "content": 7}]},
    ],
    ids=repr,
)
def test_what_is_no_response(payload: Any) -> None:
    with pytest.raises(Broken, match="expected"):
        responses.read(payload, 1)


@pytest.mark.parametrize(
    "usage", [None, 7, "x", {}, {"prompt_tokens": "many"}, {"prompt_tokens": -3}, {"prompt_tokens": 1e99}]
)
def test_usage_of_any_shape(usage: Any) -> None:
    assert chat.read(message(content="x") | {"usage": usage}, 1).usage.tokens == 0


def test_words_in_parts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Two "},
        "cups",
        {"type": "odd"},
        7,
    ]
    reply = chat.read(message(content=parts), 1)
    assert (reply.text, reply.reasoning) == ("Two cups", "Hm.")
    assert chat.read(message(content=[{"type": "refusal", "refusal": "No."}]), 1).end == "refused"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_by_either_name(field: str) -> None:
    assert chat.read(message(content=None, **{field: "Hm."}), 1).reasoning == "Hm."


def finished(reason: Any, **fields: Any) -> Reply:
    return chat.read({"choices": [{"message": fields, "finish_reason": reason}]}, 1)


@pytest.mark.parametrize("begin", ["<think>", "\n<think>\n", ""])
def test_thoughts_that_a_server_leaves_in_the_text_are_no_visible_words(begin: str) -> None:
    reply = chat.read(message(content=f'{begin}Say {{"calls": []}}?</think>\n\nDone.'), 1)
    assert (reply.text, reply.reasoning) == ("Done.", 'Say {"calls": []}?')
    cut_off = finished("length", content="<think>Perhaps")
    assert (cut_off.text, cut_off.reasoning, cut_off.end) == ("", "Perhaps", "truncated")


def test_calls_count_for_more_than_the_finish_reason() -> None:
    calls = [call("{}")]
    for reason in ("stop", "tool_calls", "length", "content_filter", None, 7):
        assert finished(reason, tool_calls=calls).end == "complete"
    assert finished("length", tool_calls=[call('{"x0": 1, "y')]).end == "truncated"
    assert finished("tool_calls", content="Done.").end == "complete"


@pytest.mark.parametrize("api", APIS)
def test_a_full_room_is_a_cut_off_reply(api: str) -> None:
    """llama.cpp calls them complete on the Responses API."""
    filled = Says("and then the", tokens=(10, 0, 128, 0))
    assert sent([filled], api, request(max_tokens=128)).end == "truncated"
    assert sent([filled], api, request(max_tokens=129)).end == "complete"
    assert sent([filled], api).end == "complete"
    assert (
        sent([Says("", CALL.calls, tokens=(10, 0, 128, 0))], api, request(max_tokens=128)).end == "complete"
    )


def test_a_single_call_of_the_old_form() -> None:
    reply = chat.read(message(function_call={"name": "reset", "arguments": "{}"}), 1)
    assert [one.name for one in reply.calls] == ["reset"]


def test_calls_without_an_id_of_their_own_get_one() -> None:
    raw = [call("{}"), call("{}"), call("{}", id=""), call("{}", id=None)]
    reply = chat.read(message(tool_calls=raw), 5)
    assert [one.id for one in reply.calls] == ["c1", "call_5_1", "call_5_2", "call_5_3"]
    assert [one["id"] for one in reply.echo["tool_calls"]] == [one.id for one in reply.calls]
    output = [{"type": "function_call", "name": "reset", "arguments": "{}"}] * 2
    assert [one.id for one in responses.read({"output": output}, 5).calls] == ["call_5_0", "call_5_1"]


def test_an_error_in_the_clothes_of_a_200() -> None:
    passing = answer({"error": {"code": 502, "message": "the provider is down"}})
    assert sent([passing, CALL]).calls
    with pytest.raises(EndpointError, match=r"no such model.*nothing of that name"):
        sent([answer({"error": {"code": 404, "message": "nothing of that name"}})])


def test_an_error_in_the_clothes_of_a_choice() -> None:
    def choice(code: int, message: str) -> Answer:
        error = {"code": code, "message": message}
        return answer({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": error}]})

    assert sent([choice(502, "the provider is down"), CALL]).calls
    with pytest.raises(EndpointError, match="there is no credit left"):
        sent([choice(402, "Insufficient credits")])
    with pytest.raises(EndpointError, match=r"fails with every attempt.*the provider is down") as caught:
        sent([choice(502, "the provider is down")] * 4)
    assert not isinstance(caught.value, Unreadable)


def test_a_response_that_failed() -> None:
    failed = {"status": "failed", "output": [], "error": {"code": "server_error", "message": "sorry"}}
    assert sent([answer(failed), CALL], "responses").calls
    flagged = {"status": "failed", "output": [], "error": {"code": "image_content_policy_violation"}}
    assert sent([answer(flagged)], "responses").end == "filtered"
    invalid = {
        "status": "failed",
        "output": [],
        "error": {"code": "invalid_image", "message": "what is that"},
    }
    with pytest.raises(EndpointError, match="what is that"):
        sent([answer(invalid)], "responses")


def test_a_stream_is_no_reply() -> None:
    stream = Answer(200, b'data: {"choices": []}\n\ndata: [DONE]\n', {"content-type": "text/event-stream"})
    with pytest.raises(EndpointError, match="expected JSON, got events"):
        sent([stream] * 3)


def test_padding_around_json_and_a_wrong_content_type_do_not_matter() -> None:
    body = b"\n \n" + json.dumps(message(content="hello")).encode() + b"\n"
    assert sent([Answer(200, body, {"content-type": "text/plain"})]).text == "hello"


def test_a_reply_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskpilot.agent.mllm.client.LARGEST_REPLY", 1 << 20)
    endless = Answer(200, b" " * (2 << 20))
    with pytest.raises(EndpointError, match="more than 1 MiB"):
        sent([endless] * 3)


def test_an_error_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskpilot.agent.mllm.client.LARGEST_REPLY", 1 << 20)
    with pytest.raises(EndpointError, match="more than 1 MiB"):
        sent([Answer(400, b"x" * (2 << 20))], patience=Patience(broken=1))


def test_an_error_that_trickles_in() -> None:
    trickling = Answer(400, b'{"error": {"message": "no such parameter"}}', drip=0.6)
    with pytest.raises(EndpointError, match="no such parameter"):
        sent([trickling])
    with pytest.raises(EndpointError, match="does not answer in time"):
        sent([trickling], patience=Patience(timeout=0.25, no_connection=1))


def test_lone_surrogates_do_not_travel() -> None:
    body = b'{"choices": [{"message": {"role": "assistant", "content": "bad \\ud800 text"}}]}'
    with wired([Answer(200, body), CALL]) as (wire, server, _):
        reply = wire.send(request())
        wire.send(
            request(Message(Role.assistant, reply.text, echo=reply.echo), Message(Role.user, reply.text))
        )
        assert server.bodies[1]["messages"][-1]["content"] == "bad ? text"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_know_do_not_travel(api: str, number: str) -> None:
    make = chat_payload if api == "chat" else responses_payload
    payload = json.dumps(make(Says("", CALL.calls, reasoning="Hm."), "m1"))
    odd = payload.replace('"type": "function', f'"odd": {number}, "odds": [{number}], "type": "function')
    with wired([Answer(200, odd.encode()), Says("x")], api) as (wire, server, _):
        reply = wire.send(request())
        answered = (
            Message(Role.assistant, calls=reply.calls, echo=reply.echo),
            Message(Role.tool, "done", call_id=reply.calls[0].id),
        )
        wire.send(request(*answered))
        assert "odds" in json.dumps(server.bodies[1])


def test_arguments_with_numbers_that_json_does_not_know_go_back_empty() -> None:
    reply = chat.read(message(tool_calls=[call({"value": float("nan")})]), 1)
    assert reply.echo["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("read", [chat.read, responses.read])
def test_a_reply_nested_without_end_is_broken(read: Any) -> None:
    nested: Any = "x"
    for _ in range(900):
        nested = [nested]
    made = message(content="x", odd=nested) if read is chat.read else response_with(nested)
    with pytest.raises(Broken, match="levels deep"):
        read(made, 1)


@pytest.mark.parametrize("make", [chat_payload, responses_payload])
def test_random_damage_is_broken_or_a_reply(make: Any) -> None:
    """Every value of a good answer, replaced by every kind of wrong one: never another exception."""
    form = chat if make is chat_payload else responses
    good = make(Says("t", CALL.calls, reasoning="r"), "m1")
    for path in list(paths(good)):
        for wrong in (None, 7, "x", [], {}, [7], {"a": 7}, True, 0.5, float("nan"), [{"a": 1e999}], "\ud800"):
            damaged = json.loads(json.dumps(good))
            holder = damaged
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = wrong
            try:
                reply = form.read(damaged, 1)
            except Broken:
                continue
            sendable = json.dumps(reply.echo, allow_nan=False, ensure_ascii=False).encode()
            assert all(one.id.encode() in sendable for one in reply.calls)
            assert isinstance(reply.text, str)
            assert isinstance(reply.reasoning, str)
            assert all(isinstance(one.name, str) and isinstance(one.arguments, dict) for one in reply.calls)


def paths(value: Any, start: tuple[Any, ...] = ()) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*start, key)
        yield from paths(item, (*start, key))
