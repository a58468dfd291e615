"""The key goes to the endpoint and nowhere else."""

import json
import logging
import subprocess
import sys
import traceback
from typing import Any

import pytest

from maskpilot.agent.mllm.exchange import Reply, ReplyEnd
from maskpilot.agent.mllm.failures import plain
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.errors import InvalidInput, PolicyError
from maskpilot.testing import Answer, FaultyServer, Says
from maskpilot.testing.faults import (
    BROKEN_JSON,
    CUT_BEFORE,
    CUT_WITHIN,
    EMPTY_CHOICES,
    HTML,
    QUOTA,
    busy,
    error,
    server_error,
)
from maskpilot.testing.server import Turn
from tests.agent.mllm.wires import CANARY, Clock, request, sent, wired

ECHO = f"you sent Authorization: Bearer {CANARY} and {CANARY}"
FAILURES: list[Turn] = [
    *(error(status, ECHO, CANARY) for status in (400, 401, 403, 404, 409, 413, 418, 422, 429, 500, 503)),
    error(400, f"{CANARY} does not support tools"),
    error(400, "filtered " + ECHO, "content_filter"),
    QUOTA,
    busy(CANARY),
    server_error(),
    CUT_BEFORE,
    CUT_WITHIN,
    BROKEN_JSON,
    HTML,
    EMPTY_CHOICES,
    Answer(200, ECHO.encode()),
    Answer(200, json.dumps({"error": ECHO}).encode()),
    Answer(200, json.dumps({"error": {"message": ECHO, "code": 502}}).encode()),
    Answer(200, json.dumps({"choices": [{"message": {"tool_calls": ECHO}}], ECHO: ECHO}).encode()),
    Answer(500, f"<html>{ECHO}</html>".encode(), {"content-type": "text/html"}),
    Answer(502, ECHO.encode(), {"content-type": "text/plain", "x-request-id": CANARY}),
    Answer(307, b"", {"location": f"http://{CANARY}@127.0.0.1:1/{CANARY}?key={CANARY}"}),
]


