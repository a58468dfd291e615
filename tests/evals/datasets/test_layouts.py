"""Every data set, read from the files that a user has."""

import json
from pathlib import Path

import numpy as np
import pytest

from maskpilot import masks
from maskpilot.evals.datasets import DATASETS, open_dataset
from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.types import Dataset, Sample
from tests.evals.datasets import layouts
from tests.evals.datasets.layouts import LEFT, RIGHT, SIZE
from tests.evals.drawn import as_json, instances, rectangle

MAKERS = {
    "reasonseg": layouts.reasonseg,
    "refcoco": layouts.refcoco,
    "refcoco+": lambda root: layouts.refcoco(root, "refcoco+"),
    "refcocog": lambda root: layouts.refcoco(root, "refcocog", "umd"),
    "grefcoco": layouts.grefcoco,
    "saco-gold": layouts.gold,
    "coco": layouts.coco,
    "lvis": layouts.lvis,
    "folder": layouts.folder,
}


def silver(root: Path) -> Path:
    layouts.gold(root)
    (root / "gt-annotations" / "gold_metaclip_merged_a_release_test.json").rename(
        root / "silver_geode_merged_test.json"
    )
    (root / "metaclip-images").rename(root / "geode")
    return root


MAKERS["saco-silver"] = silver


def by_query(dataset: Dataset) -> dict[str, Sample]:
    return {sample.query: sample for sample in dataset}


