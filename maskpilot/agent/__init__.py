"""The loop and the policies that can sit in it."""

from maskpilot.agent.loop import run_session
from maskpilot.agent.one_shot import OneShot
from maskpilot.agent.oracle import Oracle, OracleErrors
from maskpilot.agent.policy import Observation, Policy
from maskpilot.agent.replay import Replay, ReplayedMasks
from maskpilot.agent.scripted import Scripted

__all__ = [
    "Observation",
    "OneShot",
    "Oracle",
    "OracleErrors",
    "Policy",
    "Replay",
    "ReplayedMasks",
    "Scripted",
    "run_session",
]
