"""How fast `maskpilot label` is beside what latency and segmenter allow, and whether its memory stays flat.

    python -m benchmarks.labeling [--parts throughput memory] [--images 256] [--tiny-images 3000] [--json]

Throughput: 32 workers, drawn scenes, one class, the small SAM 3 with random weights (the compute of `nano`;
what it finds is replaced by what was drawn), and a simulated model that takes 2 s for a reply. `MllmPolicy`
with its second look is the real one: messages, overlays and the JSON of the requests are made; only the
network is a sleep. Two bounds hold:

    latency      workers / (calls an image * seconds a call)
    segmenter    images a second that it does alone, batched, asked for the same by as many threads

The goal is at least 85% of the lower one. On a machine without a GPU, the segmenter and our own code share
the processor, so the time of the processor is told as well.

Memory: megabytes that a process of its own holds on the way through 100, 1,000 and 3,000 tiny images with
scripted masks and a model that answers at once; --tiny-images 10000 takes some minutes more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from maskpilot.agent.mllm import chat
from maskpilot.agent.mllm.exchange import Reply, Request, Role
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.pictures import Pictures
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.labeling import pilots
from maskpilot.labeling.job import Job
from maskpilot.labeling.plan import Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.types import LabelClass
from maskpilot.scenes import Scene, make_scene
from maskpilot.segmenters import load_segmenter
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.types import Detections, PromptState, ToolCall, Usage

PARTS = ("throughput", "memory")
GOAL = 0.85
QUERY = "circle"
MASKS = 8
ALONE = 96
"""Images on which the segmenter is measured alone."""

FIRST_SEED = 4_000_000_000
TINY = (64, 48)
SAMPLED = (100, 300, 1_000, 3_000, 10_000)


class Simulated:
    """A wire to nobody: it makes a request's JSON, waits, and says what the script has for it.

    The script: the class as the phrase; then `finish`; to a second look, that all is well.
    """

    description: Mapping[str, Any] = {"model": "simulated"}

    def __init__(self, seconds: float) -> None:
        self._seconds, self._pictures = seconds, Pictures()
        self._lock = threading.Lock()
        self.calls = self.bytes = 0

    def send(self, request: Request) -> Reply:
        size = len(json.dumps(chat.body(request, self._pictures)))
        with self._lock:
            self.calls += 1
            self.bytes += size
        time.sleep(self._seconds)
        usage = Usage(calls=1, prompt_tokens=2000, completion_tokens=60, cost=0.001)
        if not request.tools:
            return Reply('{"wrong_ids": [], "missed": [], "why": ""}', usage=usage)
        if any(message.role is Role.assistant for message in request.messages):
            said = [ToolCall("finish", {"verdict": "complete", "reason": "all found", "rating": 90}, id="1")]
        else:
            said = [ToolCall("set_text_prompt", {"text": QUERY, "rating": 0}, id="1")]
        return Reply(calls=tuple(said), usage=usage)


class Few:
    """A segmenter that works as hard as it must for MASKS things on each image, and shows what was drawn.

    Random weights give all candidates of an image nearly the same score, so the threshold that leaves a few
    is found out beforehand; and their masks are speckles all over the image, as no trained model's are, which
    take ten times as long to draw.
    """

    def __init__(self, segmenter: Segmenter, scenes: Sequence[Scene]) -> None:
        self.name, self.provenance = segmenter.name, segmenter.provenance
        self._segmenter = segmenter
        with ThreadPoolExecutor(8) as pool:
            thresholds = list(pool.map(self._threshold, scenes))
        drawn = zip(scenes, thresholds, strict=True)
        self._known = {scene.pixels.tobytes(): (limit, _truth(scene)) for scene, limit in drawn}

    def open(self, image: Image.Image) -> FewSession:
        return FewSession(self._segmenter.open(image), *self._known[image.tobytes()])

    def close(self) -> None:
        self._segmenter.close()

    def _threshold(self, scene: Scene) -> float:
        session = self._segmenter.open(scene.image)
        scores = session.segment(PromptState(QUERY, threshold=0.0)).scores
        session.close()
        return float(scores[MASKS])


class FewSession:
    """One image of `Few`."""

    def __init__(self, session: ImageSession, threshold: float, shown: Detections) -> None:
        self.size, self._session = session.size, session
        self._threshold, self._shown = threshold, shown

    def segment(self, prompts: PromptState) -> Detections:
        if prompts.is_empty:
            return Detections.empty(*self.size)
        self._session.segment(replace(prompts, threshold=self._threshold))
        return self._shown

    def close(self) -> None:
        self._session.close()


def _truth(scene: Scene) -> Detections:
    """MASKS of the drawn objects at most."""
    things = scene.objects[:MASKS]
    if not things:
        return Detections.empty(scene.width, scene.height)
    return Detections(
        masks=np.stack([thing.mask for thing in things]),
        boxes=np.array([thing.box.xyxy for thing in things], np.float32),
        scores=np.linspace(0.95, 0.6, len(things), dtype=np.float32),
    )


def read_rgb(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def throughput(images: int, workers: int, latency: float) -> dict[str, Any]:
    """A run beside both bounds."""
    with tempfile.TemporaryDirectory() as name, closing(load_segmenter("untrained", device="auto")) as bare:
        folder = Path(name)
        segmenter = Few(bare, _draw(folder / "images", images))
        sys.stderr.write("measuring ...\n")
        alone = _segmenter_alone(segmenter, folder / "images", workers)
        wire = Simulated(latency)
        took = _label(folder, segmenter, wire, workers)
    calls = wire.calls / images
    bounds = {"latency": workers / (calls * latency), "segmenter": alone["images_per_second"]}
    seen, limit = images / took["seconds"], min(bounds, key=lambda which: bounds[which])
    return {
        "images": images,
        "workers": workers,
        "latency": latency,
        "calls_per_image": calls,
        "kilobytes_per_call": wire.bytes / wire.calls / 1000,
        "bounds": bounds,
        "limited_by": limit,
        "images_per_second": seen,
        "ratio": seen / bounds[limit],
        "goal": GOAL,
        "processor_ms_per_image": 1000 * took["processor"] / images,
        "of_it_segmenter": 1000 * alone["processor_per_image"],
        "instances_per_image": took["instances"] / images,
    }


def _segmenter_alone(segmenter: Segmenter, folder: Path, workers: int) -> dict[str, float]:
    """The same requests without anybody who decides; each thread is back at once."""

    def one(path: Path) -> None:
        session = segmenter.open(read_rgb(path))
        session.segment(PromptState(QUERY))
        session.close()

    paths = sorted(folder.iterdir())[:ALONE]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, paths[:workers]))  # warm
        began, processor = time.perf_counter(), time.process_time()
        list(pool.map(one, paths))
    seconds = time.perf_counter() - began
    took = time.process_time() - processor
    return {"images_per_second": len(paths) / seconds, "processor_per_image": took / len(paths)}


def _label(folder: Path, segmenter: Segmenter, wire: Simulated, workers: int, watch: Any = None) -> Any:
    settings = MllmSettings("simulated", base_url="http://localhost/v1", call_style="native")
    job = Job((LabelClass(QUERY),), segmenter, pilots.mllm(wire, settings, Memory()))
    began, processor = time.perf_counter(), time.process_time()
    outcome = run_labeling(Plan(folder / "images", job, workers=workers), folder / "run", watch=watch)
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - processor,
        "done": outcome.done,
        "instances": outcome.summary.instances,
    }


def memory(images: int, workers: int) -> dict[str, Any]:
    """Megabytes held at some points of a run, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.labeling",
        "--worker",
        str(images),
        "--workers",
        str(workers),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    weighed: dict[str, Any] = json.loads(done.stdout)
    return weighed


