"""What happened, as one page: `report.html` in a run folder, self-contained, readable without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from maskpilot.errors import ImageError
from maskpilot.report.page import render_report
from maskpilot.runfolder import RunFolder
from maskpilot.trajectory import Trajectory
from maskpilot.types import ImageRef

__all__ = ["render_report", "write_report"]


def write_report(folder: RunFolder, trajectories: Sequence[Trajectory]) -> Path:
    """Write `report.html` into a run folder, over an earlier one.

    Args:
        folder: it keeps the images of the sessions; one that is gone or damaged leaves its session without
            pictures.
        trajectories: in the order in which they are shown.

    Raises:
        RunFolderError: the folder cannot be written.
    """

    def load(ref: ImageRef) -> Image.Image | None:
        try:
            return folder.load_image(ref).image
        except ImageError:
            return None

    return folder.write("report.html", render_report(trajectories, load))
