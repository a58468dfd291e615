"""What is sent: each kind of message, in both APIs."""

import base64
import gc
import io
import json
from typing import Any

import pytest
from PIL import Image

from maskpilot.agent.mllm import chat, responses
from maskpilot.agent.mllm.exchange import CallStyle, Message, Reply, Request, Role
from maskpilot.agent.mllm.pictures import Pictures, data_url
from maskpilot.testing.says import Says, chat_payload, responses_payload
from maskpilot.types import ToolCall
from tests.agent.mllm.wires import CALL, PICTURE, body_of, request, wired

SCHEMA = {"type": "object", "properties": {"calls": {"type": "array", "items": {"type": "object"}}}}


def messages(*ours: Message, api: str = "chat") -> list[Any]:
    form = chat if api == "chat" else responses
    made = form.body(Request(ours), Pictures())
    json.dumps(made)
    return list(made["messages" if api == "chat" else "input"])


def answered(reply: Reply, api: str) -> list[Any]:
    """The reply, sent back."""
    ours = Message(Role.assistant, reply.text, calls=reply.calls, echo=reply.echo)
    return messages(ours, api=api)


# --- Chat Completions ----------------------------------------------------------------------------


def test_chat_messages() -> None:
    call = ToolCall("reset", {"rating": 3}, "c7")
    sent = messages(
        Message(Role.system, "Rules."),
        Message(Role.user, "Look.", pictures=(PICTURE, PICTURE)),
        Message(Role.assistant, "Hm.", calls=(call,)),
        Message(Role.tool, "Done.", call_id="c7", tool="reset"),
        Message(Role.user, "And now?"),
    )
    picture = {"type": "image_url", "image_url": {"url": data_url(PICTURE)}}
    assert sent == [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": [picture, picture, {"type": "text", "text": "Look."}]},
        {
            "role": "assistant",
            "content": "Hm.",
            "tool_calls": [
                {"id": "c7", "type": "function", "function": {"name": "reset", "arguments": '{"rating": 3}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c7", "name": "reset", "content": "Done."},
        {"role": "user", "content": "And now?"},
    ]


def test_chat_sends_no_nulls_and_no_empty_lists() -> None:
    assert messages(Message(Role.assistant, "Hm.")) == [{"role": "assistant", "content": "Hm."}]
    assert messages(Message(Role.assistant)) == [{"role": "assistant", "content": ""}]
    (only_calls,) = messages(Message(Role.assistant, calls=(ToolCall("reset", {}, "c1"),)))
    assert "content" not in only_calls
    (only_picture,) = messages(Message(Role.user, pictures=(PICTURE,)))
    assert [part["type"] for part in only_picture["content"]] == ["image_url"]


def test_chat_echoes_what_it_does_not_know() -> None:
    extra = {"google": {"thought_signature": "abc="}}
    function = {"name": "reset", "arguments": '{ "rating":3 }'}
    message = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning_content": "Hm.",
        "audio": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": extra}],
    }
    reply = chat.read({"choices": [{"message": message}]}, 1)
    assert answered(reply, "chat") == [
        {
            "role": "assistant",
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": extra}],
        }
    ]


@pytest.mark.parametrize("raw", ['{"x0": 1, oops', "[1]", "NaN", 7, ["x"]])
def test_unreadable_arguments_go_back_as_an_empty_object(raw: Any) -> None:
    call = {"id": "c1", "function": {"name": "reset", "arguments": raw}}
    (echoed,) = answered(chat.read({"choices": [{"message": {"tool_calls": [call]}}]}, 1), "chat")
    assert echoed["tool_calls"][0]["function"]["arguments"] == "{}"
    item = {"type": "function_call", "call_id": "c1", "name": "reset", "arguments": raw}
    (echoed,) = answered(responses.read({"output": [item]}, 1), "responses")
    assert echoed["arguments"] == "{}"


@pytest.mark.parametrize("message", [{"tool_calls": None}, {"tool_calls": []}, {"content": None}, {}])
def test_a_reply_of_nothing_goes_back_as_empty_words(message: Any) -> None:
    assert answered(chat.read({"choices": [{"message": message}]}, 1), "chat") == [
        {"role": "assistant", "content": ""}
    ]


def test_a_refusal_goes_back_in_its_words() -> None:
    reply = chat.read({"choices": [{"message": {"content": None, "refusal": "No."}}]}, 1)
    (echoed,) = answered(reply, "chat")
    assert (echoed["content"], echoed["refusal"]) == ("No.", "No.")


def test_an_echo_of_the_other_api_is_said_in_ones_own_words() -> None:
    of_chat = chat.read(chat_payload(CALL, "m1"), 1)
    of_responses = responses.read(responses_payload(CALL, "m1"), 1)
    assert [item.get("type", "message") for item in answered(of_chat, "responses")] == [
        "message",
        "function_call",
    ]
    (echoed,) = answered(of_responses, "chat")
    assert echoed["tool_calls"][0]["function"]["name"] == "set_threshold"


# --- Responses API -------------------------------------------------------------------------------


def test_responses_messages() -> None:
    call = ToolCall("reset", {"rating": 3}, "c7")
    asked = request(
        Message(Role.assistant, "Hm.", calls=(call,)),
        Message(Role.tool, "Done.", call_id="c7"),
        Message(Role.user, "And now?"),
    )
    made = body_of(asked, "responses")
    assert made["instructions"] == "You pilot a segmenter."
    assert made["store"] is False
    assert made["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": data_url(PICTURE), "detail": "auto"},
                {"type": "input_text", "text": "Find the cups."},
            ],
        },
        {"type": "message", "role": "assistant", "content": "Hm."},
        {"type": "function_call", "call_id": "c7", "name": "reset", "arguments": '{"rating": 3}'},
        {"type": "function_call_output", "call_id": "c7", "output": "Done."},
        {"role": "user", "content": "And now?"},
    ]


