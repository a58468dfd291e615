"""A run that is killed again and again ends as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from maskpilot.agent import OracleErrors
from maskpilot.evals.pilots import oracle
from maskpilot.evals.results import RESULTS
from tests.evals.tables import Tables, evaluate
from tests.evals.test_runner import without_times

SAMPLES, KILLS = 30, 3
ERRORS = OracleErrors.at_rate(0.3)

# Says so on stdout before every decision, so that whoever kills it can choose between any two rounds.
VICTIM = """
import os, signal, sys
from pathlib import Path
from maskpilot.agent import OracleErrors
from maskpilot.evals.pilots import Pilot, oracle
from tests.evals.tables import Tables, evaluate

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit that it is ignored

class Loud:
    def __init__(self, policy):
        self.policy, self.description = policy, policy.description
    def decide(self, observation):
        os.write(1, b"round\\n")
        return self.policy.decide(observation)

quiet = oracle(OracleErrors.at_rate(0.3))
loud = Pilot(lambda sample, truth: Loud(quiet.make(sample, truth)), quiet.settings, sees_truth=True)
evaluate(Path(sys.argv[1]), Tables({samples}), loud, workers=3, resume=True)
"""


def killed_after(rounds: int, folder: Path) -> int:
    """Run the victim until it has begun so many rounds; its exit code."""
    command = [sys.executable, "-c", VICTIM.replace("{samples}", str(SAMPLES)), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as victim:
        assert victim.stdout is not None
        for _ in range(rounds):
            if not victim.stdout.readline():
                break
        victim.send_signal(signal.SIGKILL)
    return victim.returncode


def test_killed_at_any_time_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    choice, killed = random.Random(11), tmp_path / "killed"
    exits = [killed_after(choice.randint(1, 40), killed) for _ in range(KILLS)]
    assert set(exits) == {-signal.SIGKILL}
    whole = evaluate(killed, Tables(SAMPLES), oracle(ERRORS), workers=3, resume=True)
    calm = evaluate(tmp_path / "calm", Tables(SAMPLES), oracle(ERRORS))
    assert whole.complete
    assert without_times(whole) == without_times(calm)
    lines = (killed / RESULTS).read_bytes().splitlines()
    numbers = [json.loads(line)["number"] for line in lines]
    assert sorted(numbers) == list(range(1, SAMPLES + 1))


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", VICTIM.replace("{samples}", "400"), str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"round\n"
        victim.send_signal(signal.SIGINT)
        _, complaints = victim.communicate(timeout=60)
    assert victim.returncode == 0
    assert complaints == b""
    lines = (tmp_path / "run" / RESULTS).read_bytes().splitlines()
    assert len(lines) < 400
    assert all(json.loads(line)["score"]["error"] == "" for line in lines)
