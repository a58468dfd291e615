"""Draws docs/images/nano_curve.png from the logs of training: what was learned when.

python -m scripts.nano_curve runs/nano-coarse/log.jsonl runs/nano/log.jsonl

Runs that went on from each other are drawn one after the other; a line marks where the next one begins.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

TARGET = Path(__file__).parent.parent / "docs" / "images" / "nano_curve.png"
CURVES = {
    "match_colour": ("colour words bound to objects", (200, 60, 60)),
    "match_shape": ("shape words bound to objects", (40, 90, 200)),
    "neck_shape": ("shape named by the image encoder", (120, 160, 230)),
    "score_of_targets": ("score of what is asked for", (30, 140, 70)),
    "overlap": ("1 - dice loss of masks", (150, 90, 170)),
}
"""Field of the log -> what it says, and its colour."""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 420, 44, 30, 14
POINTS = 60
"""Each is a mean over its part of the time: single batches differ a lot."""


def main(logs: Sequence[Path]) -> None:
    """Draw and save."""
    records, starts = _read(logs)
    end = records[-1]["minutes"]
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)

    def at(minutes: float, value: float) -> tuple[float, float]:
        across = LEFT + minutes / end * (WIDTH - LEFT - 10)
        return across, HEIGHT - BOTTOM - value * (HEIGHT - BOTTOM - TOP)

    for level in (0, 0.25, 0.5, 0.75, 1):
        draw.line([at(0, level), at(end, level)], (225, 225, 225))
        draw.text((LEFT - 6, at(0, level)[1]), f"{level:.2f}", "black", anchor="rm")
    for minutes in range(0, int(end) + 1, 30):
        draw.text((at(minutes, 0)[0], HEIGHT - BOTTOM + 6), f"{minutes} min", "black", anchor="ma")
    for start in starts[1:]:
        draw.line([at(start, 0), at(start, 1)], (190, 190, 190))
    for row, (name, (label, colour)) in enumerate(CURVES.items()):
        draw.line([at(*point) for point in _means(records, name, end)], colour, 2)
        draw.text((WIDTH - 12, HEIGHT - BOTTOM - 14 * (len(CURVES) - row)), label, colour, anchor="rm")
    sheet.quantize(64).save(TARGET, optimize=True)


def _read(logs: Sequence[Path]) -> tuple[list[dict[str, float]], list[float]]:
    """Records of all logs, their minutes running on, and at which minute each log begins."""
    records: list[dict[str, float]] = []
    starts: list[float] = []
    for log in logs:
        starts.append(records[-1]["minutes"] if records else 0.0)
        for line in log.read_text().splitlines():
            record = json.loads(line)
            if "dice" in record:
                record["overlap"] = 1 - record["dice"]
            records.append({**record, "minutes": starts[-1] + record["minutes"]})
    return records, starts


def _means(records: Sequence[Mapping[str, float]], name: str, end: float) -> list[tuple[float, float]]:
    """(minutes, mean) for each part of the time in which the field was logged."""
    parts: dict[int, list[float]] = {}
    for record in records:
        if name in record:
            part = min(int(record["minutes"] / end * POINTS), POINTS - 1)
            parts.setdefault(part, []).append(record[name])
    return [((part + 0.5) / POINTS * end, statistics.fmean(values)) for part, values in sorted(parts.items())]


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
