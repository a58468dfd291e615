"""`maskpilot datasets` and `maskpilot score` from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from maskpilot.cli import main
from tests.evals.datasets import layouts
from tests.evals.datasets.layouts import LEFT
from tests.evals.drawn import as_json


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert (caught.value.code or 0) == code


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return layouts.coco(tmp_path)


def results(folder: Path, **changes: Any) -> Path:
    entry = {"image_id": 1, "category_id": 1, "segmentation": as_json(LEFT), "score": 0.9, **changes}
    return layouts.write(folder / "results.json", [entry])


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    run("datasets", "--json")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    names = [about["name"] for about in json.loads(printed)["datasets"]]
    assert {"reasonseg", "refcoco", "saco-gold", "coco", "scenes"} <= set(names)
    run("datasets")
    assert "SIMULATED" in capsys.readouterr().out


def test_a_check(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("datasets", "coco", "--path", coco)
    said = capsys.readouterr().out
    assert "4 samples on 2 images" in said
    assert "sample 1-1, image 1: cat" in said
    (coco / "images" / "a.jpg").unlink()
    run("datasets", "coco", "--path", coco, "--json", code=1)
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["faults"]) == 3
    run("datasets", "coco", "--path", coco / "nowhere", code=1)
    assert "no such folder; coco is to be had from" in capsys.readouterr().err


def test_faint_predictions_are_told(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("score", "coco", "--path", coco, "--predictions", results(coco, score=0.3))
    assert "1 prediction scored below 0.5" in capsys.readouterr().out


def test_scores(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("score", "coco", "--path", coco, "--predictions", results(coco), "--json")
    record = json.loads(capsys.readouterr().out)
    assert record["metrics"]["ap"]["value"] == 1.0
    run("score", "coco", "--path", coco, "--predictions", results(coco))
    printed = capsys.readouterr().out
    assert "AP" in printed
    assert "present yes, 2 samples: AP 1.0000, " in printed
    assert "5 samples without a prediction" in printed
    assert printed.startswith("coco: 6 samples")  # no blank where a split would stand


def test_scores_of_scenes_say_that_they_are_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = layouts.write(tmp_path / "none.json", [])
    run("score", "scenes", "--predictions", file, "--count", "10")
    assert "simulated: drawn scenes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["datasets", "--path", "."], "--path: without the NAME"),
        (["datasets", "--split", "val", "--everything"], "--split, --everything: without the NAME"),
        (["datasets", "scenes", "--path", "."], "scenes takes no --path"),
        (["score", "scenes", "--path", ".", "--predictions", "p.json"], "scenes takes no --path"),
        (
            ["score", "coco", "--path", ".", "--count", "3", "--predictions", "p.json"],
            "coco takes no --count",
        ),
        (["score", "coco", "--path", ".", "--seed", "0", "--predictions", "p.json"], "--seed: draws scenes"),
    ],
)
def test_options_without_effect_are_wrong_usage(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, code=2)
    assert says in capsys.readouterr().err


def test_errors_name_the_record(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("score", "coco", "--path", coco, "--predictions", results(coco, score=float("inf")), code=1)
    assert "results.json: prediction 0: score is inf" in capsys.readouterr().err
    run("score", "cocoa", "--path", coco, "--predictions", results(coco), code=2)
    assert "no data set 'cocoa'" in capsys.readouterr().err
