"""What endpoints' errors mean, in the words in which they have been seen."""

from typing import Any

import pytest

from maskpilot.agent.mllm.failures import Feature, Trouble
from maskpilot.agent.mllm.refusals import asked_wait, is_filtered, refusal

ALL = (Feature.tools, Feature.schema, Feature.images)


@pytest.mark.parametrize(
    ("status", "message", "feature"),
    [
        (
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "tools",
        ),
        (400, "registry.ollama.ai/library/llava:7b does not support tools", "tools"),
        (500, "tools param requires --jinja flag", "tools"),
        (500, "Unsupported param: tools", "tools"),
        (404, "No endpoints found that support tool use.", "tools"),
        (404, "No endpoints found that support image input", "images"),
        (400, "Invalid content type. image_url is only supported by certain models.", "images"),
        (500, "image input is not supported - hint: you may need to provide the mmproj", "images"),
        (500, 'Failed to parse messages: Unsupported content part type: "image_url"', "images"),
        (400, "qwen3 is not a multimodal model", "images"),
        (400, "At most 0 image(s) may be provided in one request.", "images"),
        (422, "messages[1]: unknown variant `image_url`, expected `text`", "images"),
        (
            400,
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model",
            "schema",
        ),
        (400, "This response_format type is unavailable now", "schema"),
        (400, "This model's maximum context length is 8192 tokens", "context"),
        (400, "the request exceeds the available context size", "context"),
        (
            400,
            "The decoder prompt (length 15329) is longer than the maximum model length of 8192. ... "
            "For image inputs, the number of image tokens depends on the number of images",
            "context",
        ),
        (400, "prompt too long; exceeded max context length by 812 tokens", "context"),
        (400, "At most 2 image(s) may be provided in one prompt.", "context"),
        (400, "Too many images in request. Max is 10.", "context"),
        (413, "", "context"),
        (400, "Unexpected role 'user' after role 'tool'", "tools"),
        (
            500,
            "Jinja Exception: After the optional system message, conversation roles must alternate user and "
            "assistant roles except for tool calls and results.",
            "tools",
        ),
    ],
)
def test_a_lacking_feature(status: int, message: str, feature: str) -> None:
    failure = refusal(status, {"message": message}, used=ALL)
    assert (failure.trouble, failure.feature) == (Trouble.final, Feature(feature))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Unsupported value: 'temperature' does not support 0.0 with this model"),
        (
            400,
            "Tools with reasoning_effort are not supported in /v1/chat/completions, see /v1/responses",
        ),
        (401, "tools are not supported with this key"),
        (400, "the image is damaged"),
        (404, "The model `m1` does not exist"),
    ],
)
def test_another_reason(status: int, message: str) -> None:
    failure = refusal(status, {"message": message}, used=ALL)
    assert (failure.trouble, failure.feature) == (Trouble.final, None)


@pytest.mark.parametrize(
    ("status", "trouble"), [(502, "server_error"), (503, "overloaded"), (504, "server_error")]
)
def test_a_server_that_is_away_lacks_no_feature(status: int, trouble: str) -> None:
    failure = refusal(status, {"message": "the image and tool services are unavailable"}, used=ALL)
    assert (failure.trouble, failure.feature) == (trouble, None)


@pytest.mark.parametrize(
    "message",
    [
        "Failed to parse input at pos 12: <tool_call>",
        "The model produced output that does not match the expected peg-native format",
        "error parsing tool call: raw='{', err=unexpected end of JSON input",
        "XML syntax error on line 8: element <function> closed by </parameter>",
        "failed to parse XML: XML syntax error on line 1: unexpected EOF",
        "failed to parse JSON: invalid character 'x'",
        "expected element type <function> but have <parameter>",
        "invalid character ']' after object key:value pair",
        "unexpected end of JSON input",
        "expected 'call:' prefix",
        "tool 'fly' not found",
    ],
)
def test_what_the_model_wrote_could_not_be_parsed(message: str) -> None:
    assert refusal(500, {"message": message, "type": "api_error"}, used=ALL).trouble is Trouble.broken
    assert refusal(400, {"message": message}).trouble is Trouble.final  # that is about the request


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_groq_says_so_by_a_code(code: str) -> None:
    said = {"message": "Failed to call a function. Please adjust your prompt.", "code": code}
    assert refusal(400, {"error": said}, used=ALL).trouble is Trouble.broken


