"""Charts as inline SVG: no script, no external resource, colours from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence

from maskpilot.report.markup import Markup, tag

__all__ = ["cloud_chart", "curve_chart"]

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_ROUNDS = 25
BINS = 8


def curve_chart(curve: Sequence[float], one_shot: float | None) -> Markup:
    """Mean IoU after each round; one shot as a level beside it.

    Args:
        curve: the first round first; what comes after MAX_ROUNDS is left out.
        one_shot: mean IoU of one shot; None where it is not known.
    """
    shown = list(curve[:MAX_ROUNDS])
    last = max(len(shown), 2)
    points = [(_across(number, 1, last), _down(iou)) for number, iou in enumerate(shown, start=1)]
    marks = [
        tag(
            "circle",
            tag("title", f"after round {number}: {iou:.3f}"),
            cx=f"{x:.1f}",
            cy=f"{y:.1f}",
            r="3.5",
            class_="dot",
        )
        for number, (iou, (x, y)) in enumerate(zip(shown, points, strict=True), start=1)
    ]
    level = None
    if one_shot is not None:
        y = _down(one_shot)
        line = tag("path", d=f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}", class_="level")
        label = tag(
            "text", f"one shot {one_shot:.3f}", x=str(WIDTH - RIGHT), y=f"{y - 5:.1f}", text_anchor="end"
        )
        level = tag("g", line, label)
    every = 1 if last <= 12 else 5
    ticks = [
        (number, _across(number, 1, last))
        for number in range(1, last + 1)
        if number % every == 0 or number == 1
    ]
    return _svg(
        "Mean IoU after each round",
        _axes([(f"{number}", x) for number, x in ticks], "round"),
        level,
        tag("path", d=_line(points), class_="curve"),
        *marks,
    )


def cloud_chart(points: Sequence[tuple[float, float]], label: str) -> Markup:
    """A dot per sample, and the mean IoU in parts of equal size along the way.

    Args:
        points: (what it took, IoU) of each sample.
        label: what it took.
    """
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    dots = "".join(
        f"M{_across(x, low, high) + _jitter(number):.0f} {_down(iou) + _jitter(number + 1):.0f}h0"
        for number, (x, iou) in enumerate(points)
    )
    ticks = [(_short(value), _across(value, low, high)) for value in _ticks(low, high)]
    means = [(_across(x, low, high), _down(iou)) for x, iou in _means(points)]
    return _svg(
        f"IoU against {label}",
        _axes(ticks, label),
        tag("path", d=dots, class_="cloud"),
        tag("path", d=_line(means), class_="curve"),
    )


def _means(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Mean of both in up to BINS parts; samples of equal cost stay together."""
    ordered = sorted(points)
    size = max(len(ordered) // BINS, 1)
    bins: list[list[tuple[float, float]]] = [[]]
    for point in ordered:
        if len(bins[-1]) >= size and point[0] != bins[-1][-1][0]:
            bins.append([])
        bins[-1].append(point)
    return [(sum(x for x, _ in one) / len(one), sum(iou for _, iou in one) / len(one)) for one in bins]


def _ticks(low: float, high: float) -> list[float]:
    found = [low + (high - low) * share / 4 for share in range(5)]
    # Rounds and tokens are whole numbers: no tick lies between two of them.
    whole = [float(round(value)) for value in found] if low.is_integer() and high.is_integer() else found
    return list(dict.fromkeys(whole))


def _svg(title: str, *parts: Markup | None) -> Markup:
    return tag("svg", tag("title", title), *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")


def _axes(ticks: Sequence[tuple[str, float]], label: str) -> Markup:
    base = HEIGHT - BOTTOM
    lines = "".join(f"M{LEFT} {_down(level):.1f}H{WIDTH - RIGHT}" for level in LEVELS)
    rows = [
        tag("text", f"{level:.2f}", x=str(LEFT - 6), y=f"{_down(level) + 4:.1f}", text_anchor="end")
        for level in LEVELS
    ]
    columns = [tag("text", name, x=f"{x:.1f}", y=str(base + 16), text_anchor="middle") for name, x in ticks]
    name = tag("text", label, x=str((LEFT + WIDTH - RIGHT) // 2), y=str(HEIGHT - 6), text_anchor="middle")
    return tag("g", tag("path", d=lines, class_="axis"), *rows, *columns, name)


def _line(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _across(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20)


def _down(iou: float) -> float:
    return TOP + (1 - iou) * (HEIGHT - TOP - BOTTOM)


def _jitter(number: int) -> float:
    """A pixel or three, the same in every report: many samples share a place."""
    return (number * 7919 % 61) / 10 - 3


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value / 1000:.3g}k"
