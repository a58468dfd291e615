"""Labels of drawn scenes, exported and scored, against an eval of the same with the same policy."""

from pathlib import Path

import pytest
from PIL import Image

from maskpilot import masks
from maskpilot.cli import main
from maskpilot.evals import pilots as eval_pilots
from maskpilot.evals.commands import score_predictions
from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.plan import Plan as EvalPlan
from maskpilot.evals.runner import run_eval
from maskpilot.evals.summary import summarise
from maskpilot.evals.types import Dataset, Sample
from maskpilot.labeling import pilots
from maskpilot.labeling.job import Job
from maskpilot.labeling.plan import Plan
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.types import LabelClass
from maskpilot.segmenters.scripted import FakeObject
from tests.evals.drawn import shifted
from tests.labeling.scenery import KnownImages

COUNT = 12


def not_quite(dataset: Dataset, sample: Sample) -> list[FakeObject]:
    """What is to be found on an image: near the truth, with scores on both sides of the threshold."""
    words = frozenset(sample.query.lower().split())
    return [
        FakeObject(masks.decode(shifted(mask, 3 + number)), words, score=0.95 - 0.2 * number)
        for number, mask in enumerate(dataset.truth(sample).annotators[0])
    ]


def test_an_export_scores_as_an_eval_does(tmp_path: Path) -> None:
    dataset = open_dataset("scenes", None, count=COUNT)
    (tmp_path / "images").mkdir()
    known: dict[bytes, list[FakeObject]] = {}
    for sample in dataset:
        image: Image.Image = dataset.image(sample).image
        image.save(tmp_path / "images" / f"{sample.image_id}.png")
        known[image.tobytes()] = not_quite(dataset, sample)
    segmenter = KnownImages(known)

    plan = EvalPlan(dataset, segmenter, eval_pilots.one_shot(), pictures=False)
    official = summarise(run_eval(plan, tmp_path / "eval")).official

    classes = tuple(LabelClass(query) for query in dict.fromkeys(sample.query for sample in dataset))
    job = Job(classes, segmenter, pilots.one_shot())
    run_labeling(Plan(tmp_path / "images", job), tmp_path / "run")
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(tmp_path / "run"), "--format", "coco", "--out", str(tmp_path / "coco")])
    scored = score_predictions(
        "scenes", None, tmp_path / "coco" / "annotations/instances_default.json", count=COUNT
    )

    assert scored["without_predictions"] == 0
    ours = {name: scored["metrics"][name] for name in official}
    assert ours == {name: found and found.record for name, found in official.items()}
    assert 0.2 < scored["metrics"]["miou"]["value"] < 0.95
