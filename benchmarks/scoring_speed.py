"""How long `maskpilot score` takes on predictions of SA-Co's size, and how much memory.

    python -m benchmarks.scoring_speed [--pairs 5000] [--masks 10] [--side 1024]

Draws pairs of an image and a phrase with as many true and predicted masks each, writes both files to a
temporary folder and scores them in a process of its own. The goal: 5,000 pairs of 10 masks at 1024 px in
under 60 s and 2 GB on 2 cores, and a cost per sample that does not grow with their number. Processor
seconds are told beside those of the clock: on a machine that does other work too, the clock says little.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

GOAL_SECONDS, GOAL_GB = 60.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--masks", type=int, default=10)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_score(options.worker)))
        return
    results = {}
    for pairs in (options.pairs // 4, options.pairs):
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), pairs, options.masks, options.side)
            command = [sys.executable, "-m", "benchmarks.scoring_speed", "--worker", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        results[pairs] = json.loads(done.stdout)
        print(f"{pairs} pairs of {options.masks} masks at {options.side} px: {results[pairs]}")
    whole = results[options.pairs]
    met = whole["seconds"] < GOAL_SECONDS and whole["peak_gb"] < GOAL_GB
    print(f"goal of {GOAL_SECONDS:g} s and {GOAL_GB:g} GB: {'met' if met else 'MISSED'}")


def _score(folder: Path) -> dict[str, Any]:
    """Open, read and score, as the command line does."""
    began, processor = time.perf_counter(), time.process_time()
    from maskpilot.evals.datasets import open_dataset
    from maskpilot.evals.predictions import read_predictions
    from maskpilot.evals.score import score, score_record

    dataset = open_dataset("saco-silver", folder)
    predictions = read_predictions(folder / "predictions.json", dataset)
    opened = time.perf_counter()
    scored = score(dataset, predictions)
    measured = time.perf_counter()
    record = score_record(dataset, scored)
    ended = time.perf_counter()
    return {
        "seconds": round(ended - began, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "reading": round(opened - began, 2),
        "ms_per_sample": round(1000 * (measured - opened) / len(dataset), 3),
        "intervals": round(ended - measured, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "cgf1": record["metrics"]["cgf1"]["value"],
    }


def _write(folder: Path, pairs: int, masks: int, side: int) -> None:
    """One file of truth and one of predictions; every fifth pair is negative."""
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for pair in range(pairs):
        images.append(
            {
                "id": pair,
                "file_name": f"{pair // 4}.jpg",
                "text_input": f"thing {pair}",
                "width": side,
                "height": side,
                "is_instance_exhaustive": 1,
            }
        )
        for _ in range(masks):
            outline = _outline(rng, side)
            if pair % 5:
                rle = _rle(outline, side)
                annotations.append({"id": len(annotations), "image_id": pair, "segmentation": rle})
            rle = _rle(outline + rng.normal(0, 3, outline.shape), side)
            score = float(rng.random() if pair % 5 else rng.random() * 0.6)
            predictions.append({"image_id": pair, "category_id": 1, "segmentation": rle, "score": score})
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    (folder / "silver_drawn_merged_test.json").write_text(json.dumps(truth))
    (folder / "predictions.json").write_text(json.dumps(predictions))


def _outline(rng: np.random.Generator, side: int) -> Any:
    """A wobbly blob of 80 corners: (80, 2) float pixels."""
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radius = (
        rng.uniform(0.03, 0.2) * side * (1 + 0.2 * np.sin(rng.integers(2, 7) * angles + rng.uniform(0, 6)))
    )
    x, y = rng.uniform(0.2, 0.8, 2) * side
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _rle(outline: Any, side: int) -> dict[str, Any]:
    inside = np.clip(outline, 0, side)
    found = coco.frPyObjects([inside.ravel().tolist()], side, side)[0]
    return {"size": [side, side], "counts": found["counts"].decode()}


if __name__ == "__main__":
    main()
