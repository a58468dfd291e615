"""Damaged, contradictory and hostile files: the error names the file and the record."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot import masks
from maskpilot.annotations.files import inside, safe_id
from maskpilot.annotations.shapes import to_mask
from maskpilot.errors import DatasetError, Fatal, ImageError, InvalidInput
from maskpilot.evals.datasets import DATASETS, open_dataset
from maskpilot.evals.datasets.pickles import read_pickle
from maskpilot.evals.types import Dataset, Sample, Truth
from tests.evals.datasets import layouts
from tests.evals.drawn import as_json, rectangle

Edit = Callable[[dict[str, Any]], object]
Result = TypeVar("Result")


def first(dataset: Dataset) -> Sample:
    return next(iter(dataset))


def truths(dataset: Dataset) -> list[Truth]:
    return [dataset.truth(sample) for sample in dataset]


def outcome(call: Callable[[], Result]) -> tuple[Result | None, str]:
    """What a call returns, or what it complains of on purpose."""
    try:
        return call(), ""
    except Fatal as error:
        return None, str(error)


def edited(path: Path, edit: Edit) -> Path:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", [name for name, about in DATASETS.items() if about.needs_path])
def test_a_folder_without_the_data_set(name: str, tmp_path: Path) -> None:
    """The message says which file is missing and where it comes from."""
    with pytest.raises(DatasetError, match="missing") as caught:
        open_dataset(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert DATASETS[name].home in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no such folder; coco is to be had from https://cocodataset\.org"
    ):
        open_dataset("coco", tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="coco needs --path"):
        open_dataset("coco")
    with pytest.raises(InvalidInput, match="no data set 'cocoa'; there are reasonseg, "):
        open_dataset("cocoa", tmp_path)


@pytest.mark.parametrize(
    ("name", "split"), [("refcoco", "umd:val"), ("refcoco", "unc:../x"), ("saco-gold", "silverware")]
)
def test_splits_that_do_not_exist(name: str, split: str, tmp_path: Path) -> None:
    layouts.refcoco(tmp_path)
    with pytest.raises(InvalidInput, match=r"no (split|subset)"):
        open_dataset(name, tmp_path, split=split)


@pytest.mark.parametrize("split", ["../../etc", "/etc/passwd"])
@pytest.mark.parametrize("name", ["coco", "lvis", "folder"])
def test_a_split_leads_nowhere_else(name: str, split: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing|leads out of"):
        open_dataset(name, tmp_path, split=split)


def test_several_splits_and_none_chosen(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        layouts.write(tmp_path / "annotations" / f"instances_{split}.json", {})
    with pytest.raises(InvalidInput, match="train2017, val2017; choose one with --split"):
        open_dataset("coco", tmp_path)


@pytest.mark.parametrize("content", [b'{"images": [', b"[]", b"\xff\xfe", b"", b"[" * 100_000])
def test_malformed_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"instances\.json: (not valid JSON|expected a JSON object)"):
        open_dataset("coco", tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data.pop("images"), "field 'images': expected list, got nothing"),
        (lambda data: data["images"][1].update(id=1), r"images\[1\]: duplicate id '1'"),
        (lambda data: data["annotations"][1].update(id=10), r"annotations\[1\]: duplicate id '10'"),
        (lambda data: data["annotations"][0].update(image_id=99), "annotation 10: is of image 99"),
        (lambda data: data["annotations"][0].update(image_id=[1]), r"annotation 10: is of image \[1\]"),
        (lambda data: data["annotations"][0].update(category_id=9), "annotation 10: is of category 9"),
        (lambda data: data.update(images=[], annotations=[]), "no images or no categories"),
        (lambda data: data["images"][1].update(id="1"), "category 1 of image '1': duplicate id '1-1'"),
    ],
)
def test_instances_that_contradict_themselves(edit: Edit, message: str, tmp_path: Path) -> None:
    file = edited(layouts.coco(tmp_path) / "instances.json", edit)
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset("coco", tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (as_json(rectangle(0, 0, 2, 2)), "the image is 20x10"),
        ({"size": [10, 20], "counts": [5, 5]}, "sum to 10"),
        ({"size": [10, 20], "counts": [300, -100]}, "whole numbers from 0"),
        ({"size": [10, 20], "counts": "0"}, "do not cover"),
        ({"size": [10, 20], "counts": 7}, "expected 'counts' as text or a list"),
        ({"size": [10, 20], "counts": "\u20ac"}, "codec|form"),
        ({"counts": "0"}, "of size None"),
        ([], "expected polygons or run lengths"),
        ([[1, 2, 3, 4]], "at least three points"),
        ([[1, 2, 3, 4, "x", 6]], "could not convert"),
        ([[0, 0, 1e300, 0, 5, 5]], "far outside"),
        (None, "expected polygons or run lengths"),
    ],
)
def test_masks_that_are_none(segmentation: object, message: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    edited(tmp_path / "instances.json", lambda data: data["annotations"][0].update(segmentation=segmentation))
    dataset = open_dataset("coco", tmp_path)
    with pytest.raises(DatasetError, match=rf"instances\.json: annotation 10: .*({message})"):
        dataset.truth(first(dataset))


@given(st.binary(min_size=1, max_size=30))
def test_any_bytes_are_run_lengths_or_an_error(packed: bytes) -> None:
    """Never more pixels than the image has: pycocotools would write them past its memory."""
    segmentation = {"size": [4, 5], "counts": packed.decode("latin-1")}
    mask, complaint = outcome(lambda: to_mask(segmentation, (5, 4), "here"))
    if mask is None:
        assert complaint.startswith("here: ")
    else:
        assert masks.decode(mask).shape == (4, 5)


@pytest.mark.parametrize(
    ("width", "message"), [(10**9, "limit is 64 megapixels"), (0, "at least 1"), ("9", "whole number")]
)
def test_sizes_that_no_image_has(width: object, message: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    edited(tmp_path / "instances.json", lambda data: data["images"][0].update(width=width))
    with pytest.raises(DatasetError, match=rf"image 1: .*{message}"):
        truths(open_dataset("coco", tmp_path))


def test_an_image_that_is_missing(tmp_path: Path) -> None:
    dataset = open_dataset("coco", layouts.coco(tmp_path))
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(ImageError, match=r"a\.jpg: no such image; .*instances\.json: image 1 names it"):
        dataset.image(first(dataset))


def test_an_image_of_another_size(tmp_path: Path) -> None:
    dataset = open_dataset("coco", layouts.coco(tmp_path))
    layouts.picture(tmp_path / "images" / "a.jpg", (40, 20))
    with pytest.raises(DatasetError, match=r"a\.jpg: is 40x20 px upright, .* says 20x10"):
        dataset.image(first(dataset))


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\x.jpg", "..\\x", ".", ""]
)
def test_file_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    layouts.coco(tmp_path)
    edited(tmp_path / "instances.json", lambda data: data["images"][0].update(file_name=name))
    dataset = open_dataset("coco", tmp_path)
    with pytest.raises(DatasetError, match="leads out of the data set's folder; refused"):
        dataset.image(first(dataset))


def test_file_names_of_other_data_sets_stay_there_too(tmp_path: Path) -> None:
    layouts.folder(tmp_path)
    (tmp_path / "queries.jsonl").write_text('{"image": "a.jpg", "query": "x", "mask": "../a.png"}')
    with pytest.raises(DatasetError, match=r"queries\.jsonl:1: file name '\.\./a\.png' leads out"):
        open_dataset("folder", tmp_path)
    for file in layouts.gold(tmp_path / "gold").glob("gt-annotations/*.json"):
        edited(file, lambda data: data["images"][0].update(file_name="/etc/passwd"))
    with pytest.raises(DatasetError, match=r"image 100: file name '/etc/passwd' leads out"):
        open_dataset("saco-gold", tmp_path / "gold")


def test_colons_are_no_drives(tmp_path: Path) -> None:
    """SA-Co/Silver's folders are named after times."""
    assert inside(tmp_path, "Fri_18:50:36/1.jpg", "x") == tmp_path / "Fri_18:50:36" / "1.jpg"


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_are_safe_and_apart(one: str, other: str) -> None:
    for text in (one, other):
        assert set(safe_id(text)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not safe_id(text).startswith(".")
        assert len(safe_id(text)) <= 80
    assert (safe_id(one) == safe_id(other)) == (one == other)


def test_an_id_may_be_any_text(tmp_path: Path) -> None:
    edited(layouts.coco(tmp_path) / "instances.json", lambda data: data["images"][1].update(id="\ud800"))
    assert len(truths(open_dataset("coco", tmp_path))) == 4


def test_a_pickle_that_runs_code(tmp_path: Path) -> None:
    """It is refused before it can: the file it would make is not there."""
    trace = tmp_path / "trace"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(trace),))

    layouts.refcoco(tmp_path)
    refs = tmp_path / "refcoco" / "refs(unc).p"
    refs.write_bytes(pickle.dumps([Bomb()]))
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p: this pickle is refused.*mkdir.*may run code"):
        open_dataset("refcoco", tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    data = [{"sent": "caf\xe9", "ids": (1, 2.5, None, True)}]
    (tmp_path / "plain.p").write_bytes(pickle.dumps(data, protocol))
    assert read_pickle(tmp_path / "plain.p") == data


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "old.p").write_bytes(b"(lp0\n(dp1\nS'sent'\np2\nVcaf\\u00e9\np3\nsa.")
    assert read_pickle(tmp_path / "old.p") == [{"sent": "caf\xe9"}]


