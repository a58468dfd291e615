"""`maskpilot doctor`."""

import json
from pathlib import Path
from typing import Any

import pytest

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle
from maskpilot.agent.mllm.memory import Memory
from maskpilot.cli import main
from maskpilot.doctor import CHECKS
from maskpilot.testing import FaultyServer, Says, Seen
from maskpilot.testing.server import Turn
from tests.doctor.models import able, words_of

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def doctor(*arguments: object, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    return doctor_of("untrained", *arguments, code=code, capsys=capsys)


def doctor_of(segmenter: str, *arguments: object, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--segmenter", segmenter, *map(str, arguments)])
    assert caught.value.code == code
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err
    return printed.out


def record(*arguments: object, code: int, capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(doctor(*arguments, "--json", code=code, capsys=capsys))


def health(made: Any) -> dict[str, str]:
    return {row["check"]: row["health"] for row in made["rows"]}


def reading(convention: str) -> Any:
    """A model that never reads the code, and can do all else."""
    return able(Convention.parse(convention), "-----")


def test_offline_looks_at_the_machine_alone(capsys: pytest.CaptureFixture[str]) -> None:
    made = record("--offline", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", code=0, capsys=capsys)
    assert made["ok"] is True
    assert {health(made)[check] for check in CHECKS} == {"skipped"}


def test_without_a_model_the_machine_is_examined_and_the_fix_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = record(code=1, capsys=capsys)
    assert health(made)["Python"] == "ok"
    assert health(made)["configuration"] == "failed"
    assert any("MASKPILOT_MODEL" in row["fix"] for row in made["rows"])


@pytest.mark.parametrize(
    "wrong", [("--base-url", "nowhere"), ("--coords", "512"), ("--api-key-env", "NO_SUCH_KEY")]
)
def test_settings_that_cannot_be_used_are_a_row(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = record("--model", "m", *wrong, code=1, capsys=capsys)
    assert health(made)["configuration"] == "failed"
    (row,) = [row for row in made["rows"] if row["check"] == "configuration"]
    assert "expected" in row["detail"] or "NO_SUCH_KEY" in row["detail"]
    assert {health(made)[check] for check in CHECKS} == {"skipped"}


def test_a_long_path_is_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / ("x" * 90) / "weights.pt"
    printed = doctor_of("nano", "--offline", "--checkpoint", missing, code=1, capsys=capsys)
    joined = "".join(line.split("│")[3].strip() for line in printed.splitlines() if line.count("│") == 4)
    assert str(missing) in joined


def test_what_was_found_can_be_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(reading("100-yxyx"), models=["m"]) as server:
        options = ("--model", "m", "--base-url", server.url)
        before = record(*options, "--store", code=1, capsys=capsys)
        after = record(*options, code=1, capsys=capsys)
        memory = Memory(tmp_path / "maskpilot" / "models.json")
        assert memory.convention(f"m at {server.url}") == Convention("100", "yxyx")
        assert memory.style(f"m at {server.url}") is CallStyle.native
    assert (before["coords"], before["stored"], health(before)["coordinates"]) == ("100-yxyx", True, "failed")
    assert (after["coords"], after["stored"], health(after)["coordinates"]) == ("100-yxyx", False, "ok")
    assert before["iou"]["100-yxyx"] > 0.9 > before["iou"]["100-xyxy"]


def test_what_is_not_asked_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--offline", "--store", "--model", "m"])
    assert caught.value.code == 2
    assert not (tmp_path / "maskpilot").exists()


def test_the_table_shows_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    with FaultyServer(reading("1000")) as server:
        said = doctor("--model", "test-model", "--base-url", server.url, code=1, capsys=capsys)
    assert all(check in said for check in CHECKS)
    assert "fix:" in said


def test_a_key_that_is_a_word_is_left_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ok")
    made = record("--offline", "--model", "ok", "--base-url", "http://ok:9/v1", code=0, capsys=capsys)
    assert (made["model"], made["base_url"]) == ("ok", "http://ok:9/v1")
    assert "ok" in health(made).values()


def test_a_server_that_repeats_the_key_does_not_get_it_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def parrot(seen: Seen) -> Turn:
        return Says(f"{seen.headers['authorization']} [red]{words_of(seen)[:20]}")

    with FaultyServer(parrot, models=[KEY]) as server:
        options = ("--model", "m", "--base-url", server.url)
        doctor(*options, code=1, capsys=capsys)
        record(*options, code=1, capsys=capsys)
