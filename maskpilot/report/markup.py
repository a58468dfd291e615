"""HTML that cannot be broken into: a string becomes text, and only `Markup` becomes tags."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["Markup", "join", "tag", "text"]

VOID = {"img", "link", "meta", "rect"}
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, lone surrogates, and the embeddings, overrides and isolates of
bidirectional text, which could make it read as what it does not say."""


class Markup(str):
    """HTML that `tag`, `text` or `join` made."""

    __slots__ = ()


def text(content: str) -> Markup:
    """Show a string as it is: markup in it is escaped, control characters are made visible."""
    return Markup(html.escape(UNSAFE.sub(_visible, content), quote=True))


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


def _visible(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"