@pytest.mark.parametrize("length", [0, 1, 40, 200])
def test_a_truncated_pickle(length: int, tmp_path: Path) -> None:
    layouts.refcoco(tmp_path)
    refs = tmp_path / "refcoco" / "refs(unc).p"
    refs.write_bytes(refs.read_bytes()[:length])
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p: .*(truncated|damaged)"):
        open_dataset("refcoco", tmp_path)


@given(content=st.binary(max_size=60))
def test_any_bytes_are_a_pickle_or_an_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.p"
    file.write_bytes(content)
    _, complaint = outcome(lambda: read_pickle(file))
    assert not complaint or str(file) in complaint


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda refs: refs[0].update(ann_id=99), "expression 0: annotation 99 is not in"),
        (lambda refs: refs[0].update(ann_id=[10]), r"expression 0: annotation \[10\] is not in"),
        (lambda refs: refs[0].update(image_id=9), "expression 0: is of image 9"),
        (lambda refs: refs[0].pop("split"), "expression 0: field 'split': expected text"),
        (lambda refs: refs[0]["sentences"][0].clear(), "expression 0: a sentence without text"),
        (lambda refs: refs[0]["sentences"][1].update(sent_id=50), "expression 0: duplicate id '5-50'"),
        (lambda refs: refs.clear(), "no samples in it"),
        (lambda refs: refs.insert(0, "x"), "expression 0: field 'split'"),
    ],
)
def test_expressions_that_make_no_sense(edit: Callable[[Any], object], message: str, tmp_path: Path) -> None:
    layouts.refcoco(tmp_path)
    refs = layouts.refs()
    edit(refs)
    (tmp_path / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(refs))
    with pytest.raises(DatasetError, match=message):
        open_dataset("refcoco", tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data.update(text=[]), "field 'text'"),
        (lambda data: data.update(text="x"), "field 'text': expected list"),
        (lambda data: data.pop("shapes"), "field 'shapes': expected list, got nothing"),
        (lambda data: data["shapes"][0].update(points=[[1, "x"]]), "shape 0: expected points"),
        (lambda data: data["shapes"][0].update(points=[[1, 1e12], [2, 2]]), "shape 0: expected points"),
        (lambda data: data["shapes"][0].update(points=[[10**400, 1]]), "shape 0: expected points"),
        (lambda data: data["shapes"][0].update(points=[]), "shape 0: expected points"),
        (lambda data: data["shapes"][0].pop("label"), "shape 0: field 'label'"),
    ],
)
def test_reasoning_that_makes_no_sense(edit: Edit, message: str, tmp_path: Path) -> None:
    layouts.reasonseg(tmp_path)
    edited(tmp_path / "val" / "one.json", edit)
    with pytest.raises(DatasetError, match=rf"one\.json: .*{message}"):
        truths(open_dataset("reasonseg", tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"queries\.jsonl:1: not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"image": "a.jpg", "query": "x"}', "field 'mask'"),
        ('{"image": "a.jpg", "query": " ", "mask": null}', "field 'query'"),
        ('{"image": "a.jpg", "mask": null}', "field 'query'"),
        ('{"image": "a.jpg", "query": "x", "mask": 3}', "expected text, got 3"),
        ('{"image": "a.jpg", "query": "x", "mask": null, "id": "1"}\n' * 2, "jsonl:2: duplicate id '1'"),
        ('{"image": "a.jpg", "query": "x", "mask": null, "id": ["a"]}', "field 'id'"),
        (
            '{"image": "a.jpg", "query": "x", "mask": null, "phrases": "cup"}',
            "field 'phrases': expected list",
        ),
        ("", "no samples"),
    ],
)
def test_queries_that_make_no_sense(line: str, message: str, tmp_path: Path) -> None:
    layouts.folder(tmp_path)
    (tmp_path / "queries.jsonl").write_text(line)
    with pytest.raises(DatasetError, match=message):
        open_dataset("folder", tmp_path)


