"""A run on a Ray of its own that is killed in the middle: a program of its own for test_killed.py."""

import os
import signal
import sys
from pathlib import Path

import psutil

from maskpilot.labeling.plan import Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.ray.cluster import Cluster, connected
from maskpilot.labeling.ray.engine import OnRay
from maskpilot.labeling.runner import run_labeling
from tests.labeling.ray.doubles import NotedJob
from tests.segmenters.pictures import fake_segmenter

__all__ = ["CLUSTER"]

CLUSTER = Cluster("local", rows=1, options=(("num_cpus", 2), ("object_store_memory", 128 * 2**20)))


class Killing:
    """A watch that ends its process, as no process can see coming, once so many files are done."""

    def __init__(self, after: int) -> None:
        self._after = after

    def __call__(self, standing: Standing) -> None:
        if standing.done >= self._after:
            children = psutil.Process().children(recursive=True)
            # Ray's agents, which touch nothing of ours, look about once a minute whether they are needed.
            working = [child.pid for child in children if "Agent" not in child.name()]
            sys.stdout.write(" ".join(map(str, working)) + "\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, message: str) -> None: ...


def main() -> None:
    """Arguments: folder of images, run folder, file of notes, files after which to die."""
    images, out, notes, after = sys.argv[1:]
    job = NotedJob(Path(notes))
    with connected(CLUSTER, fake_segmenter) as servers:
        engine = OnRay(CLUSTER, servers, job)
        plan = Plan(Path(images), job(engine.segmenter()), workers=3)
        run_labeling(plan, Path(out), engine=engine, watch=Killing(int(after)))


if __name__ == "__main__":
    main()
