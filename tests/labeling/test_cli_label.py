"""`maskpilot label`, from the command line to the database."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maskpilot.cli import main
from maskpilot.labeling.progress import Standing
from maskpilot.runfolder import locked
from maskpilot.testing import FaultyServer, Says, Seen
from tests.labeling.runs import failures_of, labels_of, photos, picture
from tests.shapes import table

CLASSES = "- cup\n- name: plate\n  query: the plate\n  hints: no saucers\n"


@pytest.fixture(autouse=True)
def _a_laid_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("maskpilot.labeling.recipe.load_segmenter", lambda name, **_: table())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("MASKPILOT_MODEL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "classes.yaml").write_text(CLASSES)


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert (caught.value.code or 0) == code


def command(tmp_path: Path, *more: object) -> list[object]:
    return [
        "label",
        tmp_path / "photos",
        "--classes",
        tmp_path / "classes.yaml",
        "--out",
        tmp_path / "run",
        *more,
    ]


def record(capsys: pytest.CaptureFixture[str]) -> Any:
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    return json.loads(printed)


def test_one_json_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 3)
    (tmp_path / "photos" / "bad.jpg").touch()
    run(*command(tmp_path, "--json"))
    found = record(capsys)
    assert (found["files"], found["done"], found["failed"], found["left"]) == (4, 3, 1, 0)
    assert [one["instances"] for one in found["classes"]] == [3, 3]
    assert found["failures"][0]["cause"] == "ImageError"
    assert found["ended"] == "complete"
    assert any("test double" in notice for notice in found["notices"])
    assert len(labels_of(tmp_path / "run")) == 3


def test_a_folder_of_no_use_is_told_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "photos", 1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    run(*command(tmp_path), code=1)
    assert "loading" not in (said := capsys.readouterr().err)
    assert "holds files that are not of a run (thesis.tex)" in said
    (tmp_path / "run" / "thesis.tex").unlink()
    (tmp_path / "run" / "run.json").write_text('{"command": "refine"}')
    run(*command(tmp_path), code=1)
    assert "loading" not in (said := capsys.readouterr().err)
    assert "holds a run of 'refine'" in said


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_folder_that_another_run_holds_is_told_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    photos(tmp_path / "photos", 1)
    run(*command(tmp_path))
    assert "loading" in capsys.readouterr().err
    with locked(tmp_path / "run"):
        run(*command(tmp_path, *more), code=1)
    assert "loading" not in (said := capsys.readouterr().err)
    assert "another run is writing here" in said
    assert len(labels_of(tmp_path / "run")) == 1


def test_ctrl_c_while_a_segmenter_is_loaded_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    photos(tmp_path / "photos", 1)
    monkeypatch.setattr("maskpilot.labeling.recipe.load_segmenter", interrupted)
    run(*command(tmp_path), code=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert not (tmp_path / "run").exists()


def test_other_settings_can_begin_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 1)
    run(*command(tmp_path, "--max-rounds", 3))
    capsys.readouterr()
    run(*command(tmp_path, "--max-rounds", 4), code=1)
    said = capsys.readouterr().err
    assert "begin anew with --overwrite" in said
    assert "moved" not in said  # the images are where they were
    run(*command(tmp_path, "--max-rounds", 4, "--overwrite"))


def test_a_summary_in_words_and_where_to_go_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 3)
    (tmp_path / "photos" / "bad\n\x1b[31m.jpg").touch()
    run(*command(tmp_path))
    printed = capsys.readouterr()
    assert "4 files: 3 labeled, 1 failed, 0 to go" in printed.out
    assert "1 failed with ImageError:" in printed.out
    assert "tried again when it has changed, and with --retry-failed" in printed.out
    assert "next: maskpilot export" in printed.out
    assert "4/4: 3 done, 1 failed, 0 to review, 6 instances, 4.0 rounds an image" in printed.err
    assert "one shot, since no model is configured" in printed.err
    assert "\x1b[31m" not in printed.out + printed.err


def test_the_summary_tells_of_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 2)
    for name in ("copy.png", "another.png"):
        picture(tmp_path / "photos" / name, 0)
    run(*command(tmp_path))
    said = capsys.readouterr().out
    assert "4 files: 4 labeled" in said
    assert "files with the content of another one, which is labeled once: 2\n2 images, " in said
    run(*command(tmp_path, "--json"))
    found = record(capsys)
    assert (found["done"], found["images"], found["copies"]) == (4, 2, 2)


def test_one_of_a_kind_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 1)
    (tmp_path / "classes.yaml").write_text("- cup\n")
    run(*command(tmp_path, "--dry-run"))
    said = capsys.readouterr().out
    assert "1 file: 0 labeled" in said
    assert "1 class, so 1 session of" in said
    run(*command(tmp_path))
    said = capsys.readouterr().out
    assert "1 file: 1 labeled" in said
    assert "\n1 image, 1 instance, 0 images to review" in said
    assert "content of another one" not in said  # there are no copies


def test_a_terminal_that_lacks_a_letter_gets_the_whole_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "photos", 1)
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    run("label", tmp_path / "photos", "--query", "cup Straße", "--out", tmp_path / "run")
    sys.stdout.flush()
    assert b"next: maskpilot export" in written.getvalue()


def test_a_query_is_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 1)
    run("label", tmp_path / "photos", "--query", "cup", "--out", tmp_path / "run", "--json")
    assert [one["name"] for one in record(capsys)["classes"]] == ["cup"]


def test_the_same_command_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", 5)
    run(*command(tmp_path, "--limit", 2, "--json"))
    assert record(capsys)["done"] == 2
    run(*command(tmp_path, "--json", "--workers", 1))
    assert record(capsys)["done"] == 5
    run(*command(tmp_path, "--overlap", "order"), code=1)
    assert "overlap: was keep, now order" in capsys.readouterr().err
    run(*command(tmp_path, "--overlap", "order", "--overwrite", "--json"))
    assert record(capsys)["done"] == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --classes FILE or --query TEXT"),
        (["--classes", "classes.yaml", "--query", "cup"], "either --classes FILE or --query TEXT"),
        (["--classes", "missing.yaml"], "missing.yaml"),
        (["--query", "cup", "--policy", "mllm"], "no model is configured"),
        (["--query", "cup", "--mllm", "when-unsure"], "no model is configured"),
        (["--query", "cup", "--policy", "one_shot", "--mllm", "always"], "--mllm goes with --policy mllm"),
        (["--query", "cup", "--max-cost", "3"], "--max-cost needs a model and prices"),
        (["--query", "cup", "--model", "m", "--max-cost", "3"], "--max-cost needs a model and prices"),
        (["--query", "cup", "--max-megapixels", "0", "--dry-run"], "--max-megapixels: expected a positive"),
        (["--query", "cup", "--max-megapixels", "nan"], "--max-megapixels: expected a positive"),
        (["--query", "cup", "--skip-labeled", "missing.json"], "missing.json: no such file"),
        (["--query", "cup", "--start-from", "."], "expected COCO instances"),
        (["--query", "cup", "--max-tokens", "-5"], "expected a positive number"),
        (["--query", "cup", "--max-megapixels", "0"], "expected a positive number"),
        (
            ["--query", "cup", "--policy", "one_shot", "--coords", "1000"],
            "--coords: --policy one_shot asks no",
        ),
        (["--query", "cup", "--base-url", "http://localhost:1/v1"], "--base-url: no model is configured"),
        (["--query", "cup", "--limit", "3", "--seed", "0"], "--seed: draws the --sample"),
        (["--query", "cup", "--dry-run", "--overwrite"], "give one of them"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos(tmp_path / "photos", 1)
    monkeypatch.chdir(tmp_path)
    run("label", "photos", "--out", "run", *arguments, code=2)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_images_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    run(*command(tmp_path), code=2)
    assert "holds no images" in capsys.readouterr().err


def test_a_run_in_which_everything_fails_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.jpg").touch()
    run(*command(tmp_path), code=1)
    printed = capsys.readouterr()
    assert "no image was labeled" in printed.err
    assert "next:" not in printed.out


def test_a_dry_run_labels_nothing_and_says_what_it_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "photos", 9)
    picture(tmp_path / "photos" / "copy.png", 0)
    (tmp_path / "photos" / "bad.jpg").touch()
    run(*command(tmp_path, "--dry-run", "--json"))
    found = record(capsys)
    assert (found["files"], found["left"], found["sessions"]) == (11, 11, 22)
    assert found["duplicates"] == {"at_least": 1, "all_compared": True}
    assert (found["checked"], len(found["unreadable"])) == (11, 1)
    assert (found["measured_images"], found["expected"]) == (0, {})
    assert not (tmp_path / "run").exists()
    run(*command(tmp_path, "--dry-run"))
    assert "with --sample 20 in place of --dry-run" in capsys.readouterr().out
    run(*command(tmp_path, "--limit", 4, "--json"))
    capsys.readouterr()
    run(*command(tmp_path, "--dry-run", "--json"))
    found = record(capsys)
    assert (found["labeled"], found["left"], found["measured_images"]) == (4, 7, 4)
    assert found["expected"]["time"]["low"] is not None
    run(*command(tmp_path, "--dry-run"))
    assert "expected for the rest, from 4 labeled images" in capsys.readouterr().out


def test_a_dry_run_computes_bounds_of_a_model_without_asking_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "photos", 2)
    run(*command(tmp_path, "--dry-run", "--model", "m", "--max-tokens", 9000, "--json"))
    computed = record(capsys)["computed"]
    first = computed["prompt tokens of a session's first request"]
    assert first > 500
    assert computed["tokens at least, with one request a session"] == pytest.approx(4 * first, abs=4)
    assert computed["tokens at most, by --max-tokens"] == 36_000


def answer(seen: Seen) -> Says:
    """A model that asks for cups, whatever it was asked, and is done."""
    if any(message["role"] == "tool" for message in seen.body["messages"]):
        return Says(calls=(("finish", {"verdict": "complete", "reason": "seen", "rating": 90}),))
    return Says(calls=(("set_text_prompt", {"text": "cup", "rating": 0}),))


def model_options(server: FaultyServer) -> Sequence[str]:
    chosen = ["--model", "test-model", "--base-url", server.url, "--api", "chat", "--no-verify"]
    return [*chosen, "--price-in", "0", "--price-out", "1"]


def test_a_model_is_asked_stopped_by_its_cost_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: command line, wire, server; the books say what the server was asked."""
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-secret")
    photos(tmp_path / "photos", 4)
    with FaultyServer(answer) as server:
        given = command(tmp_path, *model_options(server), "--workers", "2", "--json")
        run(*given, "--max-cost", "0.0003")
        part = record(capsys)
        assert part["ended"] == "max_cost"
        assert part["tokens"] == 1050 * len(server.seen)
        run(*given)
        whole = record(capsys)
        assert (whole["ended"], whole["done"]) == ("complete", 4)
        assert whole["requests"] == len(server.seen)
        assert whole["tokens"] == 1050 * len(server.seen)  # all of it is in the books
        told = [str(seen.body["messages"]) for seen in server.seen]
    assert any("no saucers" in text for text in told)
    assert {one.model for image in labels_of(tmp_path / "run") for one in image.classes} == {"test-model"}
    assert "not-a-secret" not in (tmp_path / "run" / "run.json").read_text()


