"""The command line, through the real sam3 package at small size with random weights."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import redirect_stderr
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from maskpilot.cli import main
from maskpilot.cli.console import say
from maskpilot.cli.demo import print_table
from maskpilot.demo import Sample, demo_record
from maskpilot.runfolder import locked
from maskpilot.scenes import make_scene
from maskpilot.trajectory import read_trajectory

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    make_scene(3, size=(96, 64), count=3).image.save(path)
    return path


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert (caught.value.code or 0) == code


def refine(photo: Path, out: Path, *more: object, query: str = "red circle", code: int = 0) -> None:
    run("refine", photo, query, "--out", out, "--segmenter", "untrained", *more, code=code)


def test_refine_prints_one_json_object_and_nothing_else(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run", "--json")
    printed = capsys.readouterr().out
    record = json.loads(printed)
    assert printed.count("\n") == 1
    assert {"query", "image", "verdict", "stop", "rounds", "instances", "usage", "seconds", "run_dir"} <= set(
        record
    )
    assert (record["query"], record["stop"], record["verdict"]) == ("red circle", "finished", "best_effort")
    for instance in record["instances"]:
        assert {"id", "score", "box", "area", "rle"} == set(instance)
        assert coco.area(instance["rle"]) == instance["area"]


def test_a_run_folder_holds_everything_that_was_promised(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refine(photo, out)
    names = {path.name for path in out.iterdir()}
    assert {"overlay.png", "mask.png", "instances.json", "steps.jsonl", "report.html", "run.json"} <= names
    result = read_trajectory(out / "steps.jsonl").result
    coco_file = json.loads((out / "instances.json").read_text())
    assert len(coco_file["annotations"]) == len(result)
    assert all(annotation["iscrowd"] == 0 for annotation in coco_file["annotations"])
    union = np.asarray(Image.open(out / "mask.png")) > 0
    rles = [annotation["segmentation"] for annotation in coco_file["annotations"]]
    assert np.array_equal(union, coco.decode(coco.merge(rles)) > 0 if rles else np.zeros_like(union))


def test_instances_json_is_read_by_pycocotools(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO

    refine(photo, tmp_path / "run")
    truth = COCO(str(tmp_path / "run" / "instances.json"))
    assert truth.loadImgs([1])[0]["width"] == 96


@pytest.mark.parametrize(
    "query", ["<script>alert(1)</script>", "der rote Kreis", "赤い円", "دائرة", "a" * 10_000]
)
def test_any_text_is_a_query_and_stays_text(query: str, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refine(photo, out, query=query)
    page = (out / "report.html").read_text()
    assert "<script>alert" not in page
    assert query[:200] in _text(page)
    assert all(query[:20] not in str(path.relative_to(out)) for path in out.rglob("*"))


@pytest.mark.parametrize("query", ["", "   ", "x" * 20_001])
def test_a_query_that_cannot_be_used_is_wrong_usage(
    query: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run", query=query, code=2)
    assert "query" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "no such file"),
        ("empty.png", b"", "0 bytes"),
        ("page.jpg", b"<html>", "not an image"),
    ],
)
def test_a_bad_image_is_a_failure_that_names_it_and_makes_no_folder(
    name: str, content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    refine(path, tmp_path / "run", code=1)
    said = capsys.readouterr().err
    assert message in said
    assert name in said
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused_unless_told(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    refine(photo, out)
    refine(photo, out, code=1)
    assert "--overwrite" in capsys.readouterr().err
    refine(photo, out, "--overwrite")
    refine(photo, out, "--resume", code=2)
    assert "this run is finished" in capsys.readouterr().err


def test_a_folder_of_somebody_elses_is_left_as_it_was(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path, code=1)
    assert "not of a run (photo.png)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [photo]


def test_what_is_to_be_replaced_stays_until_the_new_run_begins(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    refine(photo, out)
    before = (out / "instances.json").read_bytes()
    run("refine", photo, "red circle", "--out", out, "--overwrite", "--checkpoint", photo, code=1)
    assert (out / "instances.json").read_bytes() == before


def test_two_runs_in_one_folder_at_a_time_are_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path / "run"):
        refine(photo, tmp_path / "run", code=1)
    assert "another run is writing here" in capsys.readouterr().err


def test_a_run_that_ended_on_a_limit_goes_on_and_keeps_its_rounds(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    refine(photo, out, "--max-rounds", 1)
    first = read_trajectory(out / "steps.jsonl")
    refine(photo, out, "--resume")
    whole = read_trajectory(out / "steps.jsonl")
    assert (len(first.steps), len(whole.steps)) == (1, 2)
    assert whole.steps[0] == first.steps[0]


def test_going_on_with_a_run_that_is_not_there_makes_no_folder(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "typo", "--resume", code=1)
    assert "holds no run" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_resuming_with_another_query_is_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run", "--max-rounds", 1)
    refine(photo, tmp_path / "run", "--resume", query="blue star", code=2)
    assert "another query" in capsys.readouterr().err


def test_replay_gives_the_same_masks_bit_for_bit(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run")
    capsys.readouterr()
    run("replay", tmp_path / "run", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "run_dir": str(tmp_path / "run"),
        "rounds": 2,
        "identical": True,
        "differing": [],
    }


def test_one_round_is_told_as_one(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refine(photo, tmp_path / "run", "--max-rounds", 1)
    assert " after 1 round (max_rounds" in capsys.readouterr().out
    run("replay", tmp_path / "run")
    assert "the same bit for bit: 1 of 1 round\n" in capsys.readouterr().err


def test_replay_tells_which_round_differs_and_what_else_does(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run")
    steps = tmp_path / "run" / "steps.jsonl"
    lines = steps.read_text().splitlines()
    setup, step = json.loads(lines[0]), json.loads(lines[1])
    step["instances"] = step["instances"][1:]
    setup["segmenter"]["weights"] = "of last week"
    steps.write_text("\n".join([json.dumps(setup), json.dumps(step), *lines[2:]]) + "\n")
    run("replay", tmp_path / "run", code=1)
    told = capsys.readouterr().err
    assert "other masks than recorded: round 1" in told
    assert "weights: was of last week, now " in told


def test_the_oracle_pilots_with_the_truth_from_an_image(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.zeros((64, 96), np.uint8)
    truth[10:30, 10:40] = 1
    Image.fromarray(truth).save(tmp_path / "truth.png")
    refine(photo, tmp_path / "run", "--policy", "oracle", "--truth", tmp_path / "truth.png", "--json")
    assert json.loads(capsys.readouterr().out)["policy"]["simulated"] is True


def test_the_oracle_without_a_truth_and_a_truth_without_the_oracle_are_wrong_usage(
    photo: Path, tmp_path: Path
) -> None:
    refine(photo, tmp_path / "run", "--policy", "oracle", code=2)
    refine(photo, tmp_path / "run", "--truth", photo, code=2)


def test_going_on_and_beginning_anew_at_once_is_wrong_usage(photo: Path, tmp_path: Path) -> None:
    refine(photo, tmp_path / "run", "--resume", "--overwrite", code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("limit", [("--max-seconds", -1), ("--max-rounds", 0)])
def test_an_impossible_limit_is_wrong_usage(
    limit: tuple[str, int], photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine(photo, tmp_path / "run", *limit, code=2)
    assert limit[0] in capsys.readouterr().err


def test_demo_prints_what_was_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("demo", "--out", tmp_path / "demo", "--json")
    record = json.loads(capsys.readouterr().out)
    assert record["segmenter"] == "nano"
    assert record["final_miou"] > record["one_shot_miou"] + 0.2
    assert {"samples", "one_shot_miou", "final_miou", "seconds"} <= set(record)
    assert len(record["samples"]) == 8
    assert all(
        {"query", "one_shot_iou", "final_iou", "rounds", "stop"} == set(sample)
        for sample in record["samples"]
    )
    assert len(list((tmp_path / "demo" / "sessions").iterdir())) == 8
    assert record["samples"][0]["query"] in _text((tmp_path / "demo" / "report.html").read_text())


def test_the_demo_replaces_no_run_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("maskpilot.demo.demo_tasks", list)
    run("demo", "--segmenter", "untrained", "--json")
    run("demo", "--segmenter", "untrained", "--json")
    Path("runs/demo/run.json").write_text('{"command": "label"}')
    run("demo", "--segmenter", "untrained", code=1)
    said = capsys.readouterr().err
    assert "holds a run already" in said
    assert "--resume" not in said  # which the demo does not have
    assert "label" in Path("runs/demo/run.json").read_text()


@pytest.mark.parametrize(
    ("segmenter", "words"), [("untrained", "RANDOM weights"), ("nano", "trained on drawn scenes alone")]
)
def test_demo_says_what_is_simulated(segmenter: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample(query="[red]star", one_shot_iou=0.5, final_iou=1.0, rounds=3, stop="finished")
    print_table(demo_record([sample], 1.0, segmenter), Path("run[/b]"))
    said = " ".join(capsys.readouterr().out.split())
    assert "Simulated: the annotator sees the ground truth" in said
    assert words in said
    assert "[red]star" in said
    assert "run[/b]/report.html" in said


def test_a_message_keeps_its_lines_and_nothing_that_a_terminal_would_obey(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("no weights; to get them:\n  1. \x1b[31mask\x07\r")
    assert capsys.readouterr().err == "no weights; to get them:\n  1. �[31mask��\n"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run("--version")
    assert capsys.readouterr().out.startswith("maskpilot ")


@pytest.mark.parametrize(("flags", "shown"), [((), False), (("--verbose",), True)])
def test_why_things_are_done_is_told_when_asked_for(
    flags: tuple[str, ...], shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*flags, "datasets")
    logging.getLogger("maskpilot.agent").info("native calls failed\x1b[31m")
    logging.getLogger("maskpilot.agent").warning("no second look")
    said = capsys.readouterr().err
    assert ("native calls failed" in said) is shown
    assert "no second look" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "LONG"),
        ("refine", "PHOTO", "star", "--out", "LONG"),
        ("datasets", "coco", "--path", "LONG"),
        ("score", "scenes", "--count", 1, "--predictions", "LONG"),
        ("doctor", "--offline", "--checkpoint", "LONG"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_path_that_the_system_refuses_is_told_in_a_line(
    arguments: tuple[object, ...], photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"LONG": tmp_path / ("x" * 300), "PHOTO": photo}
    run(*(given.get(str(one), one) for one in arguments), code=1)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert "File name too long" in said


def test_ctrl_c_before_a_session_starts_is_told_in_a_word(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskpilot.segmenters.load_segmenter", interrupted)
    refine(photo, tmp_path / "run", code=130)
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("module", ["typer", "rich"], ids=["the command line", "what prints its help"])
def test_ctrl_c_while_something_is_imported_is_told_in_a_word(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(CTRL_C)
    done = subprocess.run(
        [sys.executable, "-m", "maskpilot", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
signal.raise_signal(signal.SIGINT)
"""


