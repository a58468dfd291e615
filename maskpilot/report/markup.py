"""HTML that cannot be broken into: a string becomes text, and only `Markup` becomes tags."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["Markup", "join", "tag", "text"]

VOID = {"img", "link", "meta", "rect"}
KEPT_CONTROLS = {"\n", "\t"}
BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Embeddings, overrides and isolates: they could make text read as what it does not say."""


class Markup(str):
    """HTML that `tag`, `text` or `join` made."""

    __slots__ = ()


def text(content: str) -> Markup:
    """Show a string as it is: markup in it is escaped, control characters are made visible."""
    return Markup(html.escape("".join(_visible(character) for character in content), quote=True))


def tag(name: str, /, *children: str | None, **attributes: str | None) -> Markup:
    """An element.

    Args:
        name: of the element; ours, never data.
        children: `Markup` goes in as it is, any other string as text; None is left out.
        attributes: values are escaped, None is left out; `class_` stands for class, `a_b` for a-b.
    """
    opening = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{opening}>" if name != "rect" else f"<{name}{opening}/>")
    return Markup(f"<{name}{opening}>{join(children)}</{name}>")


def join(parts: Iterable[str | None]) -> Markup:
    """One after the other, with the rule of `tag` for what is markup and what is text."""
    return Markup(
        "".join(part if isinstance(part, Markup) else text(part) for part in parts if part is not None)
    )


def _visible(character: str) -> str:
    code = ord(character)
    if character in KEPT_CONTROLS:
        return character
    if code < 0x20 or code == 0x7F:
        return chr(0x2400 + code) if code < 0x20 else "\u2421"
    if 0x80 <= code < 0xA0 or code in BIDI_CONTROLS or 0xD800 <= code < 0xE000:
        return f"[U+{code:04X}]"
    return character
