"""What a reader of an export gets back of the labels, counted by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from maskpilot import masks
from maskpilot.labeling.export.writer import Picture
from maskpilot.types import Mask

__all__ = ["ClassLoss", "Loss"]

SHOWN = 20
"""Instances that came back least like the label, named in the record."""


@dataclass
class ClassLoss:
    """Of one class.

    Attributes:
        instances: labels that were to be written.
        lost: of them, those that no reader gets back.
        changed: of the others, those that come back with other pixels.
        total: sum of the IoU of label and what comes back, over those that do.
        lowest: the lowest of them; None where nothing came back.
    """

    instances: int = 0
    lost: int = 0
    changed: int = 0
    total: float = 0.0
    lowest: float | None = None

    @property
    def mean(self) -> float | None:
        """Mean IoU of what comes back with its label; None where nothing does."""
        back = self.instances - self.lost
        return self.total / back if back else None

    def add(self, iou: float | None) -> None:
        """Count an instance by its IoU; None where it is lost."""
        self.instances += 1
        if iou is None:
            self.lost += 1
            return
        self.changed += iou < 1.0
        self.total += iou
        self.lowest = iou if self.lowest is None else min(self.lowest, iou)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "instances": self.instances,
            "written": self.instances - self.lost,
            "lost": self.lost,
            "changed": self.changed,
            "mean_iou": self.mean,
            "lowest_iou": self.lowest,
        }


@dataclass
class Loss:
    """Of an export. Holds figures by class, and a few instances: its size does not grow with the export."""

    classes: dict[str, ClassLoss]
    _worst: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def add(self, picture: Picture, back: Sequence[Mask | None]) -> None:
        """Count a picture's labels by what comes back of them, in the order of `picture.labels`.

        Raises:
            ValueError: there are not as many of them.
        """
        for (one, label), mask in zip(picture.labels, back, strict=True):
            iou = None if mask is None else _iou(label.instance.mask, mask)
            iou = iou or None  # a mask that shares no pixel with the label is none of it
            self.classes[one.name].add(iou)
            if iou is None or iou < 1.0:
                where = {"image": picture.source, "class": one.name, "instance": label.instance.id}
                self._worst.append((iou or 0.0, {**where, "iou": iou or 0.0}))
                self._worst = sorted(self._worst, key=lambda row: row[0])[:SHOWN]

    def record(self) -> dict[str, Any]:
        """As plain data: in all, by class, and the instances that came back least like the label."""
        parts = self.classes.values()
        lowest = [part.lowest for part in parts if part.lowest is not None]
        whole = ClassLoss(
            instances=sum(part.instances for part in parts),
            lost=sum(part.lost for part in parts),
            changed=sum(part.changed for part in parts),
            total=sum(part.total for part in parts),
            lowest=min(lowest, default=None),
        )
        return {
            **whole.record(),
            "classes": {name: part.record() for name, part in self.classes.items()},
            "worst": [row for _, row in self._worst],
        }


def _iou(label: Mask, back: Mask) -> float:
    """1.0 only where every pixel is the same."""
    return 1.0 if label == back else float(masks.iou_matrix([label], [back])[0, 0])
