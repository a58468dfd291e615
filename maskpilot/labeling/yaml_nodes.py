"""YAML as nodes that know their lines; no value is ever constructed from a tag."""

from __future__ import annotations

import unicodedata

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from maskpilot.errors import InvalidInput

__all__ = ["Pair", "at", "compose", "kind_of", "line_of", "pairs_of", "shown", "text_of"]

TAG = "tag:yaml.org,2002:"
READ_AS = {
    "int": "a number",
    "float": "a number",
    "bool": "a yes or no",
    "timestamp": "a date",
    "null": "nothing",
}
"""What YAML makes of words without quotes."""

Pair = tuple[ScalarNode, Node]


def compose(text: str, source: str) -> Node | None:
    """The root of a document; None where there is nothing in it.

    Args:
        text: YAML.
        source: the name of its file, for errors here and below.

    Raises:
        InvalidInput: not YAML.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InvalidInput(f"{source}:{line}: not valid YAML (a character that it does not allow)") from error
    try:
        root: Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise InvalidInput(f"{source}:{mark.line + 1}: not valid YAML ({what[:200]})") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # numbers of any length
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise InvalidInput(f"{source}:{loader.line + 1}: not valid YAML ({what})") from error
    return root


def text_of(node: Node, key: str, source: str) -> str:
    """A text, or "" where nothing stands.

    Args:
        node: what should be text.
        key: what it is the value of, for the error.
        source: of the node.

    Raises:
        InvalidInput: it is no text, or what YAML takes for a number or the like.
    """
    kind, where = kind_of(node), at(node, source)
    if not isinstance(node, ScalarNode):
        raise InvalidInput(f"{where}: {key}: expected text, got a {kind}")
    if kind == "null" and (key != "name" or node.value in ("", "~")):
        return ""
    if kind != "str":
        read_as, quoted = READ_AS.get(kind, "something else than text"), f'"{node.value[:40]}"'
        raise InvalidInput(
            f"{where}: {key}: YAML reads {shown(node)} as {read_as}; put quotes around it: {quoted}"
        )
    words: str = node.value
    if any(sign == "\0" or unicodedata.category(sign) == "Cs" for sign in words):
        raise InvalidInput(f"{where}: {key}: holds a character that is no text")
    return words


def pairs_of(node: MappingNode, source: str) -> list[Pair]:
    """Keys and values of a mapping; YAML itself would let the last of two equal keys win.

    Raises:
        InvalidInput: a key is no word, or is there twice.
    """
    found: list[Pair] = []
    seen: dict[str, int] = {}
    for key, value in node.value:
        where = at(key, source)
        if not isinstance(key, ScalarNode):
            raise InvalidInput(f"{where}: expected a word before the colon, got a {kind_of(key)}")
        if key.value in seen:
            raise InvalidInput(
                f"{where}: {shown(key)} was defined on line {seen[key.value]} already; take one of them out"
            )
        seen[key.value] = line_of(key)
        found.append((key, value))
    return found


def kind_of(node: Node) -> str:
    """What YAML takes a node for: "str", "int", "bool", "null", ..., "list" or "mapping"."""
    if isinstance(node, SequenceNode):
        return "list"
    return "mapping" if isinstance(node, MappingNode) else str(node.tag).removeprefix(TAG)


def at(node: Node, source: str) -> str:
    """Where a node begins, as errors say it: "SOURCE:LINE"."""
    return f"{source}:{line_of(node)}"


def line_of(node: Node) -> int:
    """The line that a node begins on, from 1."""
    return int(node.start_mark.line) + 1


def shown(node: Node) -> str:
    """A node's text in quotes, cut short; else its kind."""
    return repr(str(node.value)[:40]) if isinstance(node, ScalarNode) else f"a {kind_of(node)}"
