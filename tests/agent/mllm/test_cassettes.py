"""Sessions that were recorded from a real llama.cpp server, replayed with the network off."""

import base64
import io
import json
import re
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image
from vcr.request import Request

from tests.cassettes.player import FOLDER, HOST, cassette, scrubbed
from tests.cassettes.sessions import KEY, SESSIONS, check, play

LARGEST = 12_000
TAPES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture
def _network_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a test reached for the network")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_network_off")
@pytest.mark.parametrize("name", SESSIONS)
def test_a_recorded_session_is_played_to_its_end(name: str) -> None:
    with cassette(name) as tape:
        check(play(name, f"{HOST}/v1"))
    assert tape.all_played
    assert tape.play_count == len(tape) == 4


def test_there_is_a_cassette_for_every_session_and_none_without() -> None:
    assert {tape.stem for tape in TAPES} == set(SESSIONS)


@pytest.mark.parametrize("tape", TAPES, ids=lambda tape: tape.stem)
def test_a_cassette_is_small_and_holds_no_key_and_no_picture(tape: Path) -> None:
    text = tape.read_text("utf-8")
    assert len(text) < LARGEST
    assert KEY not in text
    assert not re.search(
        r"authorization|cookie|bearer|api[-_]key|data:image|127\.0\.0\.1", text, re.IGNORECASE
    )


def request(**changed: Any) -> Request:
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": changed.pop("system", "You pilot SAM 3.")},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": url(changed.pop("dot", 0))}}],
            },
        ],
        "tools": [
            {"type": "function", "function": {"name": "finish", "description": changed.pop("about", "x")}}
        ],
        **changed,
    }
    headers = {"Authorization": f"Bearer {KEY}", "Cookie": "a=b", "Content-Type": "application/json"}
    return Request("POST", "http://127.0.0.1:4711/v1/chat/completions", json.dumps(body), headers)


def url(dot: int, **options: Any) -> str:
    picture = Image.new("RGB", (20, 10), (9, 9, 9))
    picture.putpixel((3, 3), (9, 9, 9 + dot))
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def kept(made: Request) -> tuple[Any, ...]:
    return (made.uri, bytes(made.body), dict(made.headers))


def test_scrubbing_twice_is_scrubbing_once() -> None:
    once = kept(scrubbed(request()))
    assert kept(scrubbed(scrubbed(request()))) == once
    assert KEY not in repr(once)
    assert "Cookie" not in repr(once)


def test_requests_are_told_apart_by_what_is_said_and_by_single_pixels() -> None:
    usual = kept(scrubbed(request()))
    assert kept(scrubbed(request(dot=1))) != usual
    assert kept(scrubbed(request(model="n"))) != usual
    assert kept(scrubbed(request(messages=[]))) != usual


def test_a_better_prompt_or_another_encoder_needs_no_new_recording() -> None:
    usual = kept(scrubbed(request()))
    assert kept(scrubbed(request(system="You are a pilot."))) == usual
    assert kept(scrubbed(request(about="ends the session"))) == usual
    assert url(0) != url(0, compress_level=0)
    messages = json.loads(request().body)["messages"]
    messages[1]["content"][0]["image_url"]["url"] = url(0, compress_level=0)
    assert kept(scrubbed(request(messages=messages))) == usual
