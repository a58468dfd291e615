"""The classes of a data set, as people write them down in YAML; every error names its line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from maskpilot.errors import InvalidInput
from maskpilot.labeling.types import LabelClass
from maskpilot.labeling.yaml_nodes import at, compose, kind_of, line_of, pairs_of, shown, text_of
from maskpilot.refine import check_query

__all__ = ["EXAMPLE", "class_of_query", "parse_classes", "read_classes"]

MAX_BYTES = 500_000
MAX_CLASSES = 1000
MAX_NAME = 200
MAX_COUNT = 999_999_999

KEYS = ("name", "query", "hints", "max_count")

EXAMPLE = """\
# What is to be labeled. The shortest form is a list of names:
#
#   - cup
#   - plate
#
classes:
  - name: cup                  # in the data set
    query: the coffee cups     # what to segment; the name where nothing stands here
    hints:                     # what a model is told beside it
      - mugs count too
      - no glasses
    max_count: 20              # on one image
  - name: plate
    hints: not saucers
  - spoon
"""
"""A file with every key in it, for help and documentation."""


def read_classes(path: Path) -> tuple[LabelClass, ...]:
    """Read a file of classes, in any of the forms of `parse_classes`.

    Raises:
        InvalidInput: it cannot be read or used; the message names the file and, where there is one, the line.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidInput(f"{path}: is a folder or no regular file; expected a file with classes")
        with path.open("rb") as file:
            source = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path}: cannot be read ({reason}); expected a file with classes") from error
    if len(source) > MAX_BYTES:
        raise InvalidInput(f"{path}: larger than {MAX_BYTES // 1000} kB; is it a file with classes?")
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from error
    return parse_classes(text, str(path))


def parse_classes(text: str, source: str) -> tuple[LabelClass, ...]:
    """Classes from YAML: a list, perhaps under the key "classes", or a mapping from name to query.

    An entry of the list is a name, or a mapping with the keys of `LabelClass`; the values of a mapping from
    names are queries, nothing, or mappings with the other keys.

    Args:
        text: the YAML.
        source: its file's name, for errors.

    Raises:
        InvalidInput: what is wrong, as "SOURCE:LINE: ...".
    """
    root = compose(text, source)
    if root is None or kind_of(root) == "null":
        raise InvalidInput(f"{source}:1: holds no classes; write one name a line, as in '- cup'")
    found: list[LabelClass] = []
    lines: dict[str, int] = {}
    for line, one in _entries(_inner(root, source), source):
        if one.name in lines:
            raise InvalidInput(
                f"{source}:{line}: class {one.name!r} was defined on line {lines[one.name]} already; "
                "take one of them out"
            )
        if len(found) == MAX_CLASSES:
            raise InvalidInput(f"{source}:{line}: more than {MAX_CLASSES} classes")
        lines[one.name] = line
        found.append(one)
    if not found:
        raise InvalidInput(f"{at(root, source)}: holds no classes; write one name a line, as in '- cup'")
    return tuple(found)


def class_of_query(query: str) -> LabelClass:
    """The class that a query alone stands for, named after it.

    Raises:
        InvalidInput: nothing is asked, or far too much.
    """
    asked = check_query(query)
    name = " ".join(word for word in re.split(r"[\s\0-\x1f\x7f-\x9f\ud800-\udfff]+", asked) if word)
    if not name:
        raise InvalidInput("the query holds no words; say what to segment, for example 'the red cups'")
    return LabelClass(name[:MAX_NAME].strip(), asked)


def _inner(root: Node, source: str) -> Node:
    """What stands under "classes" where something does, else all of it."""
    if isinstance(root, MappingNode):
        pairs = pairs_of(root, source)
        under = next((value for key, value in pairs if key.value == "classes"), None)
        if isinstance(under, MappingNode | SequenceNode):
            for key, _ in pairs:
                if key.value != "classes":
                    raise InvalidInput(f"{at(key, source)}: unknown key {shown(key)} beside 'classes'")
            return under
    return root


def _entries(node: Node, source: str) -> Iterator[tuple[int, LabelClass]]:
    """Each class, and its line."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield line_of(item), _class(item, source)
    elif isinstance(node, MappingNode):
        pairs = pairs_of(node, source)
        if {key.value for key, _ in pairs} <= set(KEYS) and any(key.value == "name" for key, _ in pairs):
            yield line_of(node), _class(node, source)  # one class, its keys at the margin
            return
        for key, value in pairs:
            yield line_of(key), _named(key, value, source)
    else:
        raise InvalidInput(f"{at(node, source)}: expected a list of classes, got one value; write '- cup'")


def _class(item: Node, source: str) -> LabelClass:
    """An entry of a list."""
    if not isinstance(item, MappingNode):
        return _made(item, {}, source)
    values = _known(item, KEYS, source)
    if "name" not in values:
        raise InvalidInput(f"{at(item, source)}: a class without a name; add 'name: ...'")
    return _made(values.pop("name"), values, source)


def _named(name: ScalarNode, value: Node, source: str) -> LabelClass:
    """An entry of a mapping from names."""
    if isinstance(value, MappingNode):
        return _made(name, _known(value, KEYS[1:], source), source)
    if isinstance(value, SequenceNode):
        raise InvalidInput(
            f"{at(value, source)}: class {shown(name)}: expected a query or keys, got a list; "
            "a list of classes stands under 'classes:'"
        )
    return _made(name, {"query": value}, source)


def _made(name: Node, values: dict[str, Node], source: str) -> LabelClass:
    where = at(name, source)
    called = text_of(name, "name", source).strip()
    if not called:
        raise InvalidInput(f"{where}: a blank name; say what the class is called")
    if len(called) > MAX_NAME or any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in called):
        raise InvalidInput(f"{where}: expected a name of one line and {MAX_NAME} characters at most")
    query = text_of(values["query"], "query", source) if "query" in values else ""
    one = LabelClass(
        called, query, _hints(values.get("hints"), source), _count(values.get("max_count"), source)
    )
    try:
        check_query(one.brief)  # with the hints: all that a model is sent
    except InvalidInput as error:
        longest = max(values.values(), key=lambda node: len(str(node.value)), default=name)
        raise InvalidInput(f"{at(longest, source)}: class {called!r}, with its hints: {error}") from error
    return one


def _hints(node: Node | None, source: str) -> tuple[str, ...]:
    if isinstance(node, SequenceNode):
        if len(node.value) > MAX_NAME:
            raise InvalidInput(f"{at(node, source)}: more than {MAX_NAME} hints; a model would not heed them")
        hints = [text_of(item, "hints", source).strip() for item in node.value]
    else:
        hints = [] if node is None else [text_of(node, "hints", source).strip()]
    return tuple(hint for hint in hints if hint)


def _count(node: Node | None, source: str) -> int | None:
    if node is None or kind_of(node) == "null":
        return None
    if kind_of(node) == "int" and re.fullmatch(r"[1-9][0-9]{0,8}", node.value):
        return int(node.value)
    raise InvalidInput(
        f"{at(node, source)}: max_count: expected a whole number from 1 to {MAX_COUNT}, got {shown(node)}"
    )


def _known(node: MappingNode, keys: tuple[str, ...], source: str) -> dict[str, Node]:
    """Values by key, all of them among `keys`."""
    values: dict[str, Node] = {}
    for key, value in pairs_of(node, source):
        if key.value not in keys:
            near = get_close_matches(key.value[:40].lower(), keys, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(keys)}"
            raise InvalidInput(f"{at(key, source)}: unknown key {shown(key)}{meant}")
        values[key.value] = value
    return values
