"""Which coordinate convention a model is asked in, and how large the pictures are that it gets."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.render import display_size

__all__ = ["ANY_PIXELS", "Family", "families", "family_of", "sent_size"]

ANY_PIXELS = 224
"""Both sides a multiple of this suit every model that counts in pixels: 28 and 32 divide it."""

MAX_STRETCH = 0.03
"""A picture's sides are rounded to a multiple only as far as its shape stays the same but for this share."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that want to be asked alike; see conventions.toml.

    Raises:
        ValueError: a side or a multiple below one pixel.
    """

    name: str
    models: tuple[str, ...]
    convention: Convention
    max_side: int
    multiple: int

    def __post_init__(self) -> None:
        if not 1 <= self.multiple <= self.max_side:
            raise ValueError(
                f"Family {self.name}: expected 1 <= multiple <= max_side, got {self.multiple} and "
                f"{self.max_side}"
            )

    def asked_in(self, convention: Convention) -> Family:
        """The same models asked in another convention; pixels of an unknown model suit any."""
        becomes_pixels = convention.unit == "pixels" and self.convention.unit != "pixels"
        return replace(self, convention=convention, multiple=ANY_PIXELS if becomes_pixels else self.multiple)


@cache
def families() -> tuple[Family, ...]:
    """All that conventions.toml lists, in its order."""
    data = tomllib.loads(files(__package__).joinpath("conventions.toml").read_text("utf-8"))
    return tuple(
        Family(
            name=entry["name"],
            models=tuple(entry["models"]),
            convention=Convention(entry["unit"], entry["order"]),
            max_side=entry["max_side"],
            multiple=entry["multiple"],
        )
        for entry in data["family"]
    )


def family_of(model: str) -> Family:
    """The family of a model's name; the last one takes any."""
    name = model.lower().rsplit("/", 1)[-1]
    return next(
        family for family in families() if any(fnmatchcase(name, pattern) for pattern in family.models)
    )


def sent_size(width: int, height: int, family: Family) -> tuple[int, int]:
    """The size at which an image of `width` x `height` is sent: (width, height) in pixels.

    Sides become multiples of the family's `multiple`, or, where that would change the picture's shape
    visibly, of the largest half, quarter ... of it that does not.
    """
    shown = display_size(width, height, family.max_side)
    multiple = family.multiple
    while True:
        fitted = _rounded(shown[0], multiple, family.max_side), _rounded(shown[1], multiple, family.max_side)
        stretch = fitted[0] * height / (fitted[1] * width)
        if multiple == 1 or abs(stretch - 1) <= MAX_STRETCH:
            return fitted
        multiple = multiple // 2 if multiple % 2 == 0 else 1


def _rounded(side: int, multiple: int, longest: int) -> int:
    return max(1, min(round(side / multiple), longest // multiple)) * multiple