@pytest.mark.parametrize(
    "message",
    ["API key not valid. Please pass a valid API key.", "Incorrect API key provided: na***ys."],
)
def test_a_wrong_key_by_another_status(message: str) -> None:
    failure = refusal(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])
    assert (failure.trouble, failure.status) == (Trouble.final, 401)


@pytest.mark.parametrize(
    "error",
    [
        {"message": "You exceeded your current quota", "code": "insufficient_quota"},
        {"message": "Your account is suspended", "type": "exceeded_current_quota_error"},
        {"message": "Insufficient balance or no resource package. Please recharge.", "code": "1113"},
    ],
)
def test_waiting_brings_no_money(error: dict[str, str]) -> None:
    assert refusal(429, {"error": error}).trouble is Trouble.final


def test_no_money_by_another_status() -> None:
    said = {
        "message": "Access denied, please make sure your account is in good standing.",
        "code": "Arrearage",
    }
    failure = refusal(400, {"error": said})
    assert (failure.trouble, failure.status) == (Trouble.final, 402)


def test_what_the_provider_behind_a_router_said_counts() -> None:
    raw = '{"object":"error","message":"Unexpected role \'user\' after role \'tool\'"}'
    error = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}
    failure = refusal(400, {"error": error}, used=ALL)
    assert failure.feature is Feature.tools
    assert "Provider returned error" in str(failure)
    assert "after role" in str(failure)


def test_a_limit_that_is_too_large_is_not_misnamed() -> None:
    message = "max_completion_tokens is too large: 40000. This model supports at most 16384"
    assert refusal(400, {"message": message}).trouble is Trouble.final


def test_only_features_that_were_used_can_be_lacking() -> None:
    message = {"message": "m1 does not support tools"}
    assert refusal(400, message, used=(Feature.images,)).feature is None
    assert refusal(500, message).trouble is Trouble.server_error


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (408, "busy"),
        (409, "busy"),
        (429, "busy"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "overloaded"),
        (529, "overloaded"),
        (400, "final"),
    ],
)
def test_trouble_by_status(status: int, trouble: str) -> None:
    assert refusal(status, None).trouble == trouble


def test_gemini_says_quota_and_means_this_minute() -> None:
    body = [
        {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}
    ]
    failure = refusal(429, body)
    assert failure.trouble is Trouble.busy
    assert "RESOURCE_EXHAUSTED: You exceeded" in str(failure)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "m", "code": "c"}, "400 c: m"),
        ({"error": {"message": "m", "type": "t"}}, "400 t: m"),
        ({"error": "m"}, "400 : m"),
        ({"detail": [{"loc": ["body"]}]}, "400 : [{'loc': ['body']}]"),
        ({"message": None, "code": 7}, "400"),
        ("plain words", "400 : plain words"),
        ("<html>…</html>", "400"),
        ([], "400"),
        (None, "400"),
        (7, "400"),
    ],
)
def test_errors_of_any_shape(body: Any, said: str) -> None:
    assert str(refusal(400, body)) == said


def test_filters() -> None:
    assert is_filtered(refusal(400, {"code": "content_filter", "message": "no"}))
    assert is_filtered(refusal(400, {"code": "invalid_prompt", "message": "violating our usage policy"}))
    assert not is_filtered(refusal(400, {"code": "invalid_prompt", "message": "no messages"}))
    assert is_filtered(refusal(400, {"error": {"code": "data_inspection_failed", "message": "no"}}))
    moderated = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "x"}
    assert is_filtered(refusal(403, {"error": {"code": 403, "message": "flagged", "metadata": moderated}}))
    assert not is_filtered(refusal(403, {"error": {"code": 403, "message": "Key limit exceeded"}}))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 37.0),
        ({"retry-after": "Sunday"}, None),
        ({"retry-after": "1e999"}, None),
    ],
)
def test_asked_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(headers, now=784111740.0) == seconds