def test_every_data_set_is_tried_here() -> None:
    assert {name for name, about in DATASETS.items() if about.needs_path} == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_what_every_data_set_promises(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, MAKERS[name](tmp_path))
    samples = list(dataset)
    assert dataset.name == name
    assert len(dataset) == len(samples) > 0
    assert [sample.id for sample in dataset] == [sample.id for sample in samples]
    assert len({sample.id for sample in samples}) == len(samples)
    assert set(dataset.metrics) <= set(METRICS)
    assert {"licence", "citation", "home"} <= set(dataset.facts)
    for sample in samples:
        assert set(sample.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert sample.query
        image, truth = dataset.image(sample).image, dataset.truth(sample)
        assert image.size == SIZE
        assert sample.width in {0, image.width}
        perfect = measure(instances(*truth.instances), truth, image.size)
        assert perfect["iou"] == 1.0


def redrawn(root: Path) -> None:
    """The object on the left, one column wider or narrower."""
    wider = rectangle(0, 0, 6, 10, size=SIZE)
    changes = {
        json.dumps(layouts.LEFT_POLYGON): json.dumps([0, 0, 6, 0, 6, 10, 0, 10]),
        json.dumps(as_json(LEFT)): json.dumps(as_json(wider)),
        json.dumps([9, 9]): json.dumps([8, 9]),
    }
    for file in root.rglob("*.json"):
        text = file.read_bytes()
        for old, new in changes.items():
            text = text.replace(old.encode(), new.encode())
        file.write_bytes(text)
    if (root / "masks").is_dir():
        layouts.mask_image(root / "masks" / "left.png", wider)


@pytest.mark.parametrize("name", MAKERS)
def test_the_digest_of_a_truth_changes_with_the_truth_alone(name: str, tmp_path: Path) -> None:
    root = MAKERS[name](tmp_path)
    before = open_dataset(name, root)
    known = {sample.id: (before.truth(sample), before.truth_digest(sample)) for sample in before}
    redrawn(root)
    after = open_dataset(name, root)
    changed = {sample.id for sample in after if after.truth(sample) != known[sample.id][0]}
    assert changed
    for image in root.rglob("*.jpg"):  # nor is an image needed
        image.unlink()
    assert changed == {sample.id for sample in after if after.truth_digest(sample) != known[sample.id][1]}


@pytest.mark.parametrize("name", MAKERS)
def test_no_image_is_opened_until_asked_for(name: str, tmp_path: Path) -> None:
    root = MAKERS[name](tmp_path)
    for file in [*root.rglob("*.jpg"), *root.rglob("*.png")]:
        file.unlink()
    assert list(open_dataset(name, root))


def test_reasonseg(tmp_path: Path) -> None:
    dataset = open_dataset("reasonseg", layouts.reasonseg(tmp_path), split="val")
    long, short = dataset
    assert (long.query, long.tags) == ("What does one sleep on?", {"length": "long"})
    assert (short.query, short.tags) == ("café", {"length": "short"})
    truth = dataset.truth(long)
    assert not truth.is_instances
    assert truth.ignore is not None
    assert masks.area(truth.ignore) == 9  # painted last, since it is the smaller one
    assert masks.area(truth.instances[0]) == 100 - 9
    assert dataset.truth(short).annotators == ((),)


def test_reasonseg_beside_opencv(tmp_path: Path) -> None:
    """LISA paints with OpenCV, outline included; we differ in single pixels."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    for number in range(10):
        points = (rng.random((rng.integers(3, 12), 2)) * 200).tolist()
        shape = {"label": "target", "points": points}
        layouts.write(tmp_path / "val" / "x.json", {"text": ["x"], "is_sentence": 0, "shapes": [shape]})
        layouts.picture(tmp_path / "val" / "x.jpg", (200, 200))
        dataset = open_dataset("reasonseg", tmp_path)
        ours = masks.decode(dataset.truth(next(iter(dataset))).instances[0])
        theirs = np.zeros((200, 200), np.uint8)
        corners = np.array([points], np.int32)
        cv2.polylines(theirs, corners, True, 1, 1)
        cv2.fillPoly(theirs, corners, 1)
        assert np.count_nonzero(ours != theirs) <= 0.005 * theirs.sum() + 2, number


def test_refcoco_is_one_sample_a_sentence(tmp_path: Path) -> None:
    layouts.refcoco(tmp_path)
    dataset = open_dataset("refcoco", tmp_path)
    assert [sample.id for sample in dataset] == ["5-50", "5-51"]
    assert [sample.query for sample in dataset] == ["the left one", "not the right one"]
    assert {sample.image_id for sample in dataset} == {"1"}
    truth = dataset.truth(next(iter(dataset)))
    assert (truth.annotators, truth.is_instances) == (((LEFT,),), False)
    other = open_dataset("refcoco", tmp_path / "refcoco", split="unc:testA")
    assert [sample.query for sample in other] == ["the right one"]


def test_grefcoco_has_several_targets_and_none(tmp_path: Path) -> None:
    dataset = open_dataset("grefcoco", layouts.grefcoco(tmp_path))
    samples = by_query(dataset)
    assert dataset.truth(samples["both"]).instances == (LEFT, RIGHT)
    assert dataset.truth(samples["the elephant"]).instances == ()
    assert [sample.tags["targets"] for sample in samples.values()] == ["several", "none"]


def test_gold_has_several_annotators(tmp_path: Path) -> None:
    dataset = open_dataset("saco-gold", layouts.gold(tmp_path), split="metaclip")
    samples = by_query(dataset)
    assert set(samples) == {"red cup", "elephant"}  # one annotator could not finish "leaf"
    assert dataset.truth(samples["red cup"]).annotators == ((LEFT, RIGHT), (LEFT,), (LEFT,))
    assert dataset.truth(samples["elephant"]).annotators == ((), (), ())
    assert len({sample.image_id for sample in samples.values()}) == 1
    assert dataset.facts["annotators"] == "3"


def test_coco_asks_for_absent_classes_too(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path)
    everything = open_dataset("coco", root, negatives=None)
    assert len(everything) == 6
    sample = {(one.image_id, one.query): one for one in everything}
    assert everything.truth(sample["1", "cat"]).instances == (LEFT,)
    crowd = everything.truth(sample["1", "dog"])
    assert (crowd.instances, crowd.ignore) == ((), RIGHT)
    assert everything.truth(sample["2", "traffic light"]).instances == ()
    assert len(open_dataset("coco", root, negatives=0)) == 2
    assert len(open_dataset("coco", root, negatives=1)) == 4
    drawn = [sample.id for sample in open_dataset("coco", root, negatives=1, seed=3)]
    assert drawn == [sample.id for sample in open_dataset("coco", root, negatives=1, seed=3)]


def test_coco_in_its_own_layout(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path)
    (root / "annotations").mkdir()
    (root / "instances.json").rename(root / "annotations" / "instances_val2017.json")
    (root / "images").rename(root / "val2017")
    for split in (None, "val2017"):
        dataset = open_dataset("coco", root, split=split)
        assert dataset.image(next(iter(dataset))).image.size == SIZE


def test_lvis_says_what_is_known(tmp_path: Path) -> None:
    dataset = open_dataset("lvis", layouts.lvis(tmp_path))
    samples = by_query(dataset)
    assert set(samples) == {"cat", "dog"}  # of traffic lights nothing is known
    assert not dataset.truth(samples["cat"]).exhaustive
    assert dataset.truth(samples["dog"]).exhaustive
    assert samples["cat"].phrases == ("cat", "house cat")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    dataset = open_dataset("folder", layouts.folder(tmp_path))
    things, elephants, left = dataset
    assert things.id == "a-1"
    assert things.tags == {"kind": "plural"}
    assert dataset.truth(things).instances == (LEFT, RIGHT)
    assert dataset.truth(elephants).instances == ()
    assert elephants.id.startswith("no-elephants-")
    assert dataset.truth(left).ignore == RIGHT
    assert left.phrases == ("thing",)


def test_silver_has_one_annotator(tmp_path: Path) -> None:
    dataset = open_dataset("saco-silver", silver(tmp_path))
    assert dataset.facts["annotators"] == "1"
    assert len(dataset) == 3
