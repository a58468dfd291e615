"""What models are told, as versioned Markdown files.

`NAME.vN.md` never changes once it was released: a run records which one it used, and by which hash. A better
wording is a new version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

__all__ = ["Prompt", "load_prompt", "prompt_names"]

FILE = re.compile(r"([a-z_]+)\.v(\d+)\.md")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file.

    Attributes:
        name: with its version, such as "system.v1".
        text: with `${variables}` to be filled in.
        sha256: of the file's bytes.
    """

    name: str
    text: str
    sha256: str

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(Template(self.text).get_identifiers())

    def fill(self, **values: object) -> str:
        """The text with its variables replaced; what stands in a value is never looked at again.

        Raises:
            KeyError: a variable has no value, or a value no variable.
        """
        if values.keys() != self.variables:
            wrong = ", ".join(sorted(values.keys() ^ self.variables))
            raise KeyError(f"prompt {self.name}: these variables are missing or unknown: {wrong}")
        return Template(self.text).substitute(values)


@cache
def load_prompt(name: str) -> Prompt:
    """Read a prompt: "system.v1", or "system" for its latest version.

    Raises:
        KeyError: there is no such prompt.
    """
    known = _versions()
    versions = [full for full in known if full == name or full.rpartition(".v")[0] == name]
    if not versions:
        raise KeyError(f"there is no prompt {name!r}; there are: {', '.join(known)}")
    latest = max(versions, key=lambda full: known[full])
    content = files(__package__).joinpath(f"{latest}.md").read_bytes()
    return Prompt(latest, content.decode().strip(), hashlib.sha256(content).hexdigest())


def prompt_names() -> tuple[str, ...]:
    """All prompts, with their versions."""
    return tuple(_versions())


def _versions() -> Mapping[str, int]:
    found = (FILE.fullmatch(file.name) for file in files(__package__).iterdir())
    return {match[0].removesuffix(".md"): int(match[2]) for match in sorted(filter(None, found), key=str)}
