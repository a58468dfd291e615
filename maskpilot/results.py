"""What a session leaves beside its log: pictures, COCO instances, a report, plain data."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskpilot import masks
from maskpilot.images import LoadedImage
from maskpilot.render import Marks, mask_image, overlay
from maskpilot.report import write_report
from maskpilot.runfolder import RunFolder
from maskpilot.trajectory import Trajectory
from maskpilot.types import Instance

__all__ = ["REPORT", "coco_record", "result_record", "write_results"]

REPORT = "report.html"
"""Written last: where it is there, all results of the session are."""


def write_results(folder: RunFolder, trajectory: Trajectory, image: LoadedImage) -> None:
    """Write overlay.png, mask.png, instances.json and report.html of a session.

    Raises:
        RunFolderError: one of them cannot be written.
    """
    shown = trajectory.result
    best = trajectory.ending.best if trajectory.ending else None
    # What no round left is what the session started with.
    locked = [one.id for one in shown] if best is None else trajectory.steps[best].locked
    picture = overlay(image.image, shown, marks=Marks(locked=frozenset(locked))).image
    folder.write("overlay.png", _png(picture))
    folder.write("mask.png", _png(mask_image(shown, *image.image.size)))
    folder.write_json("instances.json", coco_record(trajectory))
    write_report(folder, [trajectory])


def coco_record(trajectory: Trajectory) -> dict[str, Any]:
    """The result as a COCO instances file: one image, one category named as the query, RLE masks."""
    image = trajectory.setup.image
    return {
        "info": {"description": "segmented by maskpilot", "version": "1.0"},
        "images": [{"id": 1, "file_name": image.name, "width": image.width, "height": image.height}],
        "categories": [{"id": 1, "name": trajectory.setup.query}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "segmentation": _rle_record(instance),
                "bbox": [instance.box.x0, instance.box.y0, instance.box.width, instance.box.height],
                "area": masks.area(instance.mask),
                "iscrowd": 0,
                "score": instance.score,
            }
            for number, instance in enumerate(trajectory.result, start=1)
        ],
    }


def _instances_record(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """Instances as plain data: id, score, box (xyxy pixels), area (pixels), rle (COCO, compressed)."""
    return [
        {
            "id": instance.id,
            "score": round(instance.score, 6),
            "box": list(instance.box.xyxy),
            "area": masks.area(instance.mask),
            "rle": _rle_record(instance),
        }
        for instance in instances
    ]


def result_record(trajectory: Trajectory, image: str, folder: Path) -> dict[str, Any]:
    """What `maskpilot refine --json` prints.

    Raises:
        ValueError: the session did not end.
    """
    ending = trajectory.ending
    if ending is None:
        raise ValueError("result_record: expected a session that ended")
    return {
        "query": trajectory.setup.query,
        "image": image,
        "verdict": ending.verdict.value,
        "reason": ending.reason,
        "stop": ending.stop.value,
        "rounds": len(trajectory.steps),
        "instances": _instances_record(trajectory.result),
        "policy": dict(trajectory.setup.policy),
        "segmenter": trajectory.setup.segmenter.get("name"),
        "usage": asdict(ending.usage),
        "seconds": round(ending.seconds, 3),
        "run_dir": str(folder),
    }


def _rle_record(instance: Instance) -> dict[str, Any]:
    mask = instance.mask
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode("ascii")}


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
