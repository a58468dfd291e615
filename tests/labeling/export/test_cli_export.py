"""`maskpilot export` from the command line."""

import json
from pathlib import Path

import pytest

from maskpilot.cli import main
from maskpilot.cli.export import FormatName, ImagesName, OnlyName
from maskpilot.labeling.export.formats import FORMATS
from maskpilot.labeling.export.order import Only
from maskpilot.labeling.export.pictures import Images
from tests.labeling.export.runs import NOTHING, make_run
from tests.labeling.samples import class_labels, label

EVIL = "[red]<b>\n\x1b[31mcup"


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", *(str(argument) for argument in arguments)])
    assert (caught.value.code or 0) == code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path, {"a.png": (), "b.png": NOTHING})


def test_the_table_tells_what_comes_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "--format", "coco", "--out", tmp_path / "out")
    printed = capsys.readouterr()
    assert "lowest IoU" in printed.out
    assert "2 images, 1 without labels" in printed.out
    assert "1 answer doubtful: the image may hold more of that class" in printed.out
    assert printed.err == ""


def test_one_of_a_kind_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(make_run(tmp_path, {"CON.png": ()}), "--format", "coco", "--out", tmp_path / "out")
    told = capsys.readouterr().out.splitlines()
    assert "1 image, 0 without labels" in told
    assert "1 image called something else here: names.json" in told


def test_json_is_the_account(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    run(folder, "--format", "masks", "--out", out, "--json")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    record = json.loads(printed)
    assert (record["out"], record["loss"]["written"]) == (str(out), 3)
    assert json.loads((out / "export.json").read_text())["loss"] == record["loss"]


def test_problems_are_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images" / "a.png").unlink()
    run(folder, "--format", "coco", "--out", tmp_path / "out")
    assert "a.png: the file is gone; left out" in capsys.readouterr().err


def test_what_files_say_is_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path, {"a.png": (class_labels(EVIL, label("donut")),)}, names=(EVIL,))
    run(folder, "--format", "coco", "--out", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "[red]<b>" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--val", "1"], 2, "val: expected a share"),
        (["--image-folder", "/nowhere/at/all"], 1, "no such folder"),
        (["--format", "voc"], 2, "voc"),
    ],
)
def test_wrong_usage_is_told(
    options: list[str], code: int, told: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "--format", "coco", "--out", tmp_path / "out", *options, code=code)
    assert told in capsys.readouterr().err


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--format", "coco", "--out", tmp_path / "out", code=1)
    assert "holds no run of maskpilot" in capsys.readouterr().err


def test_the_names_on_the_command_line_are_those_of_the_library() -> None:
    assert [name.value for name in FormatName] == list(FORMATS)
    assert [name.value for name in OnlyName] == [name.value for name in Only]
    assert [name.value for name in ImagesName] == [name.value for name in Images]