def test_a_mask_image_of_another_size_or_missing(tmp_path: Path) -> None:
    dataset = open_dataset("folder", layouts.folder(tmp_path))
    layouts.mask_image(tmp_path / "masks" / "both.png", rectangle(0, 0, 2, 2))
    with pytest.raises(DatasetError, match=r"queries\.jsonl:1: .*both\.png: is 10x10 px, the image is 20x10"):
        dataset.truth(first(dataset))
    (tmp_path / "masks" / "both.png").unlink()
    with pytest.raises(DatasetError, match=r"queries\.jsonl:1: .*both\.png: no such file"):
        dataset.truth(first(dataset))


def test_gold_without_an_annotator_is_not_scored(tmp_path: Path) -> None:
    """Fewer of them would give lower numbers."""
    (layouts.gold(tmp_path) / "gt-annotations" / "gold_metaclip_merged_b_release_test.json").unlink()
    with pytest.raises(DatasetError, match=r"missing gold_metaclip_merged_b_release_test\.json; .*SACo-Gold"):
        open_dataset("saco-gold", tmp_path)


def test_annotators_who_speak_of_different_things(tmp_path: Path) -> None:
    folder = layouts.gold(tmp_path) / "gt-annotations"
    other = folder / "gold_metaclip_merged_b_release_test.json"
    edited(other, lambda data: data["images"][0].update(text_input="blue cup"))
    with pytest.raises(DatasetError, match=r"b_release_test\.json: image 100: another phrase"):
        open_dataset("saco-gold", tmp_path)
    edited(other, lambda data: data["images"][0].pop("is_instance_exhaustive"))
    with pytest.raises(DatasetError, match="image 100: field 'is_instance_exhaustive'"):
        open_dataset("saco-gold", tmp_path)