def test_when_unsure_the_model_is_asked_about_doubtful_classes_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-secret")
    photos(tmp_path / "photos", 2)
    (tmp_path / "classes.yaml").write_text("- plate\n- mug\n")  # one shot finds no mug
    with FaultyServer(answer) as server:
        run(*command(tmp_path, *model_options(server), "--mllm", "when-unsure", "--json"))
        assert len(server.seen) == 4
    for image in labels_of(tmp_path / "run"):
        assert [one.policy for one in image.classes] == ["one_shot", "mllm"]
    assert record(capsys)["requests"] == 4


def test_a_wrong_key_ends_the_run_at_once_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskpilot.testing.faults import error

    monkeypatch.setenv("OPENAI_API_KEY", "not-a-secret")
    photos(tmp_path / "photos", 3)
    with FaultyServer(lambda seen: error(401, "wrong key not-a-secret", "invalid_api_key")) as server:
        run(*command(tmp_path, *model_options(server), "--workers", "1"), code=1)
        assert len(server.seen) == 1
    said = capsys.readouterr().err
    assert "key" in said
    assert "not-a-secret" not in said
    assert failures_of(tmp_path / "run") == {}


def test_the_line_of_a_run() -> None:
    standing = Standing(
        done=10,
        failed=2,
        total=112,
        images=8,
        review=3,
        instances=1234,
        rounds=20,
        tokens=56_789,
        cost=0.5,
        seconds=60.0,
        fresh=6,
    )
    assert standing.line == (
        "10 done, 2 failed, 16 min 40 s to go, cost 0.5 of about 6.75, 3 to review, 1,234 instances, "
        "2.5 rounds an image, 56,789 tokens"
    )
    assert (standing.finished, standing.left) == (12, 100)
    assert "cost 1,200 of about 16,200, " in replace(standing, cost=1200.0).line


# Says so on stdout before every round, so that whoever stops it does so in the middle.
VICTIM = """
import os, signal, sys
from maskpilot import segmenters
from maskpilot.agent import one_shot
from maskpilot.cli import main
from tests.shapes import table

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit that it is ignored
decide = one_shot.OneShot.decide

def loud(self, observation):
    os.write(1, b"round\\n")
    return decide(self, observation)

one_shot.OneShot.decide = loud
segmenters.load_segmenter = lambda name, **_: table()
main(["label", sys.argv[1], "--query", "cup", "--out", sys.argv[2], "--policy", "one_shot"])
"""


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = photos(tmp_path / "photos", 60), tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(images), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"round\n"
        victim.send_signal(signal.SIGINT)
        _, said = victim.communicate(timeout=60)
    assert victim.returncode == 130
    assert b"Ctrl-C again leaves at once" in said
    assert b"stopped; the same command goes on" in said
    assert b"Traceback" not in said
    assert len(labels_of(out)) < 60
    run("label", images, "--query", "cup", "--out", out, "--policy", "one_shot", "--json")
    assert record(capsys)["done"] == 60
