"""The demo: drawn scenes, a simulated annotator at the wheel, one shot against the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from maskpilot import masks
from maskpilot.agent import OneShot, Oracle, run_session
from maskpilot.images import from_picture
from maskpilot.refine import prepare, uninterrupted
from maskpilot.report import write_report
from maskpilot.runfolder import RUN, RunFolder, versions
from maskpilot.scenes import Scene, SceneQuery, make_scene, queries
from maskpilot.segmenters.base import Segmenter
from maskpilot.trajectory import Trajectory, TrajectoryWriter
from maskpilot.types import ImageRef, Instance, Mask

__all__ = ["Sample", "demo_record", "demo_tasks", "run_demo"]

KINDS = ("plain", "attribute", "except", "either", "relation", "ordinal", "superlative", "absent")
FIRST_SEED = 2_000_000_011
"""Demo scenes come from seeds that nothing was trained or tuned on."""

OBJECTS = 9


@dataclass(frozen=True)
class Sample:
    """One query of the demo, answered twice.

    Attributes:
        one_shot_iou, final_iou: intersection over union of the whole answer with the truth, in [0, 1]; 1
            where both are empty.
    """

    query: str
    one_shot_iou: float
    final_iou: float
    rounds: int
    stop: str


def demo_tasks() -> list[tuple[Scene, SceneQuery]]:
    """One scene and query of each kind in KINDS, always the same."""
    tasks = []
    for offset, kind in enumerate(KINDS):
        seed = FIRST_SEED + 100 * offset
        while not (found := _query_of_kind(make_scene(seed, count=OBJECTS), kind)):
            seed += 1
        tasks.append((make_scene(seed, count=OBJECTS), found))
    return tasks


def run_demo(
    folder: RunFolder,
    segmenter: Segmenter,
    tasks: Sequence[tuple[Scene, SceneQuery]],
    *,
    watch: Callable[[Sample], None] = lambda _: None,
) -> list[Sample]:
    """Run every task with `one_shot` and with the oracle; leave sessions and report in the folder.

    Args:
        folder: a new run folder.
        segmenter: what both policies pilot.
        tasks: from `demo_tasks`.
        watch: is told of every sample when it is done.

    Raises:
        SessionFailed: the segmenter failed.
        RunFolderError: the folder cannot be written.
        KeyboardInterrupt: Ctrl-C; no sample is made of half a session.
    """
    facts = {"name": segmenter.name, **segmenter.provenance}
    folder.clear()
    folder.write_json(
        RUN, {"schema": 1, "command": "demo", "segmenter": facts, "policy": "oracle", "versions": versions()}
    )
    samples, trajectories = [], []
    for number, (scene, query) in enumerate(tasks, start=1):
        image = from_picture(scene.image, f"scene-{scene.seed}.png")
        folder.keep_image(image)
        truth = [masks.encode(scene.objects[index].mask) for index in query.answer]
        pilot = Oracle(truth, [query.phrase, *query.also], seed=scene.seed)
        opened = segmenter.open(image.image)
        try:
            one_shot = OneShot()
            setup = prepare(query.text, image, policy=one_shot, segmenter=segmenter)
            baseline = uninterrupted(run_session(setup, image.image, opened, one_shot))
            setup = prepare(query.text, image, policy=pilot, segmenter=segmenter)
            with TrajectoryWriter(folder.session(number)) as writer:
                piloted = uninterrupted(run_session(setup, image.image, opened, pilot, recorder=writer))
        finally:
            opened.close()
        trajectories.append(piloted)
        samples.append(_sample(baseline, piloted, truth))
        watch(samples[-1])
    write_report(folder, trajectories)
    return samples


def demo_record(samples: Sequence[Sample], seconds: float, segmenter: str) -> dict[str, Any]:
    """What `maskpilot demo --json` prints."""
    return {
        "samples": [asdict(sample) for sample in samples],
        "one_shot_miou": _mean([sample.one_shot_iou for sample in samples]),
        "final_miou": _mean([sample.final_iou for sample in samples]),
        "seconds": round(seconds, 3),
        "segmenter": segmenter,
        "policy": "oracle (simulated: it sees the ground truth)",
    }


def _query_of_kind(scene: Scene, kind: str) -> SceneQuery | None:
    found = [query for query in queries(scene, seed=0) if query.kind == kind]
    return found[0] if found else None


def _sample(baseline: Trajectory, piloted: Trajectory, truth: Sequence[Mask]) -> Sample:
    setup = piloted.setup
    return Sample(
        query=setup.query,
        one_shot_iou=union_iou(baseline.result, truth, setup.image),
        final_iou=union_iou(piloted.result, truth, setup.image),
        rounds=len(piloted.steps),
        stop=piloted.ending.stop.value if piloted.ending else "",
    )


def union_iou(shown: Sequence[Instance], truth: Sequence[Mask], image: ImageRef) -> float:
    """IoU of the union of what is shown with the union of the truth; 1 where both are empty."""
    if not shown and not truth:
        return 1.0
    size = {"width": image.width, "height": image.height}
    ours = masks.union([instance.mask for instance in shown], **size)
    return round(float(masks.iou_matrix([ours], [masks.union(truth, **size)])[0, 0]), 6)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6) if values else 0.0