class _Scale:
    """Weighs the process at some points of a run."""

    def __init__(self) -> None:
        self.megabytes: dict[int, float] = {}

    def __call__(self, standing: Standing) -> None:
        if standing.done in SAMPLED:
            self.megabytes[standing.done] = round(_held() / 2**20, 1)

    def note(self, message: str) -> None:
        sys.stderr.write(message + "\n")


def _held() -> int:
    """Bytes that the process holds.

    Where the system tells, memory of its own, swapped out or not: pages of libraries come and go.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        own = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "VmSwap:"))]
    except OSError:
        return int(psutil.Process().memory_info().rss)
    return 1024 * sum(int(kilobytes) for kilobytes in own)


def _weigh(images: int, workers: int) -> dict[str, Any]:
    square = np.zeros(TINY[::-1], np.bool_)
    square[10:20, 10:20] = True
    segmenter = FakeSegmenter([FakeObject(square, frozenset({QUERY}))])
    scale = _Scale()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for number in range(images):
            pixels = rng.integers(0, 256, (*TINY[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:06d}.png")
        took = _label(Path(name), segmenter, Simulated(0.0), workers, scale)
    return {"seconds": took["seconds"], "images": took["done"], "megabytes": scale.megabytes}


def _draw(folder: Path, count: int) -> list[Scene]:
    folder.mkdir()
    scenes = [make_scene(FIRST_SEED + number, count=MASKS) for number in range(count)]
    for number, scene in enumerate(scenes):
        scene.image.save(folder / f"{number:05d}.png")
    return scenes


def tell(found: Mapping[str, Any]) -> None:
    """Print it for people."""
    if one := found.get("throughput"):
        bounds = one["bounds"]
        print(
            f"{one['images']} images, {one['workers']} workers, {one['latency']:g} s a call, "
            f"{one['calls_per_image']:g} calls an image of {one['kilobytes_per_call']:.0f} kB, "
            f"{one['instances_per_image']:.1f} instances an image"
        )
        print(f"bound of the latency    {bounds['latency']:.2f} images/s")
        print(f"bound of the segmenter  {bounds['segmenter']:.2f} images/s (alone, batched)")
        print(f"seen                    {one['images_per_second']:.2f} images/s")
        met = "met" if one["ratio"] >= GOAL else "MISSED"
        print(f"ratio to the lower one ({one['limited_by']}): {one['ratio']:.2f}; goal {GOAL}: {met}")
        print(
            f"processor: {one['processor_ms_per_image']:.0f} ms an image, "
            f"{one['of_it_segmenter']:.0f} of it the segmenter alone"
        )
    if one := found.get("memory"):
        weighed = ", ".join(f"{mb:.1f} MB at {int(count):,}" for count, mb in one["megabytes"].items())
        print(f"memory of {one['images']:,} tiny images in {one['seconds']:.0f} s: {weighed}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--tiny-images", type=int, default=3_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(_weigh(options.worker, options.workers)))
        return
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    if "throughput" in options.parts:
        found["throughput"] = throughput(options.images, options.workers, options.latency)
    if "memory" in options.parts:
        found["memory"] = memory(options.tiny_images, options.workers)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{found['cores']} cores, load {found['load']} before")
        tell(found)


if __name__ == "__main__":
    main()
