"""Who answers the samples of a run: a fresh policy for each, made by a pilot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from maskpilot.agent import Observation, OneShot, Oracle, OracleErrors, Policy, Replay
from maskpilot.agent.mllm.exchange import Wire
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy, policy_settings
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.errors import BudgetReached, DatasetError, InvalidInput, TrajectoryError
from maskpilot.evals.results import RESULTS, read_results
from maskpilot.evals.types import Sample, Truth
from maskpilot.runfolder import RUN, RunFolder
from maskpilot.trajectory import Trajectory, read_trajectory
from maskpilot.types import Decision, Stop, Usage

__all__ = ["Pilot", "mllm", "one_shot", "oracle", "replay", "seed_of"]


LIMITS = (Stop.max_rounds, Stop.max_seconds, Stop.max_tokens, Stop.max_cost)


@dataclass(frozen=True)
class Pilot:
    """Makes the policy of every session of an eval; labeling has a pilot of its own, without truth.

    Attributes:
        make: a fresh policy for a sample; the truth is None unless `sees_truth`. Called from many threads.
        settings: what makes it repeatable, as plain JSON data with a "name"; a run cannot go on with other
            settings. "simulated": True marks what is not a model looking at pictures.
        sees_truth: True for simulated annotators alone; whatever is written about the run says so.

    Raises:
        ValueError: it sees the truth and its settings do not say "simulated".
    """

    make: Callable[[Sample, Truth | None], Policy]
    settings: Mapping[str, Any]
    sees_truth: bool = False

    def __post_init__(self) -> None:
        if self.sees_truth and not self.settings.get("simulated"):
            raise ValueError('Pilot: one that sees the truth must say so: settings["simulated"] = True')

    def policy(self, sample: Sample, truth: Truth) -> Policy:
        """The policy of one session; the truth stays here unless the pilot is a simulated annotator."""
        return self.make(sample, truth if self.sees_truth else None)


def one_shot() -> Pilot:
    """The baseline: the query as the text prompt, once."""
    return Pilot(lambda *_: OneShot(), OneShot.description)


def oracle(errors: OracleErrors | None = None, *, seed: int = 0) -> Pilot:
    """A simulated annotator that sees the ground truth of the first annotator.

    Args:
        errors: how often it errs.
        seed: of its errors; every sample gets its own from it, whatever the order of the samples.
    """
    errs = errors or OracleErrors()

    def make(sample: Sample, truth: Truth | None) -> Policy:
        if truth is None:
            raise AssertionError("unreachable: Pilot.policy gives an oracle the truth")
        phrases = sample.phrases or (sample.query,)
        return Oracle(truth.instances, phrases, errors=errs, seed=seed_of(seed, sample.id))

    settings = {"name": "oracle", "simulated": True, "seed": seed, "errors": asdict(errs)}
    return Pilot(make, settings, sees_truth=True)


def mllm(wire: Wire, settings: MllmSettings, memory: Memory) -> Pilot:
    """A multimodal LLM.

    Args:
        wire: to the model; all sessions share it.
        settings: how to ask it. What they cost and where the key lies are no part of the run's settings.
        memory: what is known of the model; shared as well.
    """
    return Pilot(lambda *_: MllmPolicy(wire, settings, memory=memory), policy_settings(settings))


def replay(path: Path) -> Pilot:
    """The sessions of an earlier run, decided again, say with another segmenter. Nobody is asked anew.

    Args:
        path: folder of a run of `maskpilot eval`.

    Raises:
        InvalidInput: it holds no such run.
        RunFolderError: the run is damaged.
    """
    folder = RunFolder.open(path)
    about = folder.read_json(RUN)
    if about.get("command") != "eval":
        raise InvalidInput(f"{path}: holds no run of maskpilot eval")
    outcomes = {outcome.score.sample: outcome for outcome in read_results(path / RESULTS)}

    def make(sample: Sample, truth: Truth | None) -> Policy:  # noqa: ARG001
        if sample.id not in outcomes:
            raise DatasetError(f"{path}: holds no session of sample {sample.id!r}")
        outcome = outcomes[sample.id]
        try:
            return _Recorded(read_trajectory(folder.session(outcome.number)), outcome.usage)
        except TrajectoryError as error:
            raise DatasetError(f"{path}: the session of sample {sample.id!r} cannot be read") from error

    of = about["settings"]["policy"]
    return Pilot(make, {"name": "replay", "of": of, "simulated": bool(of.get("simulated"))})


class _Recorded:
    """Decides as a recorded session did, and ends where a limit ended it. It asks nobody, so it is free.

    Args:
        session: as it was recorded.
        spent: what it cost then; told in the description.
    """

    def __init__(self, session: Trajectory, spent: Usage) -> None:
        self._session, self._replay = session, Replay(session.steps)
        self._free = Usage(cost=None if spent.cost is None else 0.0)
        cost = {} if spent.cost is None else {"cost": spent.cost}
        recorded = {"tokens": spent.tokens, **cost} if spent.calls else {}
        self.description: Mapping[str, Any] = {"name": "replay", "recorded": recorded}

    def decide(self, observation: Observation) -> Decision:
        ending = self._session.ending
        if ending and ending.stop in LIMITS and len(observation.steps) == len(self._session.steps):
            raise BudgetReached(ending.stop)
        return replace(self._replay.decide(observation), usage=self._free)


def seed_of(seed: int, sample: str) -> int:
    """A seed of a sample's own, from 0 to 2^64."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample}".encode()).digest()[:8], "big")
