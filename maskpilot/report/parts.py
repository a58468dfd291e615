"""Pieces of the report that more than one of its sections shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maskpilot import masks
from maskpilot.render import colour
from maskpilot.report.markup import Markup, tag
from maskpilot.trajectory import Changes
from maskpilot.types import Instance
from maskpilot.wording import counted

__all__ = ["facts", "instance_table", "numbers", "words"]

LONG = 1200
"""Longer text is folded away behind its beginning."""

OPEN = 12
"""A longer table of masks is folded away."""


def words(content: str) -> Markup:
    """Somebody's words: as text, in their own direction, folded where they are long."""
    if len(content) <= LONG:
        return tag("bdi", content, class_="words")
    summary = tag("summary", tag("bdi", content[:200] + "…"), f" ({len(content)} characters)")
    return tag("details", summary, tag("bdi", content, class_="words"))


def facts(named: Mapping[str, str | None]) -> Markup:
    """Names and values; those without a value are left out."""
    entries = [tag("div", tag("dt", name), tag("dd", words(value))) for name, value in named.items() if value]
    return tag("dl", *entries, class_="facts")


def instance_table(instances: Sequence[Instance], changed: Changes, locked: Sequence[int]) -> Markup | None:
    """The masks that are shown, each with its colour; nothing where there are none."""
    if not instances:
        return None
    names = ("", "Id", "Score", "Phrase", "Pixels", "Box x0, y0, x1, y1")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = [_row(instance, changed, locked) for instance in instances]
    return tag(
        "details",
        tag("summary", counted(len(instances), "mask")),
        tag("div", tag("table", head, *rows), class_="wide"),
        open="" if len(instances) <= OPEN else None,
    )


def numbers(values: Sequence[float]) -> str:
    """Whole numbers with commas in between."""
    return ", ".join(f"{value:.0f}" for value in values)


def _row(instance: Instance, changed: Changes, locked: Sequence[int]) -> Markup:
    signs = {"new": changed.new, "changed": changed.changed, "locked": locked}
    label = [str(instance.id), *(sign for sign, ids in signs.items() if instance.id in ids)]
    return tag(
        "tr",
        tag("td", _swatch(instance.id)),
        tag("td", " ".join(label)),
        tag("td", f"{instance.score:.2f}", class_="number"),
        tag("td", words(instance.text or "—")),
        tag("td", str(masks.area(instance.mask)), class_="number"),
        tag("td", numbers(instance.box.xyxy), class_="number"),
    )


def _swatch(mask_id: int) -> Markup:
    # An attribute of SVG, not a style: the page's policy allows no inline styles.
    square = tag("rect", width="14", height="14", rx="3", fill="#{:02x}{:02x}{:02x}".format(*colour(mask_id)))
    return tag("svg", square, width="14", height="14", aria_hidden="true")