@pytest.mark.parametrize("listed", [[77], [[1]], {"1": 1}, None])
def test_lvis_lists_of_unknown_classes(listed: object, tmp_path: Path) -> None:
    file = layouts.lvis(tmp_path) / "annotations" / "lvis_v1_val.json"
    edited(file, lambda data: data["images"][0].update(neg_category_ids=listed))
    with pytest.raises(DatasetError, match="image 1: field 'neg_category_ids'"):
        open_dataset("lvis", tmp_path)


def test_lvis_synonyms_that_are_no_list(tmp_path: Path) -> None:
    file = layouts.lvis(tmp_path) / "annotations" / "lvis_v1_val.json"
    edited(file, lambda data: data["categories"][0].update(synonyms=5))
    with pytest.raises(DatasetError, match="category 1: field 'synonyms': expected list"):
        list(open_dataset("lvis", tmp_path))


def test_annotations_that_are_gone_when_they_are_needed(tmp_path: Path) -> None:
    layouts.reasonseg(tmp_path)
    dataset = open_dataset("reasonseg", tmp_path)
    (tmp_path / "val" / "one.json").unlink()
    with pytest.raises(DatasetError, match=r"one\.json: cannot be read"):
        truths(dataset)


@pytest.mark.parametrize("name", ["refcoco", "coco", "folder", "saco-gold", "reasonseg"])
def test_a_sample_of_another_data_set(name: str, tmp_path: Path) -> None:
    makers = {
        "refcoco": layouts.refcoco,
        "coco": layouts.coco,
        "folder": layouts.folder,
        "saco-gold": layouts.gold,
        "reasonseg": layouts.reasonseg,
    }
    dataset = open_dataset(name, makers[name](tmp_path))
    with pytest.raises(DatasetError, match="has no sample 'zebra'"):
        dataset.truth(Sample(id="zebra", image_id="x", query="x"))


@given(place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=3))
def test_damage_anywhere_ends_in_an_error_or_not_at_all(
    place: float, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes overwritten in an annotation file: a data set, or an error of ours."""
    root = tmp_path_factory.getbasetemp() / "damaged"
    layouts.coco(root)
    file = root / "instances.json"
    content = bytearray(file.read_bytes())
    at = int(place * len(content))
    content[at : at + len(junk)] = junk
    file.write_bytes(bytes(content))
    _, complaint = outcome(lambda: truths(open_dataset("coco", root)))
    assert not complaint or str(root) in complaint
