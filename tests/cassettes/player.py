"""How an exchange is recorded and found again: without keys, and pictures by their pixels."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import vcr
from PIL import Image

__all__ = ["FOLDER", "HOST", "cassette", "scrubbed"]

FOLDER = Path(__file__).parent
HOST = "http://llama.invalid"
"""Stands for whatever address the server had; nothing answers there."""

KEPT_HEADERS = {"content-type"}


def cassette(name: str, *, record: bool = False) -> AbstractContextManager[Any]:
    """Replay a cassette, or record it anew.

    A request is found by its method, path and body; one that is not on the cassette fails when it is
    replayed.
    """
    recorder = vcr.VCR(
        record_mode=vcr.mode.ALL if record else vcr.mode.NONE,
        match_on=("method", "path", "body"),
        before_record_request=scrubbed,
        before_record_response=_plain_response,
        decode_compressed_response=True,
    )
    context: AbstractContextManager[Any] = recorder.use_cassette(str(FOLDER / f"{name}.yaml"))
    return context


def scrubbed(request: Any) -> Any:
    """A request as it is kept and compared. Scrubbing twice changes nothing more.

    Pictures become a hash of their pixels. The system message and what is said of the tools are left out: a
    better wording is no reason to record anew.
    """
    request.uri = HOST + urlsplit(request.uri).path
    for name in list(request.headers):
        if name.lower() not in KEPT_HEADERS:
            del request.headers[name]
    if request.body:
        body = json.loads(request.body)
        request.body = json.dumps(_without_bulk(body), sort_keys=True).encode()
    return request


def _without_bulk(value: Any) -> Any:
    if isinstance(value, str):
        return _pixels(value) if value.startswith("data:image/") else value
    if isinstance(value, list):
        return [_without_bulk(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("role") in {"system", "developer"}:
        return {"role": value["role"]}
    bulk: dict[str, Callable[[Any], Any]] = {
        "tools": lambda tools: [one if isinstance(one, str) else _tool_name(one) for one in tools],
        "instructions": lambda _: "",
        "response_format": lambda _: "json_schema",
        "text": lambda text: text if isinstance(text, str) else "json_schema",
    }
    return {name: bulk.get(name, _without_bulk)(one) for name, one in value.items()}


def _tool_name(tool: Any) -> str:
    return str(tool.get("function", tool)["name"])


def _pixels(url: str) -> str:
    """A picture's hash: encoders of other versions write other bytes for the same pixels."""
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    digest = hashlib.sha256(picture.tobytes()).hexdigest()[:16]
    return f"pixels:{picture.width}x{picture.height}:{digest}"


def _plain_response(response: Any) -> Any:
    headers = response["headers"]
    kept = {name: headers[name] for name in headers if name.lower() in KEPT_HEADERS}
    return {**response, "headers": kept}
