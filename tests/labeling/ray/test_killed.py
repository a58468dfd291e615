"""kill -9 in the middle of a run on Ray: nothing is lost, and nothing that was kept is asked for again."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("ray")

from PIL import Image

from maskpilot.labeling.part import PARQUET, PENDING
from maskpilot.labeling.plan import Ended, Plan
from maskpilot.labeling.ray.cluster import Cluster
from maskpilot.labeling.ray.engine import OnRay
from maskpilot.labeling.ray.records import pending, read_part
from maskpilot.labeling.ray.servers import start_servers
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.types import ImageLabels
from tests.labeling.ray.doubles import NotedJob
from tests.segmenters.pictures import fake_segmenter

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data")]

IMAGES, WORKERS = 16, 3


def draw(folder: Path) -> dict[str, str]:
    """Draw images; the hash of each one's pixels, by that of its file."""
    folder.mkdir()
    pixels_of = {}
    for number in range(IMAGES):
        pixels = np.random.default_rng(number).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        path = folder / f"{number:02d}.png"
        Image.fromarray(pixels).save(path)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        pixels_of[content] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return pixels_of


def held(out: Path) -> list[ImageLabels]:
    with Store(out / LABELS) as store:
        return [replace(labels, seconds=0.0) for labels in store.images()]


def asked(notes: Path) -> Counter[str]:
    """How often each was asked for: an image's pixels, a class and a round."""
    return Counter(notes.read_text().splitlines())


def test_a_run_that_was_killed_goes_on(cluster: Any, tmp_path: Path) -> None:
    images, out, notes = tmp_path / "images", tmp_path / "run", tmp_path / "notes"
    pixels_of = draw(images)
    command = [sys.executable, "-m", "tests.labeling.ray.killed", str(images), str(out), str(notes), "5"]
    dead = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    children = [psutil.Process(int(pid)) for pid in dead.stdout.split() if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []  # the processes of its Ray went with it

    kept = {labels.image.sha256 for labels in held(out)}
    parts = {
        result.file.sha256 for path in pending(out) for result in read_part(path) if result.file is not None
    }
    assert 5 <= len(kept | parts) < IMAGES
    (out / PARQUET / PENDING / "cut.parquet").write_bytes(b"PAR1 and then the power went")
    before = asked(notes)

    servers = start_servers(fake_segmenter, 1, num_cpus=0.1)
    job = NotedJob(notes)
    engine = OnRay(Cluster(rows=1), servers, job)
    ended = run_labeling(Plan(images, job(engine.segmenter()), workers=WORKERS), out, engine=engine)
    cluster.kill(servers[0])

    assert (ended.ended, ended.done, ended.failed) == (Ended.complete, IMAGES, 0)
    after = asked(notes) - before
    safe = {pixels_of[content] for content in kept | parts}
    assert not {line for line in after if line.split()[0] in safe}
    # Of what was in flight, a decision that had not reached the disk is asked for again: one a session.
    assert sum((after & before).values()) <= WORKERS
    assert not (out / "sessions").exists() or not list((out / "sessions").iterdir())

    run_labeling(Plan(images, job(fake_segmenter())), tmp_path / "local")
    assert held(out) == held(tmp_path / "local")
    assert ended.summary.usage.calls == 4 * IMAGES
