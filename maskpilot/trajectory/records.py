"""Sessions as plain JSON data, and back.

Reading raises AttributeError, KeyError, TypeError or ValueError where a record is not what it should be; who
reads the file says which line it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from maskpilot import masks
from maskpilot.trajectory.session import Ending, Setup, Step
from maskpilot.types import (
    Box,
    Budget,
    Decision,
    Exemplar,
    ImageRef,
    Instance,
    Mask,
    PromptState,
    Seen,
    SeenPicture,
    Stop,
    ToolCall,
    Usage,
    Verdict,
)

__all__ = [
    "read_ending",
    "read_setup",
    "read_step",
    "setup_record",
    "step_record",
]


def setup_record(setup: Setup) -> dict[str, Any]:
    """What a session was given, as plain data."""
    return {**asdict(replace(setup, start=())), "start": _instance_records(setup.start)}


def step_record(step: Step) -> dict[str, Any]:
    """A round as plain data."""
    return {
        "index": step.index,
        "decision": _decision_record(step.decision),
        "rating": step.rating,
        "errors": step.errors,
        "notes": step.notes,
        "prompts": _prompts_record(step.prompts),
        "instances": _instance_records(step.instances),
        "locked": step.locked,
        "dropped": step.dropped,
        "zooms": [box.xyxy for box in step.zooms],
        "seconds": step.seconds,
    }


def _instance_records(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    return [
        {
            "id": instance.id,
            "score": instance.score,
            "text": instance.text,
            "counts": instance.mask.counts.decode("ascii"),
        }
        for instance in instances
    ]


def _decision_record(decision: Decision) -> dict[str, Any]:
    return {
        "calls": [
            {"name": call.name, "arguments": dict(call.arguments), "id": call.id} for call in decision.calls
        ],
        "thought": decision.thought,
        "rating": decision.rating,
        "usage": asdict(decision.usage),
        "problems": decision.problems,
        "refused": decision.refused,
        "objections": decision.objections,
        "unchecked": decision.unchecked,
        "seen": None if decision.seen is None else asdict(decision.seen),
    }


def _prompts_record(prompts: PromptState) -> dict[str, Any]:
    boxes = [{"xyxy": exemplar.box.xyxy, "positive": exemplar.positive} for exemplar in prompts.boxes]
    return {"text": prompts.text, "boxes": boxes, "threshold": prompts.threshold}


def read_setup(record: Mapping[str, Any]) -> Setup:
    """What a session was given, from its record; older ones know of no start."""
    image = ImageRef(**record["image"])
    return Setup(
        query=_typed(record, "query", str),
        image=image,
        tools=tuple(record["tools"]),
        budget=Budget(**record["budget"]),
        policy=_typed(record, "policy", dict),
        segmenter=_typed(record, "segmenter", dict),
        versions=_typed(record, "versions", dict),
        created=record["created"],
        start=tuple(_instance(instance, image) for instance in record.get("start", ())),
    )


def read_step(record: Mapping[str, Any], image: ImageRef) -> Step:
    """A round, from its record; its masks lie on `image`."""
    prompts = record["prompts"]
    return Step(
        index=record["index"],
        decision=_decision(record["decision"]),
        rating=record["rating"],
        errors=tuple(record["errors"]),
        notes=tuple(record["notes"]),
        prompts=PromptState(
            prompts["text"],
            tuple(Exemplar(Box(*box["xyxy"]), box["positive"]) for box in prompts["boxes"]),
            prompts["threshold"],
        ),
        instances=tuple(_instance(instance, image) for instance in record["instances"]),
        locked=tuple(record["locked"]),
        dropped=tuple(record["dropped"]),
        zooms=tuple(Box(*xyxy) for xyxy in record["zooms"]),
        seconds=record["seconds"],
    )


def _typed(record: Mapping[str, Any], name: str, kind: type) -> Any:
    value = record[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def _decision(record: Mapping[str, Any]) -> Decision:
    return Decision(
        calls=tuple(ToolCall(call["name"], call["arguments"], call["id"]) for call in record["calls"]),
        thought=record["thought"],
        rating=record["rating"],
        usage=Usage(**record["usage"]),
        problems=tuple(record["problems"]),
        refused=record["refused"],
        objections=tuple(record["objections"]),
        unchecked=record.get("unchecked", ""),  # not in records of before
        seen=None if record["seen"] is None else _seen(record["seen"]),
    )


def _seen(record: Mapping[str, Any]) -> Seen:
    return Seen(record["text"], tuple(SeenPicture(**picture) for picture in record["pictures"]))


def _instance(record: Mapping[str, Any], image: ImageRef) -> Instance:
    mask = Mask(image.width, image.height, record["counts"].encode("ascii"))
    masks.check(mask)
    box = masks.tight_box(mask)
    if box is None:
        raise ValueError(f"instance {record['id']} has an empty mask")
    return Instance(record["id"], mask, box, record["score"], record["text"])


def read_ending(record: Mapping[str, Any]) -> Ending:
    """How a session ended, from its record."""
    return Ending(
        stop=Stop(record["stop"]),
        verdict=Verdict(record["verdict"]),
        reason=record["reason"],
        best=record["best"],
        usage=Usage(**record["usage"]),
        seconds=record["seconds"],
        error=record["error"],
        unrecorded=Usage(**record.get("unrecorded", {})),  # not in records of before
    )
