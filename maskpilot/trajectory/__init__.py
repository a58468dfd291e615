"""A session: what happened in it, and how it lies on disk."""

from maskpilot.trajectory.files import SCHEMA, Recorder, TrajectoryWriter, read_trajectory
from maskpilot.trajectory.session import Changes, Ending, Setup, Step, Trajectory, best_step, changes

__all__ = [
    "SCHEMA",
    "Changes",
    "Ending",
    "Recorder",
    "Setup",
    "Step",
    "Trajectory",
    "TrajectoryWriter",
    "best_step",
    "changes",
    "read_trajectory",
]
