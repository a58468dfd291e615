"""What every export does, whatever its format."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO

from maskpilot.errors import ImageError, InvalidInput, RunFolderError
from maskpilot.labeling.export.formats import FORMATS, find_format
from maskpilot.labeling.export.order import Only, Order
from maskpilot.labeling.export.pictures import Images
from maskpilot.labeling.export.place import READY, moves, publish
from maskpilot.labeling.export.run import export
from maskpilot.labeling.export.split import split_of
from maskpilot.labeling.export.writer import Picture, Target, Writer
from maskpilot.labeling.types import Review
from maskpilot.types import Mask
from tests.labeling.export.runs import NAMES, NOTHING, export_as, files_of, make_run, png
from tests.labeling.samples import SIZE, class_labels, label


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path, {"a.png": (), "b.png": NOTHING})


def classes_of(out: Path) -> list[str]:
    coco = COCO(str(out / "annotations/instances_default.json"))
    return [coco.cats[one["category_id"]]["name"] for one in coco.anns.values()]


def test_sure_labels_are_those_without_a_reason_to_look(tmp_path: Path) -> None:
    classes = (
        class_labels("ring", label("donut"), label("pixel", 2, 0.5, Review.near_threshold)),
        class_labels("pair", label("parts"), review=(Review.budget,)),
        class_labels("ghost", review=(Review.none_found,)),
    )
    run = make_run(tmp_path, {"a.png": classes, "b.png": NOTHING})
    account = export_as("coco", run, tmp_path / "out", only=Only.sure)
    assert classes_of(tmp_path / "out") == ["ring"]
    assert account["instances_not_sure"] == 2
    assert account["doubtful"] == {"ring": 1, "pair": 1, "ghost": 1}
    assert account["pictures"] == 2


def test_review_takes_the_images_that_need_a_look_whole(run: Path, tmp_path: Path) -> None:
    account = export_as("coco", run, tmp_path / "out", only=Only.review)
    assert classes_of(tmp_path / "out") == ["ring", "ring", "pair"]
    assert (account["pictures"], account["images_not_asked_for"]) == (1, 1)


def test_nothing_to_review_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"b.png": NOTHING})
    with pytest.raises(RunFolderError, match="no image of it needs a look"):
        export_as("coco", run, tmp_path / "out", only=Only.review)


def test_a_split_stays_when_images_come() -> None:
    hashes = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" + "0" * 48 for number in range(1000)]
    small, large = ({one for one in hashes if split_of(one, share) == "val"} for share in (0.1, 0.2))
    assert small < large
    assert 80 <= len(small) <= 120
    assert {split_of(one, 0.0) for one in hashes} == {""}


def test_equal_images_are_on_the_same_side(tmp_path: Path) -> None:
    content = {f"{number}{copy}.png": png(number) for number in range(30) for copy in "ab"}
    run = make_run(tmp_path, dict.fromkeys(content, NOTHING), content=content)
    export_as("coco", run, tmp_path / "out", val=0.5)
    sides = {
        split: {image["sha256"] for image in json.loads(file.read_text())["images"]}
        for split in ("train", "val")
        for file in [tmp_path / "out" / "annotations" / f"instances_{split}.json"]
    }
    assert len(sides["train"]) + len(sides["val"]) == 30
    assert not sides["train"] & sides["val"]


def test_copies_are_the_files(run: Path, tmp_path: Path) -> None:
    export_as("coco", run, tmp_path / "out")
    copy, image = tmp_path / "out" / "images" / "a.png", tmp_path / "images" / "a.png"
    assert copy.read_bytes() == image.read_bytes()
    assert not copy.samefile(image)


def test_links_need_no_room(run: Path, tmp_path: Path) -> None:
    account = export_as("coco", run, tmp_path / "out", images=Images.link)
    assert (tmp_path / "out" / "images" / "a.png").samefile(tmp_path / "images" / "a.png")
    assert account["symbolic_links"] == 0


def test_references_name_the_files_where_they_are(run: Path, tmp_path: Path) -> None:
    account = export_as("coco", run, tmp_path / "out", images=Images.reference)
    assert files_of(tmp_path / "out") == {"export.json", "annotations/instances_default.json"}
    info = json.loads((tmp_path / "out" / "annotations/instances_default.json").read_text())["info"]
    assert account["image_folder"] == info["images"] == str(tmp_path / "images")


def test_a_format_that_needs_images_refuses_references(run: Path, tmp_path: Path) -> None:
    needy = replace(find_format("coco"), needs_images=True)
    with pytest.raises(InvalidInput, match="take --images link"):
        Order(run, tmp_path / "out", needy, images=Images.reference)


def test_images_that_moved_are_found(run: Path, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ImageError, match="--image-folder"):
        export_as("coco", run, tmp_path / "out")
    account = export_as("coco", run, tmp_path / "out", image_folder=tmp_path / "elsewhere")
    assert account["pictures"] == 2


@pytest.mark.parametrize("how", [Images.copy, Images.link])
def test_an_image_that_vanished_or_changed_is_a_problem_and_left_out(how: Images, tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": (), "b.png": (), "c.png": (), "d.png": ()})
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "b.png").write_bytes(b"something else")
    (tmp_path / "images" / "c.png").unlink()
    (tmp_path / "images" / "c.png").mkdir()
    account = export_as("coco", run, tmp_path / "out", images=how)
    rows = [json.loads(line) for line in (tmp_path / "out" / "problems.jsonl").read_text().splitlines()]
    assert [(row["image"], row["problem"], row["exported"]) for row in rows] == [
        ("a.png", "the file is gone", False),
        ("b.png", "its content changed since it was labeled; label again to have it", False),
        ("c.png", "not a regular file", False),
    ]
    assert (account["problems"], account["first_problems"], account["pictures"]) == (3, rows, 1)
    assert files_of(tmp_path / "out") == {
        "export.json",
        "images/d.png",
        "annotations/instances_default.json",
        "problems.jsonl",
    }


def test_a_reference_to_what_vanished_is_left_out_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "images" / "a.png").unlink()
    account = export_as("coco", run, tmp_path / "out", images=Images.reference)
    assert account["first_problems"] == [{"image": "a.png", "problem": "the file is gone", "exported": False}]
    assert account["pictures"] == 1


def test_references_to_a_folder_that_is_not_here_are_kept_and_said(run: Path, tmp_path: Path) -> None:
    account = export_as(
        "coco", run, tmp_path / "out", images=Images.reference, image_folder=tmp_path / "elsewhere"
    )
    assert [(row["image"], row["exported"]) for row in account["first_problems"]] == [
        ("a.png", True),
        ("b.png", True),
    ]
    assert account["pictures"] == 2


@pytest.mark.parametrize("how", Images)
def test_a_file_that_was_renamed_is_exported_once_and_is_no_problem(how: Images, tmp_path: Path) -> None:
    content = dict.fromkeys(("old.png", "new.png"), png(1))  # both names seen, by two runs of label
    run = make_run(tmp_path, {"old.png": (), "new.png": ()}, content=content)
    (tmp_path / "images" / "old.png").unlink()
    account = export_as("coco", run, tmp_path / "out", images=how)
    assert (account["pictures"], account["images_moved"], account["problems"]) == (1, 1, 0)


def test_an_export_in_the_run_folder_is_refused(run: Path, tmp_path: Path) -> None:
    before = files_of(run)
    (tmp_path / "shortcut").symlink_to(run)
    for out in (run / "out", tmp_path / "shortcut" / "deep" / "out", run):
        with pytest.raises(InvalidInput, match="lies in the folder of the run"):
            export_as("coco", run, out)
    assert files_of(run) == before


def test_an_export_among_the_images_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "shortcut").symlink_to(tmp_path / "images")
    for out in (tmp_path / "images" / "out", tmp_path / "shortcut" / "deep" / "out", tmp_path / "images"):
        with pytest.raises(InvalidInput, match="lies in the folder of images"):
            export_as("coco", run, out)
    assert files_of(tmp_path / "images") == {"a.png", "b.png"}


def test_not_one_image_left_is_an_error(run: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).unlink()
    with pytest.raises(RunFolderError, match=r"none of 2 labeled images can be used.*a\.png.*gone"):
        export_as("coco", run, tmp_path / "out")
    assert files_of(tmp_path / "out") == set()


def test_a_path_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": (), "../outside.png": ()})
    for how in Images:
        account = export_as("coco", run, tmp_path / how.value, images=how)
        assert [row["image"] for row in account["first_problems"]] == ["../outside.png"]
        assert account["pictures"] == 1


def test_images_that_are_stored_lying_are_counted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "lying.jpg", exif=exif)
    content = {"lying.jpg": (tmp_path / "lying.jpg").read_bytes()}
    run = make_run(tmp_path, {"lying.jpg": (), "b.png": NOTHING}, content=content)
    assert export_as("coco", run, tmp_path / "out")["turned"] == 1


def test_an_export_is_replaced_only_when_told_and_nothing_else_is_touched(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_as("masks", run, out)
    with pytest.raises(RunFolderError, match="--overwrite"):
        export_as("coco", run, out)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"mine\.txt"):
        export_as("coco", run, out, overwrite=True)
    (out / "mine.txt").unlink()
    export_as("coco", run, out, overwrite=True)
    assert files_of(out) == {
        "export.json",
        "images/a.png",
        "images/b.png",
        "annotations/instances_default.json",
    }


@pytest.mark.parametrize("entries", ['["../images"]', '["/etc"]', '["a/b"]', "7", "[7]", "[]", '["."]'])
def test_a_mark_that_names_other_files_removes_nothing(entries: str, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text(f'{{"entries": {entries}}}')
    with pytest.raises(RunFolderError, match=r"export\.json"):
        export_as("coco", run, out, overwrite=True)
    assert (tmp_path / "images" / "a.png").is_file()


class Breaks:
    """A writer that breaks off at the second picture."""

    def __init__(self, target: Target, error: BaseException) -> None:
        self._error = error
        (target.folder / "begun.json").write_text("[")

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        if picture.id > 1:
            raise self._error
        return [found.instance.mask for _, found in picture.labels]

    def close(self) -> None: ...


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_export_that_breaks_off_leaves_nothing(error: BaseException, run: Path, tmp_path: Path) -> None:
    def begin(target: Target) -> Writer:
        return Breaks(target, error)

    out = tmp_path / "out"
    with pytest.raises((RunFolderError, KeyboardInterrupt)) as caught:
        export(Order(run, out, replace(find_format("coco"), open=begin)))
    assert not out.exists()
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value)
    export_as("coco", run, out)


def test_two_exports_to_one_folder_at_a_time_are_refused(run: Path, tmp_path: Path) -> None:
    def again(done: int, total: int) -> None:
        with pytest.raises(RunFolderError, match="another run is writing here"):
            export_as("coco", run, tmp_path / "out")

    export(Order(run, tmp_path / "out", find_format("coco")), watch=again)
    assert files_of(tmp_path / "out") == {
        "export.json",
        "images/a.png",
        "images/b.png",
        "annotations/instances_default.json",
    }


def test_what_breaks_off_leaves_the_former_export(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_as("coco", run, out)
    before = files_of(out)

    def begin(target: Target) -> Writer:
        return Breaks(target, OSError(28, "No space left on device"))

    with pytest.raises(RunFolderError, match="No space left"):
        export(Order(run, out, replace(find_format("coco"), open=begin), overwrite=True))
    assert files_of(out) == before


def test_all_of_an_export_is_on_the_disk_before_it_takes_the_place_of_the_former_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, synced = tmp_path / "out", list[tuple[set[str], set[str]]]()
    export_as("masks", run, out)
    before = files_of(out)

    def look() -> None:
        (building,) = out.glob(".exporting-*")
        new = files_of(building)
        synced.append((new, files_of(out) - {f"{building.name}/{file}" for file in new}))

    monkeypatch.setattr("os.sync", look)
    export_as("coco", run, out, overwrite=True)
    assert synced == [(files_of(out), before)]


def test_the_former_export_goes_last(run: Path, tmp_path: Path) -> None:
    out, finished = tmp_path / "out", tmp_path / "finished"
    export_as("coco", run, out)
    before = files_of(out)
    finished.mkdir()
    with pytest.raises(TypeError):
        publish(finished, out, {"an account": object()})  # it cannot be written
    assert files_of(out) == before


def test_what_a_killed_export_left_is_cleared(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".exporting-abc").mkdir(parents=True)
    export_as("coco", run, tmp_path / "out")
    assert not (tmp_path / "out" / ".exporting-abc").exists()


STEPS = 9
"""Renames that put an export as COCO (two entries and a mark) in the place of one as masks (five and one)."""


def cut_short(run: Path, out: Path, steps: int) -> None:
    """Leave what a kill leaves while a COCO export takes the place of one of masks, so many renames after."""
    export_as("masks", run, out)
    building = out / ".exporting-abc"
    export_as("coco", run, building)
    building.rename(out / READY)
    for _ in islice(moves(out), steps):
        pass


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_an_export_that_was_complete_is_put_in_its_place_by_the_next(
    steps: int, run: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    cut_short(run, out, steps)
    with pytest.raises(RunFolderError, match="holds an export already"):
        export_as("masks", run, out)
    export_as("coco", run, whole)
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
    for file in files_of(whole):
        assert (out / file).read_bytes() == (whole / file).read_bytes()
    export_as("masks", run, out, overwrite=True)
    assert "labels.json" in files_of(out)


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_who_finds_the_mark_of_an_export_finds_all_that_it_names(
    steps: int, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    cut_short(run, out, steps)
    mark = out / "export.json"
    assert mark.exists() == (steps in {0, STEPS})
    if mark.exists():
        entries = set(json.loads(mark.read_text())["entries"])
        assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == entries


def test_an_export_that_cannot_be_put_in_its_place_is_told_and_kept(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cut_short(run, out, 6)  # the former one is away
    in_the_way = out / "images" / "mine.txt"
    in_the_way.parent.mkdir()
    in_the_way.write_text("mine")
    with pytest.raises(RunFolderError, match="an export is complete there"):
        export_as("coco", run, out)
    assert in_the_way.read_text() == "mine"
    in_the_way.unlink()
    with pytest.raises(RunFolderError, match="holds an export already"):
        export_as("coco", run, out)
    assert "annotations/instances_default.json" in files_of(out)


def test_loss_is_told_by_class(run: Path, tmp_path: Path) -> None:
    class Forgets(Breaks):
        def add(self, picture: Picture) -> Sequence[Mask | None]:
            return [None if index else label.instance.mask for index, (_, label) in enumerate(picture.labels)]

    def begin(target: Target) -> Writer:
        return Forgets(target, OSError())

    account = export(Order(run, tmp_path / "out", replace(find_format("coco"), open=begin)))
    loss = account["loss"]
    assert (loss["instances"], loss["written"], loss["lost"]) == (3, 1, 2)
    assert [loss["classes"][name]["lost"] for name in NAMES] == [1, 1, 0]
    assert loss["classes"]["ghost"]["mean_iou"] is None
    assert [(row["image"], row["class"], row["iou"]) for row in loss["worst"]] == [
        ("a.png", "ring", 0.0),
        ("a.png", "pair", 0.0),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"command": "eval"}', "only runs of label"),
        ('{"command": "label"}', "lacks what a run of label holds"),
        ('{"command": "label", "settings": {"classes": [3]}}', "lacks what a run of label holds"),
        ("[]", "expected a JSON object"),
    ],
)
def test_what_is_no_labeling_run_is_refused(content: str, told: str, run: Path, tmp_path: Path) -> None:
    (run / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=told):
        export_as("coco", run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_of_a_class_that_the_run_does_not_have_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": ()}, names=("ring", "ghost"))
    with pytest.raises(RunFolderError, match="'pair', which is no class of this run"):
        export_as("coco", run, tmp_path / "out")


@pytest.mark.parametrize("options", [{"val": 1.0}, {"val": -0.1}, {"tolerance": -1.0}, {"tolerance": 1e9}])
def test_numbers_out_of_range_are_refused(options: dict[str, float], run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        export_as("coco", run, tmp_path / "out", **options)


@pytest.mark.parametrize("name", FORMATS)
def test_a_tolerance_is_for_polygons_alone(name: str, run: Path, tmp_path: Path) -> None:
    if name in {"coco-polygon", "yolo-seg"}:
        assert export_as(name, run, tmp_path / "out", tolerance=1.0)["tolerance"] == 1.0
        return
    with pytest.raises(InvalidInput, match=f"{name} has no polygons; leave out --tolerance"):
        export_as(name, run, tmp_path / "out", tolerance=1.0)


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no format 'voc'; expected one of coco, "):
        find_format("voc")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_called_what_it_is_found_by(name: str) -> None:
    found = find_format(name)
    assert found.name == name
    assert found.summary


def test_progress_counts_files(run: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    export(
        Order(run, tmp_path / "out", find_format("coco")),
        watch=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]


def test_a_folder_that_cannot_be_written_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunFolderError, match="is a file"):
        export_as("coco", run, tmp_path / "out")


def test_file_names_that_are_no_text_survive_the_system(tmp_path: Path) -> None:
    run = make_run(tmp_path, {os.fsdecode(b"caf\xe9.png"): (), "b.png": NOTHING})
    account = export_as("coco", run, tmp_path / "out")
    assert (account["pictures"], account["renamed"]) == (2, 1)
