"""How long an overlay of 20 masks on a 1920x1080 photo takes, beside `sam3.agent.viz.visualize`.

Both get the same picture and the same run lengths, in one process, and take turns; the medians are compared.
The peer reads its picture from a file, as its agent does; the time for that is measured apart and taken off.
Needs the `bench` extra.

    python benchmarks/overlay_speed.py [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from maskpilot import masks
from maskpilot.render import overlay
from maskpilot.types import Instance

WIDTH, HEIGHT, MASKS = 1920, 1080, 20


def photo(rng: np.random.Generator) -> Image.Image:
    """Soft colour gradients with sensor noise: what a photo is to a resampler and an encoder."""
    colours = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    smooth = Image.fromarray(colours).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return Image.blend(smooth, Image.fromarray(noise), 0.1)


def ellipses(rng: np.random.Generator) -> list[Instance]:
    """Twenty ellipses of 30 to 200 pixels' radius, some of which overlap."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    found = []
    for number in range(1, MASKS + 1):
        centre, radius = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT), rng.uniform(30, 200, 2)
        mask = masks.encode(((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 <= 1)
        box = masks.tight_box(mask)
        assert box is not None
        found.append(Instance(number, mask, box, 0.9))
    return found


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(rounds: int) -> dict[str, object]:
    """Medians over `rounds` turns, in seconds, after one turn that does not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cv2
        from sam3.agent.viz import visualize
    rng = np.random.default_rng(20)
    image, instances = photo(rng), ellipses(rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        image.save(path)
        peer_input = {
            "orig_img_h": HEIGHT,
            "orig_img_w": WIDTH,
            "original_image_path": str(path),
            "pred_boxes": [_normalised_xywh(one) for one in instances],
            "pred_masks": [one.mask.counts.decode() for one in instances],
        }
        work: dict[str, Callable[[], object]] = {
            "maskpilot": lambda: overlay(image, instances, size=image.size),
            "peer_with_file": lambda: visualize(peer_input),
            "peer_file": lambda: cv2.imread(str(path)),
        }
        times: dict[str, list[float]] = {name: [] for name in work}
        for turn in range(rounds + 1):
            for name, call in work.items():
                spent = seconds(call)
                if turn:
                    times[name].append(spent)
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    peer = medians["peer_with_file"] - medians["peer_file"]
    return {
        "image": [WIDTH, HEIGHT],
        "masks": MASKS,
        "rounds": rounds,
        "maskpilot_seconds": round(medians["maskpilot"], 4),
        "sam3_visualize_seconds": round(peer, 4),
        "ratio": round(peer / medians["maskpilot"], 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _normalised_xywh(instance: Instance) -> list[float]:
    box = instance.box
    return [box.x0 / WIDTH, box.y0 / HEIGHT, box.width / WIDTH, box.height / HEIGHT]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the time of an overlay with SAM 3's own.")
    parser.add_argument("--rounds", type=int, default=5, help="turns to take the median of")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = compare(options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{MASKS} masks on {WIDTH}x{HEIGHT}, median of {options.rounds}: {result['machine']}")
    print(f"  maskpilot.render.overlay    {result['maskpilot_seconds']} s")
    print(f"  sam3.agent.viz.visualize    {result['sam3_visualize_seconds']} s (without reading its file)")
    print(f"  ratio                       {result['ratio']}")


if __name__ == "__main__":
    main()
