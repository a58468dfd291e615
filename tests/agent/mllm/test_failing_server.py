"""A server that fails in the middle of a session, and one that cannot read what its model writes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from maskpilot.agent import run_session
from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.errors import SessionFailed
from maskpilot.images import from_picture
from maskpilot.refine import prepare, refine, resumable
from maskpilot.runfolder import RunFolder
from maskpilot.testing import Says
from maskpilot.testing.faults import error, server_error
from maskpilot.testing.server import Turn
from maskpilot.trajectory import Trajectory, read_trajectory
from maskpilot.types import Stop
from tests.agent.mllm.sessions import settings, stop
from tests.agent.mllm.wires import wired
from tests.agent.sessions import IMAGE, boxes, setup
from tests.shapes import CUP_LEFT, table

TABLE = from_picture(IMAGE, "table.png")
CUP = Says(calls=(("set_text_prompt", {"text": "cup", "rating": 0}),))
FINISH = Says(calls=(("finish", {"verdict": "complete", "reason": "seen", "rating": 90}),))
DOWN: list[Turn] = [server_error()] * 4
"""As often as a request is tried."""

LLAMA = error(500, "Failed to parse input at pos 12: <tool_call> tools are not supported", "server_error")
PEG = error(500, "The model produced output that does not match the expected peg-native format")
OLLAMA = error(500, "error parsing tool call: raw='{\"x0\": ', err=unexpected end", "api_error")


def policy(wire: OpenAIWire) -> MllmPolicy:
    return MllmPolicy(wire, settings(), memory=Memory())


def session(turns: Sequence[Turn]) -> Trajectory:
    with wired(turns) as (wire, _, _):
        return run_session(setup(), IMAGE, table().open(IMAGE), policy(wire))


def refined(turns: Sequence[Turn], folder: RunFolder, *, resume: bool = False) -> Trajectory:
    with wired(turns) as (wire, _, _):
        decides, segmenter = policy(wire), table()
        made = prepare("cups", TABLE, policy=decides, segmenter=segmenter)
        earlier = resumable(folder, "cups", TABLE, policy=decides) if resume else None
        return refine(made, TABLE, segmenter, decides, folder, resume=earlier)


def test_a_server_that_fails_in_the_middle_of_a_session_ends_it_and_it_goes_on_later(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    for turns, resume in (([CUP, *DOWN], False), (DOWN, True)):
        with pytest.raises(SessionFailed, match="fails with every attempt; see the server's log") as caught:
            refined(turns, folder, resume=resume)
        assert isinstance(caught.value.__cause__, EndpointError)
        assert boxes(caught.value.trajectory) == [CUP_LEFT]
    recorded = read_trajectory(folder.steps)
    assert (stop(recorded), len(recorded.steps)) == (Stop.failed, 1)
    trajectory = refined([FINISH], folder, resume=True)
    assert (stop(trajectory), len(trajectory.steps)) == (Stop.finished, 2)


@pytest.mark.parametrize("fault", [LLAMA, PEG, OLLAMA])
def test_a_call_that_the_server_cannot_read_is_the_model_s_to_mend(fault: Turn) -> None:
    trajectory = session([fault] * 3 + [CUP] + [fault] * 3 + [FINISH])
    assert stop(trajectory) is Stop.finished
    assert [bool(step.errors) for step in trajectory.steps] == [True, False, True, False]
    assert trajectory.steps[0].errors[0].startswith("the endpoint sent no readable reply")
    assert boxes(trajectory) == [CUP_LEFT]


def test_calls_that_the_server_cannot_read_lead_to_another_way_of_calling() -> None:
    with wired([LLAMA] * 3 + [Says('{"calls": [{"name": "finish", "verdict": "best_effort"}]}')]) as (
        wire,
        server,
        _,
    ):
        run_session(setup(), IMAGE, table().open(IMAGE), policy(wire))
        assert ["tools" in body for body in server.bodies] == [True] * 3 + [False]
        assert "response_format" in server.bodies[-1]


def test_a_model_whose_calls_are_never_readable_ends_the_session_with_its_best_state() -> None:
    trajectory = session([CUP, *[LLAMA] * 9])
    assert stop(trajectory) is Stop.repeated_errors
    assert boxes(trajectory) == [CUP_LEFT]
