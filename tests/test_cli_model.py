"""`maskpilot refine` with a model behind a real endpoint, and what it says when none is configured."""

import json
from pathlib import Path
from typing import Any

import pytest

from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.testing import FaultyServer, Says
from maskpilot.testing.faults import error
from maskpilot.testing.server import Turn
from maskpilot.trajectory import read_trajectory
from tests.shapes import block
from tests.test_cli import photo, refine

__all__ = ["photo"]

KEY = "sk-canary-0123456789"
PHRASE = Says(calls=(("set_text_prompt", {"text": "circle", "rating": 0}),))
BOX = Says(calls=(("add_positive_box", {"x0": 100, "y0": 100, "x1": 400, "y1": 500, "rating": 10}),))
FINISH = Says(calls=(("finish", {"verdict": "complete", "reason": "seen", "rating": 90}),))
CONTENT = Says('{"wrong_ids": [], "missed": [], "why": "all is right"}')


@pytest.fixture(autouse=True)
def _quick_segmenter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds the masks does not matter here; the real one is in test_cli.py."""
    circle = FakeObject(block(10, 10, 40, 30, width=96, height=64), frozenset({"circle"}))
    monkeypatch.setattr("maskpilot.segmenters.load_segmenter", lambda *_, **__: FakeSegmenter([circle]))


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_session_with_a_model_from_the_command_line(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultyServer([PHRASE, BOX, FINISH, CONTENT]) as server:
        options = ("--model", "qwen3-vl", "--base-url", server.url, "--price-in", 1, "--price-out", 2)
        refine(photo, tmp_path / "run", *options, "--max-cost", 1, "--json")
        assert server.is_used_up
    record = json.loads(capsys.readouterr().out)
    assert (record["stop"], record["verdict"], record["usage"]["calls"]) == ("finished", "complete", 4)
    assert record["usage"]["cost"] == pytest.approx(4 * (1000 * 1 + 50 * 2) / 1e6)
    assert record["policy"]["wire"]["model"] == "qwen3-vl"
    assert record["policy"]["prompts"]["system.v1"]
    box = read_trajectory(tmp_path / "run" / "steps.jsonl").steps[1].prompts.boxes[0].box
    assert box.xyxy == pytest.approx((9.6, 6.4, 38.4, 32.0))
    assert KEY.encode() not in everything_written(tmp_path)


def test_a_terminal_is_not_steered_by_what_a_model_says(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = {"verdict": "complete", "reason": "\x1b[2J\x1b]0;gone\x07 seen"}
    unknown = Says(calls=(("fly\x1b[2J", {"\x1b[2J": 1}),))
    with FaultyServer([PHRASE, unknown, Says(calls=(("finish", hostile),))]) as server:
        refine(photo, tmp_path / "run", "--model", "x", "--base-url", server.url, "--no-verify")
        assert server.is_used_up
    captured = capsys.readouterr()
    assert "�[2J�]0;gone� seen" in captured.out
    assert not {"\x1b", "\x07"} & set(captured.out + captured.err)


def test_a_model_from_the_environment_and_without_a_second_look(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer([PHRASE, FINISH]) as server:
        monkeypatch.setenv("MASKPILOT_MODEL", "gemini-2.5-flash")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        refine(photo, tmp_path / "run", "--no-verify")
        assert server.is_used_up
        names = [list(tool["function"]["parameters"]["properties"])[:2] for tool in _tools(server)]
    assert ["y0", "x0"] in names


def test_a_model_from_a_file(photo: Path, tmp_path: Path) -> None:
    with FaultyServer([PHRASE, FINISH]) as server:
        config = tmp_path / "config.toml"
        config.write_text(f'[mllm]\nmodel = "x"\nbase_url = "{server.url}"\nverify = false\n')
        refine(photo, tmp_path / "run", "--config", config)
        assert server.is_used_up


def test_a_session_is_gone_on_with_by_the_model(photo: Path, tmp_path: Path) -> None:
    with FaultyServer([PHRASE, BOX, FINISH]) as server:
        options = ("--model", "x", "--base-url", server.url, "--no-verify")
        refine(photo, tmp_path / "run", *options)
        steps = tmp_path / "run" / "steps.jsonl"
        steps.write_bytes(b"".join(steps.read_bytes().splitlines(keepends=True)[:3]))
    with FaultyServer([FINISH]) as server:
        refine(photo, tmp_path / "run", *options[:2], "--base-url", server.url, "--no-verify", "--resume")
        assert server.is_used_up
    assert len(read_trajectory(steps).steps) == 3


def test_without_a_model_it_says_how_to_configure_one(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "a", "--policy", "mllm", code=2)
    said = capsys.readouterr().err
    assert "--model" in said
    assert "MASKPILOT_MODEL" in said
    assert "config.toml" in said
    refine(photo, tmp_path / "b")
    assert "one shot, since no model is configured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "x"), "OPENAI_API_KEY"),
        (("--model", "x", "--coords", "512"), "coords"),
        (("--model", "x", "--base-url", "localhost"), "base_url"),
        (("--model", "x", "--base-url", "http://localhost:1/v1", "--max-cost", "1"), "needs prices"),
        (("--model", "x", "--base-url", "http://localhost:1/v1", "--api-key-env", "NOT_SET"), "NOT_SET"),
        (("--model", "x", "--config", "missing.toml"), "missing.toml"),
        (("--model", "x", "--policy", "one_shot"), "--model: --policy one_shot asks no model"),
        (("--no-verify", "--api", "chat", "--policy", "oracle"), "--api, --no-verify: --policy oracle asks"),
        (
            ("--base-url", "http://localhost:1/v1"),
            "--base-url: no model is configured: name one with --model",
        ),
    ],
)
def test_what_cannot_be_used_is_wrong_usage_and_leaves_nothing_behind(
    options: tuple[str, ...], said: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run", *options, code=2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_endpoint_that_refuses_leaves_what_was_reached_and_no_key(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultyServer([PHRASE, Says(refusal="I will not")]) as server:
        refine(photo, tmp_path / "run", "--model", "x", "--base-url", server.url)
    assert read_trajectory(tmp_path / "run" / "steps.jsonl").ending is not None
    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    assert KEY.encode() not in everything_written(tmp_path / "run")


def test_a_session_that_an_endpoint_ended_is_gone_on_with_as_the_error_says(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: list[tuple[list[Turn], int]] = [([PHRASE, error(401, "who are you?")], 1), ([FINISH], 0)]
    for turns, code in parts:
        with FaultyServer(turns) as server:
            options = ("--model", "x", "--base-url", server.url, "--no-verify")
            refine(photo, tmp_path / "run", *options, *(() if code else ("--resume",)), code=code)
            assert server.is_used_up
    said = capsys.readouterr().err
    assert "does not accept the key" in said
    assert f"{tmp_path / 'run'} keeps what was reached; the same command with --resume goes on" in said
    recorded = read_trajectory(tmp_path / "run" / "steps.jsonl")
    assert [step.decision.calls[0].name for step in recorded.steps] == ["set_text_prompt", "finish"]


def _tools(server: FaultyServer) -> list[dict[str, Any]]:
    return list(server.bodies[0]["tools"])
