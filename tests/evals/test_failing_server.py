"""Evals against a server that fails: what it did not answer is never scored as if it had."""

from collections.abc import Callable
from pathlib import Path

from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.evals.pilots import mllm
from maskpilot.evals.run import Ended, Run
from maskpilot.testing import Says, Seen
from maskpilot.testing.faults import server_error
from maskpilot.testing.server import Turn
from tests.agent.mllm.wires import wired
from tests.evals.tables import Tables, evaluate

CUP = Says(calls=(("set_text_prompt", {"text": "cup", "rating": 5}),))
FINISH = Says(calls=(("finish", {"verdict": "complete"}),))


def answer(seen: Seen) -> Turn:
    return CUP if len(seen.body["messages"]) == 2 else FINISH


def asked(out: Path, samples: int, server: Callable[[Seen], Turn], *, again: bool = False) -> Run:
    settings = MllmSettings(model="m1", base_url="http://localhost:1/v1", verify=False)
    with wired(server) as (wire, _, _):
        pilot = mllm(wire, settings, Memory())
        return evaluate(out, Tables(samples), pilot, workers=1, resume=again, retry_failed=again)


def test_a_server_that_dies_in_a_session_fails_samples_until_the_run_stops_and_goes_on(
    tmp_path: Path,
) -> None:
    replies: list[Turn] = []

    def lives(seen: Seen) -> Turn:
        replies.append(answer(seen))
        return replies[-1]

    def dies(seen: Seen) -> Turn:
        """After the first round of the third sample."""
        return server_error() if len(replies) == 5 else lives(seen)

    run = asked(tmp_path / "run", 24, dies)
    assert (run.ended, len(run.answered), len(run.failed)) == (Ended.only_failures, 2, 20)
    assert "fails with every attempt; see the server's log" in run.failed[0].score.error
    whole = asked(tmp_path / "run", 24, lives, again=True)
    assert (whole.ended, len(whole.answered)) == (Ended.complete, 24)
    assert len(replies) == 2 * 24  # no round was paid for twice
    assert whole.usage.calls == 2 * 24


def test_a_sample_on_which_a_server_fails_fails_alone(tmp_path: Path) -> None:
    def cannot_take_one(seen: Seen) -> Turn:
        return server_error() if "<query>mug</query>" in str(seen.body) else answer(seen)

    run = asked(tmp_path / "run", 6, cannot_take_one)
    assert (run.ended, len(run.answered)) == (Ended.complete, 5)
    assert [outcome.score.sample for outcome in run.failed] == ["s0002"]
