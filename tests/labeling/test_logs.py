"""Logs of images in flight: what was paid for is found again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from maskpilot.agent import Scripted, run_session
from maskpilot.errors import PolicyError, RunFolderError, SessionFailed
from maskpilot.labeling.logs import SessionLogs, unlogged
from maskpilot.trajectory import Setup, Trajectory
from maskpilot.types import Decision, ImageRef, Usage
from tests.agent.sessions import IMAGE, finish, setup, text
from tests.shapes import HEIGHT, WIDTH, instance, table

PAID = Usage(calls=1, prompt_tokens=100, cost=0.25)
GONE = PolicyError("the endpoint is gone", usage=PAID)


def of_image(number: int) -> Setup:
    return replace(setup(), image=ImageRef(f"{number:064x}", ".png", "table.png", WIDTH, HEIGHT))


def keep(logs: SessionLogs, given: Setup, script: Sequence[Decision | BaseException]) -> Trajectory:
    """Run a session about the first class, each round of which costs, and keep its log."""
    paid = [replace(one, usage=PAID) if isinstance(one, Decision) else one for one in script]
    with logs.writer(given.image.sha256, 0, "first", None) as writer:
        return run_session(given, IMAGE, table().open(IMAGE), Scripted(paid), recorder=writer)


def test_a_session_is_found_again(tmp_path: Path) -> None:
    logs = SessionLogs(tmp_path)
    trajectory = keep(logs, of_image(1), [text("cup"), finish()])
    assert logs.recorded(0, "first", of_image(1)) == trajectory
    assert logs.recorded(1, "first", of_image(1)) is None
    assert logs.recorded(0, "unsure", of_image(1)) is None


def test_a_session_about_something_else_is_of_no_use(tmp_path: Path) -> None:
    logs = SessionLogs(tmp_path)
    keep(logs, of_image(1), [text("cup"), finish()])
    assert logs.recorded(0, "first", replace(of_image(1), query="the plates")) is None
    assert logs.recorded(0, "first", replace(of_image(1), start=(instance(1, 0, 0, 5, 5),))) is None
    logs.path(f"{1:064x}", 0, "first").parent.rename(logs.path(f"{2:064x}", 0, "first").parent)
    assert logs.recorded(0, "first", of_image(2)) is None


@pytest.mark.parametrize("content", [b"", b'{"kind": "setup", "sch', b'{"kind": "step"}\n', b"\0" * 64])
def test_a_log_that_tells_nothing_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    logs = SessionLogs(tmp_path)
    keep(logs, of_image(1), [text("cup"), finish()])
    logs.path(f"{1:064x}", 0, "first").write_bytes(content)
    assert logs.recorded(0, "first", of_image(1)) is None
    assert logs.usage(()) == Usage()
    assert keep(logs, of_image(1), [text("cup"), finish()]) == logs.recorded(0, "first", of_image(1))


def test_what_images_in_flight_have_cost_is_counted(tmp_path: Path) -> None:
    logs = SessionLogs(tmp_path)
    assert logs.usage(()) == Usage()
    for number in (1, 2, 3):
        keep(logs, of_image(number), [text("cup"), finish()])
    assert list(logs.images()) == [f"{number:064x}" for number in (1, 2, 3)]
    assert logs.usage({f"{2:064x}"}) == PAID + PAID + PAID + PAID


def test_what_sessions_have_cost_that_were_begun_anew_stays(tmp_path: Path) -> None:
    logs, sha256 = SessionLogs(tmp_path), f"{1:064x}"
    for times in range(4):
        keep(logs, of_image(1), [text("cup"), finish()])
        assert logs.given_up(sha256, 0, "first") == sum([PAID + PAID] * times, Usage())
        assert logs.usage(()) == sum([PAID + PAID] * (times + 1), Usage())
    assert logs.given_up(sha256, 0, "unsure") == logs.given_up(sha256, 1, "first") == Usage()
    assert logs.usage({sha256}) == Usage()
    logs.discard(sha256)
    assert logs.usage(()) == Usage()


def test_logs_of_a_committed_image_go(tmp_path: Path) -> None:
    logs = SessionLogs(tmp_path)
    for number in (1, 2):
        keep(logs, of_image(number), [text("cup"), finish()])
    logs.discard(f"{1:064x}")
    logs.discard(f"{1:064x}")
    assert list(logs.images()) == [f"{2:064x}"]


def test_a_decision_that_never_came_may_have_cost_something_too(tmp_path: Path) -> None:
    logs = SessionLogs(tmp_path)
    with pytest.raises(SessionFailed) as failed:
        keep(logs, of_image(1), [text("cup"), GONE])
    assert logs.usage(()) == PAID
    assert unlogged(failed.value) == PAID
    with pytest.raises(SessionFailed) as failed:
        keep(logs, of_image(1), [text("cup"), OSError("no route")])
    assert unlogged(failed.value) == Usage()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    logs = SessionLogs(tmp_path)
    with pytest.raises(RunFolderError, match="sessions"):
        keep(logs, of_image(1), [text("cup"), finish()])
    assert logs.usage(()) == Usage()
