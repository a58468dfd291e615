"""Our segmenter beside sam3's own code: same random weights, same image, one process, on the CPU.

1. Five text prompts on one image, against `sam3.agent.client_sam3.sam3_inference` called five times.
2. Another threshold after a prompt, against `Sam3Processor.set_confidence_threshold`.
3. Eight threads with an image each, against the same work one after the other (small model).

Run `python benchmarks/sam3_speed.py [--json]`: it needs the extra `bench`, 7 GB and some minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskpilot import masks
from maskpilot.segmenters.load import SAM3_RESOLUTION, build_sam3
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.sam3 import Sam3Segmenter
from maskpilot.types import PromptState

PHRASES = ("star", "red circle", "a dog", "people with umbrellas", "wheel")
MASKS_PER_PROMPT = 10
PARTS = ("five_prompts", "another_threshold", "eight_threads")


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def five_prompts(model: Any, path: Path, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """From the file to run-length encoded masks, on both sides; a threshold for each phrase."""
    from sam3.agent.client_sam3 import sam3_inference
    from sam3.model.sam3_image_processor import Sam3Processor

    processor = Sam3Processor(model, SAM3_RESOLUTION, "cpu")

    def theirs() -> list[int]:
        counts = []
        for phrase, threshold in thresholds.items():
            processor.set_confidence_threshold(threshold)
            counts.append(len(sam3_inference(processor, str(path), phrase)["pred_masks"]))
        return counts

    def ours() -> list[int]:
        segmenter = Sam3Segmenter(model, name="sam3", resolution=SAM3_RESOLUTION)
        session = segmenter.open(Image.open(path))
        counts = []
        for phrase, threshold in thresholds.items():
            found = session.segment(PromptState(phrase, threshold=threshold))
            counts.append(len([masks.encode(mask) for mask in found.masks]))
        segmenter.close()
        return counts

    our_seconds, our_counts = seconds(ours)
    their_seconds, their_counts = seconds(theirs)
    return compared(our_seconds, their_seconds, our_masks=our_counts, their_masks=their_counts)


def another_threshold(model: Any, image: Image.Image, scores: NDArray[np.float32]) -> dict[str, Any]:
    """Up, where masks only go, and down, where new ones are upsampled; and back to one used before."""
    from sam3.model.sam3_image_processor import Sam3Processor

    first, up, down = (float(scores[index]) for index in (10, 5, 20))
    processor = Sam3Processor(model, SAM3_RESOLUTION, "cpu", confidence_threshold=first)
    state = processor.set_text_prompt(PHRASES[0], processor.set_image(image))
    segmenter = Sam3Segmenter(model, name="sam3", resolution=SAM3_RESOLUTION)
    session = segmenter.open(image)
    session.segment(PromptState(PHRASES[0], threshold=first))
    steps = []
    for name, threshold in (("up", up), ("down", down), ("back", first)):
        prompts = PromptState(PHRASES[0], threshold=threshold)
        our_seconds, found = seconds(partial(session.segment, prompts))
        their_seconds, state = seconds(partial(processor.set_confidence_threshold, threshold, state))
        steps.append(
            compared(
                our_seconds, their_seconds, step=name, our_masks=len(found), their_masks=len(state["scores"])
            )
        )
    segmenter.close()
    return {"steps": steps, "ratio": min(step["ratio"] for step in steps)}


def eight_threads(threads: int = 8) -> dict[str, Any]:
    """The small model, two images a thread: batches of what waits, against one request after the other."""
    config = NanoConfig()
    model = build_nano(config, PHRASES)

    def work(workers: int, max_batch: int) -> float:
        segmenter = Sam3Segmenter(model, name="nano", resolution=config.resolution, max_batch=max_batch)

        def one(seed: int) -> None:
            session = segmenter.open(picture(320, 240, seed))
            for phrase in PHRASES:
                session.segment(PromptState(phrase, threshold=0.24))
            session.close()

        one(0)
        with ThreadPoolExecutor(workers) as pool:
            taken, _ = seconds(lambda: list(pool.map(one, range(2 * threads))))
        segmenter.close()
        return taken

    return compared(work(threads, 8), work(1, 1), threads=threads)


def compared(our_seconds: float, their_seconds: float, **facts: Any) -> dict[str, Any]:
    return {
        "our_seconds": our_seconds,
        "their_seconds": their_seconds,
        "ratio": their_seconds / our_seconds,
        **facts,
    }


def scores_of(model: Any, image: Image.Image) -> dict[str, NDArray[np.float32]]:
    """Random weights give random scores: look first, so that thresholds can be put between them."""
    segmenter = Sam3Segmenter(model, name="sam3", resolution=SAM3_RESOLUTION)
    session = segmenter.open(image)
    scores = {phrase: session.segment(PromptState(phrase, threshold=0.0)).scores for phrase in PHRASES}
    segmenter.close()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=960)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    results: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if "eight_threads" in options.parts:
        results["eight_threads"] = eight_threads()
    if set(options.parts) - {"eight_threads"}:
        results.update(full_size(options.width, options.height, options.parts))
    if options.json:
        print(json.dumps(results))
    else:
        for name, result in results.items():
            print(f"{name}: {json.dumps(result, indent=2)}")


def full_size(width: int, height: int, parts: Sequence[str]) -> dict[str, Any]:
    model = build_sam3("cpu")
    image = picture(width, height)
    scores = scores_of(model, image)
    results = {}
    if "five_prompts" in parts:
        thresholds = {phrase: float(found[MASKS_PER_PROMPT]) for phrase, found in scores.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            image.save(path)
            results["five_prompts"] = five_prompts(model, path, thresholds)
    if "another_threshold" in parts:
        results["another_threshold"] = another_threshold(model, image, scores[PHRASES[0]])
    return results


if __name__ == "__main__":
    main()
