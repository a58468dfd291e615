"""An OpenAI-compatible server on the loopback that answers what it is told to, and fails on demand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

from maskpilot.testing.faults import FaultMix, error
from maskpilot.testing.says import Answer, Fault, Says, Spoilt

__all__ = ["FaultyServer", "Seen", "Turn"]

Turn: TypeAlias = Says | Fault | Spoilt | Answer

DROPS = 8
GOOD = Fault("none")
USED_UP = error(500, "the script is used up", "script_used_up")
NOT_FOUND = error(404, "no such path", "not_found")
ENDPOINTS = {"/chat/completions": "chat", "/responses": "responses"}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived.

    Attributes:
        api: "chat", "responses", "models", or "" for any other path.
        headers: with lower-case names; hold the key, so they are not shown.
        body: its JSON; None where there is none.
    """

    api: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = None


class FaultyServer:
    """Serves Chat Completions, the Responses API and a list of models; a context manager.

    A test ends with `assert server.is_used_up`: a script longer than the conversation is a test that did not
    test what it says. A conversation longer than the script gets 500s with the code `script_used_up`.

    Args:
        turns: what to answer to each request in order, or a function from a request to its answer, called
            from several threads.
        mix: spoils a share of the answers that no fault of their own spoils.
        models: names for the list of models.
    """

    def __init__(
        self,
        turns: Sequence[Turn] | Callable[[Seen], Turn],
        *,
        mix: FaultMix | None = None,
        models: Sequence[str] = ("test-model",),
    ) -> None:
        self._script = None if callable(turns) else list(turns)
        self._function = turns if callable(turns) else None
        self._mix = mix
        self._models = tuple(models)
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._http = _HTTP(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.close()

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Requests so far, in the order in which they arrived."""
        with self._lock:
            return tuple(self._seen)

    @property
    def bodies(self) -> list[Any]:
        """JSON of the requests so far."""
        return [seen.body for seen in self.seen]

    @property
    def is_used_up(self) -> bool:
        """Whether the script was played to its end; true of a function, which has none."""
        return self.left == 0

    @property
    def left(self) -> int:
        """Turns of the script that nobody asked for yet."""
        with self._lock:
            return len(self._script or ())

    def answer(self, seen: Seen) -> Answer:
        """What to answer to a request; records it."""
        with self._lock:
            self._seen.append(seen)
        if seen.api == "models":
            listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models]}
            return Answer(200, json.dumps(listed).encode())
        if not seen.api:
            return NOT_FOUND.spoil(Says(), "chat", "")
        turn = self._turn(seen)
        if isinstance(turn, Says) and self._mix is not None:
            turn = Spoilt(turn, self._mix.draw() or GOOD)
        model = str(seen.body.get("model")) if isinstance(seen.body, dict) else ""
        match turn:
            case Answer():
                return turn
            case Says():
                return GOOD.spoil(turn, seen.api, model)
            case Fault():
                return turn.spoil(Says(), seen.api, model)
            case Spoilt():
                return turn.fault.spoil(turn.says, seen.api, model)

    def _turn(self, seen: Seen) -> Turn:
        if self._function is not None:
            return self._function(seen)
        with self._lock:
            return self._script.pop(0) if self._script else USED_UP


class _HTTP(ThreadingHTTPServer):
    """A thread for each connection; knows the open ones, to close them at the end."""

    daemon_threads = False  # closing waits for them, so that no socket is left behind

    def __init__(self, faulty: FaultyServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faulty = faulty
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            for connection in self.connections:
                _cut(connection)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers, broken off where an answer says so."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTP

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections.add(self.connection)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client died while it asked
            super().handle()

    def finish(self) -> None:
        with self.server.lock:
            self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):  # what was not written may still wait in the file
            super().finish()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        raw = self.rfile.read(length)
        path = self.path.partition("?")[0]
        api = next((api for end, api in ENDPOINTS.items() if path.endswith(end)), "")
        try:
            body = json.loads(raw)
        except ValueError:
            self._write(error(400, "the request is not JSON", "invalid_json").spoil(Says(), "chat", ""))
            return
        self._write(self.server.faulty.answer(Seen(api, self.path, self._named(), body)))

    def do_GET(self) -> None:
        api = "models" if self.path.partition("?")[0].endswith("/models") else ""
        self._write(self.server.faulty.answer(Seen(api, self.path, self._named())))

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is its own."""

    def _named(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _write(self, answer: Answer) -> None:
        if answer.delay:
            time.sleep(answer.delay)
        with contextlib.suppress(OSError):  # the client may be gone: its timeout is what is tested
            if answer.cut_at != 0:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self._write_body(answer)
        if answer.cut_at is not None:
            self.close_connection = True
            _cut(self.connection)

    def _write_body(self, answer: Answer) -> None:
        body = answer.body[: answer.cut_at]
        pieces = DROPS if answer.drip else 1
        size = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), size):
            time.sleep(answer.drip / pieces)
            self.wfile.write(body[start : start + size])


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
