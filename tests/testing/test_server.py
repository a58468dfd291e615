"""The faulty server itself, asked without any client of ours."""

import http.client
import json
import socket
import struct
from typing import Any

import pytest

from maskpilot.testing import Answer, FaultMix, FaultyServer, Says, Seen, Spoilt
from maskpilot.testing.faults import ANSWERING, CUT_BEFORE, CUT_WITHIN, HTML, PASSING, QUOTA, busy, slow

CALL = Says("Hm.", (("reset", {"rating": 1}),))


def post(server: FaultyServer, path: str = "/v1/chat/completions", body: str = '{"model": "m"}') -> Any:
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(server.url.split(":")[2].split("/")[0]), timeout=5
    )
    try:
        connection.request("POST", path, body, {"Authorization": "Bearer k"})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_a_script_is_played_in_order_and_to_its_end() -> None:
    with FaultyServer([CALL, busy("7"), HTML]) as server:
        status, _, body = post(server)
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "reset"
        assert server.left == 2
        status, headers, _ = post(server)
        assert (status, headers["retry-after"]) == (429, "7")
        assert post(server)[2].startswith(b"<html>")
        assert server.is_used_up
        assert server.left == 0
        status, _, body = post(server)
        assert (status, json.loads(body)["error"]["code"]) == (500, "script_used_up")


def test_a_function_answers_in_either_api() -> None:
    def turn(seen: Seen) -> Says:
        return Says(f"{seen.api} {seen.body['model']}")

    with FaultyServer(turn) as server:
        assert json.loads(post(server)[2])["choices"][0]["message"]["content"] == "chat m"
        made = json.loads(post(server, "/v1/responses")[2])
        assert made["output"][0]["content"][0]["text"] == "responses m"


def test_requests_are_kept_and_keys_not_shown() -> None:
    with FaultyServer([CALL]) as server:
        post(server)
    (seen,) = server.seen
    assert seen.headers["authorization"] == "Bearer k"
    assert "Bearer" not in repr(seen)
    assert server.bodies == [{"model": "m"}]


def test_wrong_paths_and_wrong_json() -> None:
    with FaultyServer([CALL]) as server:
        assert post(server, "/v1/completions")[0] == 404
        assert post(server, body="no json")[0] == 400
        assert server.left == 1


@pytest.mark.parametrize("fault", [CUT_BEFORE, CUT_WITHIN], ids=lambda fault: fault.name)
def test_cut_connections(fault: Any) -> None:
    with FaultyServer([fault, CALL]) as server:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            post(server)
        assert post(server)[0] == 200


def test_an_answer_of_ones_own() -> None:
    with FaultyServer([Answer(418, b"tea", {"x-pot": "small"})]) as server:
        status, headers, body = post(server)
    assert (status, headers["x-pot"], body) == (418, "small", b"tea")


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("fault", PASSING + ANSWERING, ids=lambda fault: fault.name)
def test_every_fault_spoils_every_turn(fault: Any, api: str) -> None:
    good = [CALL, Says("x"), Says("", reasoning="r"), Says(tokens=None, end="length")]
    for says in good:
        answer = fault.spoil(says, api, "m")
        assert isinstance(answer.body, bytes)
        assert answer.delay <= 1.0


def test_no_test_hangs() -> None:
    assert slow(3600).spoil(CALL, "chat", "m").delay == 1.0


def test_a_mix_keeps_to_its_rate_and_its_seed() -> None:
    mixes = [FaultMix(0.2, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (
        [fault and fault.name for fault in (mix.draw() for _ in range(2000))] for mix in mixes
    )
    assert first == again != other
    assert 330 < mixes[0].drawn.total() < 470
    assert len(mixes[0].drawn) == len({fault.name for fault in PASSING + ANSWERING})
    assert FaultMix(0.0).draw() is None


def test_a_mix_leaves_alone_what_is_a_fault_already() -> None:
    mix = FaultMix(1.0, (HTML,))
    with FaultyServer([QUOTA, Spoilt(CALL, busy()), CALL], mix=mix) as server:
        assert [post(server)[0] for _ in range(3)] == [429, 429, 200]
    assert mix.drawn == {"HTML": 1}


@pytest.mark.parametrize(("rate", "faults"), [(1.5, PASSING), (-0.1, PASSING), (0.5, ())])
def test_a_mix_that_is_none(rate: float, faults: Any) -> None:
    with pytest.raises(ValueError, match=r"FaultMix\.(rate|faults): expected"):
        FaultMix(rate, faults)


@pytest.mark.parametrize("said", [b"", b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"])
def test_a_client_that_dies_while_it_asks_is_no_news(said: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with FaultyServer([CALL]) as server:
        client = http.client.HTTPConnection("127.0.0.1", int(server.url.split(":")[2].split("/")[0]))
        client.request("GET", "/v1/models")
        client.getresponse().read()
        client.sock.sendall(said)
        # As of a process that is killed: the server is told that nobody is there any more.
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert server.left == 1
    assert capfd.readouterr().err == ""