def test_the_command_and_the_module_are_one() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"maskpilot": "maskpilot.__main__:main"}
    command = [sys.executable, "-m", "maskpilot", "--version"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"maskpilot ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [("datasets", "--json"), ("datasets",), ("--version",)], ids=" ".join)
def test_output_that_does_not_fit_on_the_disk_is_a_failure_with_its_cause(
    arguments: tuple[str, ...], unbuffered: str
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "maskpilot", *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "error: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    run("refine", code=2)
    run("fly", code=2)


def test_importing_maskpilot_and_asking_for_help_touch_no_heavy_package() -> None:
    probe = (
        "import sys, maskpilot, maskpilot.cli\n"
        "try: maskpilot.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'sam3', 'torchvision', 'openai', 'numpy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_messages_that_do_not_fit_on_the_disk_end_no_session(photo: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full, redirect_stderr(full):
        refine(photo, tmp_path / "run")
    ending = read_trajectory(tmp_path / "run" / "steps.jsonl").ending
    assert ending is not None
    assert ending.stop == "finished"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_session_that_is_ended_from_outside_leaves_a_readable_trajectory(
    sent: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "steps.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)], env={**os.environ, "PYTHONPATH": "."}
    )
    try:
        _wait_for_steps(path, 4)  # the last one may be under way
        child.send_signal(sent)
        child.wait(timeout=60)
    finally:
        child.kill()
        child.wait()
    trajectory = read_trajectory(path)
    assert len(trajectory.steps) >= 3
    assert len(trajectory.result) == 1
    if sent is signal.SIGINT:
        assert trajectory.ending is not None
        assert trajectory.ending.stop == "interrupted"


ENDLESS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
from pathlib import Path
from maskpilot.agent import Scripted, run_session
from maskpilot.trajectory import TrajectoryWriter
from maskpilot.types import Budget
from tests.agent.sessions import IMAGE, setup, text
from tests.shapes import table

class Endless(Scripted):
    def decide(self, observation):
        return text(f"cup {len(observation.steps)}", rating=50)

with TrajectoryWriter(Path(sys.argv[1])) as writer:
    unlimited = setup(budget=Budget(max_rounds=None))
    run_session(unlimited, IMAGE, table().open(IMAGE), Endless([]), recorder=writer)
"""


def _wait_for_steps(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") <= count:
        assert time.monotonic() < deadline, "the session did not start"


def _text(page: str) -> str:
    """What a reader of the page sees."""

    class Reader(HTMLParser):
        seen: Any = ""

        def handle_data(self, data: str) -> None:
            self.seen += data

    reader = Reader()
    reader.feed(page)
    return str(reader.seen)
