"""`maskpilot eval` and `maskpilot compare`, from the command line to the files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.cli import main
from maskpilot.evals.pilots import mllm
from maskpilot.runfolder import locked
from maskpilot.testing import FaultyServer, Says, Seen
from maskpilot.testing.scripted_wire import ScriptedWire, calls
from maskpilot.trajectory import read_trajectory
from tests.evals.tables import Tables, evaluate
from tests.shapes import table


@pytest.fixture(autouse=True)
def _tables_and_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskpilot.segmenters.load_segmenter", lambda name, **_: table())
    monkeypatch.setattr("maskpilot.evals.datasets.open_dataset", lambda name, path, **_: Tables(8))


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert (caught.value.code or 0) == code


def record(capsys: pytest.CaptureFixture[str]) -> Any:
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    return json.loads(printed)


def test_eval_prints_one_json_object_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "run", "--json")
    found = record(capsys)
    assert (found["samples"], found["scored"], found["failed"], found["complete"]) == (8, 8, 0, True)
    assert found["metrics"]["giou"]["value"] == 1.0
    assert found["metrics_by_tag"]["word"]["cup"]["metrics"]["giou"]["value"] == 1.0
    assert found["sees_truth"]
    assert any("sees the ground truth" in notice for notice in found["notices"])
    assert (tmp_path / "run" / "report.html").is_file()
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 8


def test_eval_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(
        "eval",
        "tables",
        "--policy",
        "oracle",
        "--oracle-errors",
        0.2,
        "--out",
        tmp_path / "run",
        "--limit",
        5,
    )
    printed = capsys.readouterr()
    assert "gIoU" in printed.out
    assert "The policy sees the ground truth" in printed.out
    assert "5/5: 5 done, 0 failed, mean IoU" in printed.err


BOXES_AND_THRESHOLD = {"add_positive_box", "add_negative_box", "set_threshold"}
LEDGER = {"keep_masks", "drop_masks"}


@pytest.mark.parametrize(
    ("tools", "on_offer"),
    [
        ("phrases", LEDGER),
        ("core", {*BOXES_AND_THRESHOLD, "reset"}),
        ("full", {*BOXES_AND_THRESHOLD, *LEDGER, "reset", "undo", "zoom"}),
    ],
)
def test_an_ablation_limits_the_tools(
    tools: str, on_offer: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--policy", "oracle", "--limit", 2, "--tools", tools, "--no-pictures", "--json"]
    run("eval", "tables", *options, "--out", tmp_path / "run")
    found = set(record(capsys)["tools"])
    assert found == {"set_text_prompt", "finish", *on_offer}
    sessions = [read_trajectory(file) for file in (tmp_path / "run" / "sessions").iterdir()]
    called = {call.name for one in sessions for step in one.steps for call in step.decision.calls}
    assert "set_text_prompt" in called
    assert called <= found


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("eval", "tables", "--policy", "one_shot", "--out", tmp_path / "a", "--no-pictures", "--json")
    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "b", "--no-pictures", "--json")
    capsys.readouterr()
    run("compare", tmp_path / "a", tmp_path / "b", "--json")
    found = record(capsys)
    assert found["metrics"]["giou"]["value"] == pytest.approx(0.375)
    assert (found["wins"], found["losses"], found["ties"]) == (4, 0, 4)
    run("compare", tmp_path / "a", tmp_path / "b")
    words = capsys.readouterr().out
    assert "4 better, 0 worse, 4 the same" in words
    assert "setting policy.name: was one_shot, now oracle" in words


def test_samples_may_be_called_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        run("eval", "tables", "--policy", "one_shot", "--out", tmp_path / name, "--no-pictures", "--json")
        results = tmp_path / name / "results.jsonl"
        results.write_text(results.read_text().replace('"s0001"', '"s[/b]\\u001b[31m"'))
    capsys.readouterr()
    run("compare", tmp_path / "a", tmp_path / "b")
    words = capsys.readouterr().out
    assert "s[/b]\N{REPLACEMENT CHARACTER}[31m" in words


def test_a_run_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a"
    run("eval", "tables", "--policy", "oracle", "--out", out, "--no-pictures", "--json")
    capsys.readouterr()
    run("eval", "tables", "--policy", "replay", "--replay-of", out, "--out", tmp_path / "b", "--json")
    assert record(capsys)["metrics"]["giou"]["value"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--policy", "one_shot", "--oracle-errors", "0.5"], "--policy oracle alone"),
        (["--policy", "replay"], "--replay-of"),
        (["--policy", "oracle", "--resume", "--overwrite"], "give one of them"),
        (["--policy", "oracle", "--max-cost", "3"], "--max-cost needs"),
        (["--policy", "mllm"], "no model is configured"),
        (["--policy", "oracle", "--max-tokens", "-5"], "expected a positive number"),
        (["--policy", "oracle", "--retry-failed"], "give --resume, too"),
        (["--policy", "one_shot", "--model", "m"], "--model: --policy one_shot asks no model"),
        (["--policy", "oracle", "--no-verify"], "--no-verify: --policy oracle asks no model"),
        (
            ["--policy", "replay", "--price-in", "1", "--config", "c.toml"],
            "--price-in, --config: --policy re",
        ),
        (["--policy", "mllm", "--model", "m", "--price-cached", "1"], "--price-cached needs --price-in"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("eval", "tables", "--out", tmp_path / "run", *arguments, code=2)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_of_no_use_is_told_before_a_segmenter_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(out: Path, *more: str, code: int) -> str:
        run("eval", "tables", "--policy", "oracle", "--out", out, *more, code=code)
        said = capsys.readouterr().err
        assert "loading" not in said
        return said

    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "run", "--limit", 1, "--no-pictures")
    capsys.readouterr()
    assert "holds a run already" in says(tmp_path / "run", code=1)
    assert "not of a run (run)" in says(tmp_path, code=1)
    with locked(tmp_path / "run"):
        for more in ("--resume", "--overwrite"):
            assert "another run is writing here" in says(tmp_path / "run", more, code=1)
    (tmp_path / "run" / "run.json").write_text('{"command": "refine"}')
    assert "holds a run of 'refine', expected one of eval" in says(tmp_path / "run", "--resume", code=2)


def test_ctrl_c_while_a_segmenter_is_loaded_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskpilot.segmenters.load_segmenter", interrupted)
    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "runs" / "new", code=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_run_on_which_everything_fails_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Tables(8, broken=["i0", "i1"])
    monkeypatch.setattr("maskpilot.evals.datasets.open_dataset", lambda name, path, **_: broken)
    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "run", code=1)
    printed = capsys.readouterr()
    assert "no sample was answered" in printed.err
    assert "8 of 8 samples failed: in none of the means" in " ".join(printed.out.split())
    run("eval", "tables", "--policy", "oracle", "--out", tmp_path / "run", code=1)
    assert "--overwrite" in capsys.readouterr().err


def test_a_model_is_asked_and_its_tokens_are_counted(tmp_path: Path) -> None:
    wire = ScriptedWire(
        [
            calls(("set_text_prompt", {"text": "plate", "rating": 0})),
            calls(("finish", {"verdict": "complete", "reason": "seen", "rating": 90})),
        ]
    )
    settings = MllmSettings("scripted", verify=False, price_in=1.0, price_out=2.0)
    answered = evaluate(tmp_path / "run", Tables(1), mllm(wire, settings, Memory()), baseline=False)
    assert wire.is_used_up
    assert answered.usage.tokens == 220
    assert not answered.settings["sees_truth"]
    assert not [name for name in answered.settings["policy"] if name.startswith(("price", "api_key"))]


def test_a_model_behind_an_endpoint_is_evaluated_stopped_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: command line, wire, server; the books say what the server was asked."""
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-secret")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def turn(seen: Seen) -> Says:
        asked_before = any(message["role"] == "tool" for message in seen.body["messages"])
        if asked_before:
            return Says(calls=(("finish", {"verdict": "complete", "reason": "seen", "rating": 90}),))
        return Says(calls=(("set_text_prompt", {"text": "plate", "rating": 0}),))

    with FaultyServer(turn) as server:
        options = ["--policy", "mllm", "--model", "test-model", "--base-url", server.url, "--api", "chat"]
        options += ["--no-verify", "--price-in", "0", "--price-out", "1", "--no-baseline", "--no-pictures"]
        in_words = ["eval", "tables", *options, "--out", tmp_path / "run", "--workers", "3"]
        command = [*in_words, "--json"]
        run(*command, "--max-cost", "0.0001")
        part = record(capsys)
        asked = len(server.seen)
        run(*command, "--resume")
        whole = record(capsys)
        assert not part["complete"]
        assert part["tokens"] == 1050 * asked  # rounds of unfinished sessions are in the books
        assert (whole["complete"], whole["failed"]) == (True, 0)
        assert whole["tokens"] == 1050 * len(server.seen)
        run(*in_words, "--resume")
    assert whole["metrics"]["giou"]["value"] == pytest.approx(0.25)  # the plates
    assert not whole["simulated"]
    assert re.search(r"Cost\W+0\.0001", capsys.readouterr().out)  # of a sample: little, but not nothing
    assert 'Cost</td><td class="number">0.0001' in (tmp_path / "run" / "report.html").read_text()
    assert "not-a-secret" not in (tmp_path / "run" / "run.json").read_text()