def watch(caplog: pytest.LogCaptureFixture) -> None:
    """All of our own log, and what the HTTP client says unless debugged (then it shows answers' headers)."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "maskpilot")


def told(raised: BaseException) -> str:
    """All that can be printed of an error and of whatever hangs on to it."""
    texts = ["".join(traceback.format_exception(raised, chain=True))]
    waiting: list[BaseException | None] = [raised]
    while waiting:
        if (one := waiting.pop()) is not None:
            # The client's own errors hold the request: none may be left, even where it is not shown.
            assert type(one).__module__.startswith("maskpilot")
            texts.extend((str(one), repr(one), repr(one.args), repr(vars(one))))
            waiting.extend((one.__cause__, one.__context__))
    return "\n".join(texts)


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("failure", FAILURES, ids=range(len(FAILURES)))
def test_no_failure_tells_the_key(failure: Turn, api: str, caplog: pytest.LogCaptureFixture) -> None:
    watch(caplog)
    clock = Clock()
    with (
        FaultyServer(lambda _: failure) as server,
        OpenAIWire("m1", base_url=server.url, api_key=CANARY, api="chat" if api == "chat" else "responses",
                   clock=clock, sleep=clock.sleep) as wire,
    ):  # fmt: skip
        try:
            reply, words = wire.send(request()), ""
        except PolicyError as raised:
            reply, words = Reply(end=ReplyEnd.filtered), told(raised)
        assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    assert reply.end == "filtered"
    assert CANARY not in words + repr(reply) + repr(server.seen) + caplog.text


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    watch(caplog)
    with wired([]) as (_, server, _):
        url = server.url
    clock = Clock()
    wire = OpenAIWire("m1", base_url=url, api_key=CANARY, clock=clock, sleep=clock.sleep)
    with wire, pytest.raises(PolicyError) as caught:
        wire.send(request())
    assert CANARY not in told(caught.value) + caplog.text


def test_the_key_is_not_in_what_a_wire_says_of_itself() -> None:
    with wired([], extra={"secret": CANARY}) as (wire, _, _):
        assert CANARY not in repr(wire) + json.dumps(wire.description)
        assert wire.description["extra"] == ["secret"]
    with wired([]) as (wire, _, _):
        assert CANARY not in repr(vars(wire))


@pytest.mark.parametrize("key", ["sk-canary 1", "sk-canary\nsecond", "sk-canary-é", "sk-canary\x00"])
def test_a_key_that_no_header_holds_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="characters that no key has") as caught:
        OpenAIWire("m1", base_url="http://127.0.0.1:1/v1", api_key=key)
    assert "canary" not in told(caught.value)


@pytest.mark.parametrize(
    ("url", "key"), [(f"http://user:{CANARY}@127.0.0.1:1/v1", "x"), ("http://127.0.0.1:1/v1", f"{CANARY} 1")]
)
def test_what_is_wrong_with_a_key_is_told_with_the_variable_that_holds_it(url: str, key: str) -> None:
    with pytest.raises(InvalidInput, match="into GEMINI_API_KEY") as caught:
        OpenAIWire("m1", base_url=url, api_key=key, key_name="GEMINI_API_KEY")
    assert CANARY not in told(caught.value)
    assert "OPENAI_API_KEY" not in str(caught.value)


def test_a_placeholder_for_a_key_is_no_secret() -> None:
    with pytest.raises(PolicyError, match="ollama does not know that"):
        sent([error(404, "ollama does not know that")], api_key="ollama")


def test_a_key_from_a_file_ends_in_a_newline() -> None:
    with wired([Says("x")], api_key=f" {CANARY}\n") as (wire, server, _):
        wire.send(request())
        assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize("url", [f"http://user:{CANARY}@127.0.0.1:1/v1", f"https://{CANARY}@host/v1"])
def test_a_key_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidInput, match="put the key into OPENAI_API_KEY") as caught:
        OpenAIWire("m1", base_url=url, api_key="x")
    assert CANARY not in told(caught.value)


def test_a_query_of_the_url_is_sent_and_not_shown() -> None:
    with FaultyServer([error(401, "no")]) as server:
        wire = OpenAIWire("m1", base_url=f"{server.url}/?api-version={CANARY}", api_key="k-123456")
        with wire, pytest.raises(PolicyError) as caught:
            wire.send(request())
        assert server.seen[0].path == f"/v1/chat/completions?api-version={CANARY}"
    assert CANARY not in told(caught.value) + json.dumps(wire.description)


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://h:99999/v1", "http://["]
)
def test_a_url_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url or "nonsense")
    with pytest.raises(InvalidInput, match="base URL: expected one like"):
        OpenAIWire("m1", base_url=url, api_key="x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with FaultyServer([]) as other:
        moved = Answer(status, b"", {"location": f"{other.url}/chat/completions"})
        with pytest.raises(PolicyError, match=rf"has moved.*redirects to {other.url}/chat"):
            sent([moved])
        assert not other.seen


def test_a_redirect_to_what_is_no_address() -> None:
    with pytest.raises(PolicyError, match="redirects to nowhere"):
        sent([Answer(302, b"", {"location": f"http://[{CANARY}"})])


def test_a_key_in_the_query_is_not_repeated() -> None:
    with (
        FaultyServer([error(403, f"{CANARY} may not use version 2024-10-21")]) as server,
        OpenAIWire("m1", base_url=f"{server.url}?api-version=2024-10-21&api-key={CANARY}") as wire,
        pytest.raises(PolicyError, match=r"\[key\] may not use version 2024-10-21") as caught,
    ):
        wire.send(request())
    assert CANARY not in told(caught.value)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer([Says("x"), Says("y")]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", CANARY)
        with OpenAIWire("m1") as wire:
            wire.send(request())
        with OpenAIWire("m1", api_key="mine-123") as wire:
            wire.send(request())
        assert [seen.headers["authorization"][7:] for seen in server.seen] == [CANARY, "mine-123"]


def test_a_key_among_the_clients_own_settings_is_no_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-of-another\nX-Gateway: mine")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-of-another")
    for key, sent_key in ((CANARY, CANARY), (None, "none")):
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with wired([Says("x")], api_key=key) as (wire, server, _):
            wire.send(request())
            assert server.seen[0].headers["authorization"] == f"Bearer {sent_key}"
            assert server.seen[0].headers["x-gateway"] == "mine"
            assert "sk-of-another" not in repr(sorted(server.seen[0].headers.items()))


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InvalidInput, match="set OPENAI_API_KEY"):
        OpenAIWire("m1")
    with wired([Says("x")], api_key=None) as (wire, _, _):
        assert wire.send(request()).text == "x"


def test_the_api_of_an_endpoint() -> None:
    for url, api, name in (
        ("https://api.openai.com/v1", "responses", "max_output_tokens"),
        ("https://eu.api.openai.com/v1", "responses", "max_output_tokens"),
        ("https://x.openai.azure.com/openai/v1", "chat", "max_completion_tokens"),
        ("http://localhost:11434/v1", "chat", "max_tokens"),
    ):
        with OpenAIWire("m1", base_url=url, api_key="k", max_tokens=9) as wire:
            assert wire.description["api"] == api
            assert name in wire._settings(request(), wire._long_limit_name)
    with OpenAIWire("m1", api_key="k", base_url="https://api.openai.com/v1", api="chat") as wire:
        assert wire.api == "chat"


@pytest.mark.parametrize(("model", "api"), [(" ", "auto"), ("m1", "grpc")])
def test_options_that_are_none(model: str, api: Any) -> None:
    with pytest.raises(InvalidInput, match=r"no model|api: expected"):
        OpenAIWire(model, api=api, api_key="k")


def test_models() -> None:
    with FaultyServer([], models=("a", "b")) as server, OpenAIWire("a", base_url=server.url) as wire:
        assert wire.models() == ("a", "b")
        assert server.seen[0].api == "models"


@pytest.mark.parametrize(
    ("body", "names"), [({"data": [{"id": "a"}, 7, {}]}, ("a",)), ([{"id": "a"}], ("a",))]
)
def test_models_of_any_shape(body: Any, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(200, json.dumps(body).encode())
    monkeypatch.setattr(FaultyServer, "answer", lambda self, seen: answer)
    with FaultyServer([]) as server, OpenAIWire("a", base_url=server.url) as wire:
        assert wire.models() == names


def test_models_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyServer, "answer", lambda self, seen: Answer(200, b'{"data": 7}'))
    wrong = pytest.raises(PolicyError, match="expected a list of models, got int")
    with FaultyServer([]) as server, OpenAIWire("a", base_url=server.url) as wire, wrong:
        wire.models()


def test_models_that_cannot_be_listed() -> None:
    with FaultyServer([]) as server:
        url = server.url
    with OpenAIWire("a", base_url=url, api_key=CANARY) as wire, pytest.raises(PolicyError) as caught:
        wire.models()
    assert CANARY not in told(caught.value)


def test_closing_twice_is_fine() -> None:
    with wired([]) as (wire, _, _):
        wire.close()
        wire.close()


def test_plain_words() -> None:
    assert plain("a\x1b[31mred\x1b[0m\n\n  b\u202e\u200b") == "a[31mred[0m b"
    assert plain("data:image/png;base64,iVBORw0KGgo= end") == "[picture] end"
    assert len(plain("x" * 10**6)) == 400
    assert plain("k-1\x00234", ["k-1234"]) == "[key]"
    assert plain("y" * 39_998 + " k-1234" + "\n" * 40_000, ["k-1234"]).endswith("y…")
    assert plain("Basic dXNlcjpwYXNz and bearer abcdefgh.ijk") == "Basic [key] and bearer [key]"


def test_openai_is_imported_late() -> None:
    code = (
        "import sys, maskpilot.agent, maskpilot.agent.mllm.wire\n"
        "assert not {'openai', 'httpx2', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
