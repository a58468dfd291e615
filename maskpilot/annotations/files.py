"""Reading files that others made: every fault names the file and the record.

Names and ids in annotation files are data. They never lead out of the data set's folder, and never name a
file that maskpilot writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from maskpilot.errors import DatasetError

__all__ = [
    "check_id",
    "field",
    "finite",
    "first_that_exists",
    "inside",
    "parse_json",
    "read_json",
    "read_lines",
    "safe_id",
]

ID_LENGTH = 80


def first_that_exists(candidates: Sequence[Path], what: str, origin: str) -> Path:
    """The first of some places that exists.

    Raises:
        DatasetError: none does; the message says where to get it.
    """
    for candidate in candidates:
        if candidate.exists():
            return candidate
    places = " or ".join(str(candidate) for candidate in candidates)
    raise DatasetError(f"{places}: missing; expected {what}, to be had from {origin}")


def read_json(path: Path, expected: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
    """A JSON file whose outermost value is of a kind.

    Raises:
        DatasetError: it cannot be read, is no JSON, or is something else.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_json(source, str(path), expected)


def parse_json(
    source: bytes,
    where: str,
    expected: type[dict[str, Any]] | type[list[Any]] = dict,
    encoding: str = "utf-8",
) -> Any:
    """JSON from bytes; `where` names the file and perhaps the line.

    Raises:
        DatasetError: no JSON, or its outermost value is something else.
    """
    try:
        value = json.loads(source.decode(encoding))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: not valid JSON ({error}); was the download cut short?") from error
    if not isinstance(value, expected):
        raise DatasetError(f"{where}: expected a JSON {_word(expected)}, got a {type(value).__name__}")
    return value


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a JSONL file, with "file:line" to name it by; empty lines are skipped.

    Raises:
        DatasetError: as `read_json`, for the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, parse_json(line, where)


def field(record: Mapping[str, Any], name: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """A record's field, of a kind.

    Raises:
        DatasetError: it is missing or of another kind.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _as_tuple(kinds)):
        got = "nothing" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
        wanted = " or ".join(_word(kind) for kind in _as_tuple(kinds))
        raise DatasetError(f"{where}: field {name!r}: expected {wanted}, got {got}")
    return value


def finite(record: Mapping[str, Any], name: str, where: str) -> float:
    """A record's number.

    Raises:
        DatasetError: it is missing, no number, or NaN, infinite or too large.
    """
    value = field(record, name, (int, float), where)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DatasetError(f"{where}: {name} is {number}; expected a finite number")
    return number


def inside(folder: Path, name: str, where: str) -> Path:
    """A file inside a folder, named by an annotation file.

    Raises:
        DatasetError: the name is absolute or leads out of the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    outside = parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name)
    if not parts.parts or "\0" in name or outside:
        raise DatasetError(f"{where}: file name {name[:120]!r} leads out of the data set's folder; refused")
    return folder / parts


def safe_id(text: str) -> str:
    """An id of letters, digits, '.', '_' and '-' alone; another text gives another id."""
    if re.fullmatch(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{ID_LENGTH - 1}}}", text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", text)[: ID_LENGTH - 13].strip("-")
    return f"{kept}-{digest}" if kept else digest


def check_id(identity: object, seen: set[Any], where: str) -> None:
    """Remember an id.

    Raises:
        DatasetError: it was there before.
    """
    if identity in seen:
        raise DatasetError(f"{where}: duplicate id {str(identity)[:80]!r}")
    seen.add(identity)


def _as_tuple(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _word(kind: type) -> str:
    words = {dict: "object", list: "list", str: "text", int: "whole number", float: "number"}
    return words.get(kind, kind.__name__)
