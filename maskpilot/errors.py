"""Every exception that maskpilot raises on purpose.

    MaskpilotError
    ├── Recoverable              told to the model as the next observation's note; the session goes on
    │   ├── InvalidCall          a tool call whose arguments cannot be applied
    │   └── UnknownTool          a tool that does not exist, or is not offered in this session
    ├── BudgetReached            the policy's next request would break a limit; ends the session
    └── Fatal                    ends the work at hand; the message says what was wrong and what to do
        ├── InvalidInput         a query, an option or a setting that cannot be used (exit code 2)
        ├── ImageError           a file that cannot be used as an image
        ├── RunFolderError       a run folder that cannot be written, or already holds a run
        ├── TrajectoryError      a recorded session that cannot be read
        ├── DatasetError         a data set or predictions that are missing, damaged or contradictory
        ├── SegmenterError       the segmenter failed
        │   ├── SegmenterGone        no process holds the model any more
        │   ├── WeightsUnavailable   weights missing, gated or not a checkpoint of this model
        │   └── OutOfMemory          one request alone does not fit the device
        ├── PolicyError          the policy cannot go on (an endpoint that refuses for good, a replay used up)
        └── SessionFailed        a fatal error inside a session; carries the trajectory up to there

The split that matters is the first one: a `Recoverable` error is the model's to mend, everything else is
the person's. Nothing here is raised for what a model *said*; see `maskpilot.agent.loop`. The kinds of
`PolicyError` that an endpoint causes are in `maskpilot.agent.mllm.failures`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskpilot.trajectory import Trajectory
    from maskpilot.types import Stop, Usage

__all__ = [
    "BudgetReached",
    "DatasetError",
    "Fatal",
    "ImageError",
    "InvalidCall",
    "InvalidInput",
    "MaskpilotError",
    "OutOfMemory",
    "PolicyError",
    "Recoverable",
    "RunFolderError",
    "SegmenterError",
    "SegmenterGone",
    "SessionFailed",
    "TrajectoryError",
    "UnknownTool",
    "WeightsUnavailable",
]


class MaskpilotError(Exception):
    """Root of the tree; catch it to catch everything that maskpilot raises on purpose."""


class Recoverable(MaskpilotError):
    """The model did something that it can put right once told how; the message is written for it."""


class InvalidCall(Recoverable):
    """A tool call whose arguments cannot be applied."""


class UnknownTool(Recoverable):
    """A tool that does not exist, or that this session does not offer."""


class BudgetReached(MaskpilotError):
    """The policy stops before a request that would break a limit, or where it was interrupted; the loop makes
    it the session's end.

    Attributes:
        usage: what the decision that was not made had cost by then; None where it cost nothing.
    """

    def __init__(self, stop: Stop, *, usage: Usage | None = None) -> None:
        super().__init__(f"the next request would break the limit {stop.value}")
        self.stop = stop
        self.usage = usage


class Fatal(MaskpilotError):
    """Only a person can put this right; the message says what was wrong, where, and what to do."""


class InvalidInput(Fatal):
    """A query, an option or a setting that cannot be used."""


class ImageError(Fatal):
    """A file that cannot be used as an image."""


class RunFolderError(Fatal):
    """A run folder that cannot be written, or that already holds a run."""


class TrajectoryError(Fatal):
    """A recorded session that cannot be read."""


class DatasetError(Fatal):
    """A data set or a file of predictions that is missing, damaged or contradicts itself."""


class SegmenterError(Fatal):
    """The segmenter failed on a request."""


class SegmenterGone(SegmenterError):
    """No process holds the model any more, for this image as little as for any other."""


class WeightsUnavailable(SegmenterError):
    """Weights that are missing, gated, or not a checkpoint of this model."""


class OutOfMemory(SegmenterError):
    """One request alone does not fit into the device's memory."""


class PolicyError(Fatal):
    """The policy cannot go on: an endpoint that refuses for good, a recorded session that is used up.

    Attributes:
        usage: what the decision that failed had cost by then; None where it cost nothing.
    """

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class SessionFailed(Fatal):
    """A fatal error inside a session.

    The cause is `__cause__`; `trajectory` holds every step up to there and the best result so far, and
    `unrecorded` what a decision has cost that is in none of its steps, None where nothing is known of one.
    """

    def __init__(self, message: str, trajectory: Trajectory, *, unrecorded: Usage | None = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory
        self.unrecorded = unrecorded