def test_responses_echo_reasoning_that_is_encrypted() -> None:
    payload = responses_payload(Says("Hm.", CALL.calls, reasoning="Let me see."), "m1")
    payload["output"][0]["status"] = None
    echoed = answered(responses.read(payload, 1), "responses")
    assert [item["type"] for item in echoed] == ["reasoning", "message", "function_call"]
    assert echoed[0]["encrypted_content"] == "b64"
    assert "status" not in echoed[0]


def test_responses_leave_out_reasoning_that_the_server_would_look_up() -> None:
    payload = responses_payload(Says("Hm.", CALL.calls, reasoning="Let me see."), "m1")
    del payload["output"][0]["encrypted_content"]
    echoed = answered(responses.read(payload, 1), "responses")
    assert [item.get("type", "message") for item in echoed] == ["message", "function_call"]
    assert not any("id" in item for item in echoed)


def test_a_later_system_message_stays_where_it_is() -> None:
    sent = messages(Message(Role.user, "a"), Message(Role.system, "b"), api="responses")
    assert sent[1] == {"role": "system", "content": "b"}


# --- Styles and settings -------------------------------------------------------------------------


def test_native_style() -> None:
    (tool,) = body_of(request())["tools"]
    assert tool["type"] == "function"
    assert sorted(tool["function"]) == ["description", "name", "parameters"]
    (tool,) = body_of(request(), "responses")["tools"]
    assert sorted(tool) == ["description", "name", "parameters", "strict", "type"]
    assert tool["strict"] is False


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_schema_style(api: str) -> None:
    made = body_of(request(style=CallStyle.schema, schema=SCHEMA), api)
    assert "tools" not in made
    if api == "chat":
        form = {"name": "reply", "schema": SCHEMA}
        assert made["response_format"] == {"type": "json_schema", "json_schema": form}
    else:
        assert made["text"]["format"]["schema"] == SCHEMA


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_text_style(api: str) -> None:
    made = body_of(request(style=CallStyle.text), api)
    assert not {"tools", "response_format", "text", "tool_choice", "parallel_tool_calls"} & made.keys()


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_no_stream_is_asked_for(api: str) -> None:
    assert not body_of(request(), api).get("stream")


def test_settings() -> None:
    given: dict[str, Any] = {
        "max_tokens": 300,
        "temperature": 0.0,
        "reasoning_effort": "low",
        "extra": {"seed": 7, "top_k": 3},
    }
    made = body_of(request(), **given)
    assert (made["model"], made["max_tokens"], made["temperature"]) == ("m1", 300, 0.0)
    assert (made["reasoning_effort"], made["seed"], made["top_k"]) == ("low", 7, 3)
    made = body_of(request(max_tokens=50), "responses", **given)
    assert (made["max_output_tokens"], made["reasoning"]) == (50, {"effort": "low"})
    assert "max_tokens" not in made
    bare = body_of(request())
    assert sorted(bare) == ["messages", "model", "tools"]


def test_detail_of_pictures() -> None:
    part = body_of(request(), detail="high")["messages"][1]["content"][0]
    assert part["image_url"]["detail"] == "high"
    part = body_of(request(), "responses", detail="high")["input"][0]["content"][0]
    assert part["detail"] == "high"


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_words_that_utf8_cannot_hold(api: str) -> None:
    call = ToolCall("res\ud800et", {"a": "\udfff"}, "c1")
    asked = request(Message(Role.assistant, "\ud800", calls=(call,)), Message(Role.user, "caf\udce9"))
    assert "caf?" in json.dumps(body_of(asked, api))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_prefix_stays_the_same_to_the_byte(api: str) -> None:
    with wired([CALL, CALL], api) as (wire, server, _):
        first = request()
        reply = wire.send(first)
        answer = Message(Role.assistant, reply.text, calls=reply.calls, echo=reply.echo)
        more = (answer, Message(Role.tool, "Done.", call_id=reply.calls[0].id))
        wire.send(Request((*first.messages, *more), first.tools))
        before, after = (body["messages" if api == "chat" else "input"] for body in server.bodies)
    assert json.dumps(after).startswith(json.dumps(before)[:-1])
    assert len(after) > len(before)


# --- Pictures ------------------------------------------------------------------------------------


def decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def test_drawings_go_as_png_and_photographs_as_jpeg() -> None:
    drawing = Image.new("RGB", (64, 48), "orange")
    assert data_url(drawing).startswith("data:image/png;base64,")
    assert decoded(data_url(drawing)).getpixel((0, 0)) == (255, 165, 0)
    colourful = Image.merge("RGB", [Image.effect_noise((256, 256), 60) for _ in range(3)])
    assert data_url(colourful).startswith("data:image/jpeg;base64,")
    assert decoded(data_url(colourful)).size == (256, 256)


def test_other_modes_are_made_rgb() -> None:
    assert decoded(data_url(Image.new("RGBA", (8, 8), (9, 8, 7, 0)))).getpixel((0, 0)) == (9, 8, 7)


def test_a_picture_is_encoded_once_and_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def encode(picture: Image.Image) -> str:
        encoded.append(picture.size)
        return "data:"

    monkeypatch.setattr("maskpilot.agent.mllm.pictures.data_url", encode)
    pictures = Pictures()
    first, second = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))
    for picture in (first, second, first, second):
        pictures.url(picture)
    assert len(encoded) == 2
    del first, picture
    gc.collect()
    assert len(pictures) == 1
