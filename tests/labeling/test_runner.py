"""The run: every image once, whatever happens on the way."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.errors import InvalidInput, PolicyError, RunFolderError, SegmenterError
from maskpilot.labeling.plan import Ended
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.survey import survey
from maskpilot.labeling.types import LabelClass
from maskpilot.runfolder import RUN, locked
from maskpilot.segmenters.scripted import FakeSegmenter, FakeSession
from maskpilot.types import Detections, PromptState, Usage
from tests.labeling.runs import (
    CUP,
    PLATE,
    Model,
    Told,
    failures_of,
    files_of,
    label,
    labels_of,
    photos,
    picture,
)
from tests.shapes import table


@pytest.fixture
def _ctrl_c_counts() -> Iterator[None]:
    """As in a terminal, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stop_after(done: int) -> Callable[[Standing], None]:
    def stop(standing: Standing) -> None:
        if standing.done == done:
            signal.raise_signal(signal.SIGINT)

    return stop


def test_every_image_is_labeled_with_every_class(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 7)
    outcome = label(tmp_path / "run", images, watch=(told := Told()))
    assert (outcome.ended, outcome.total, outcome.done, outcome.failed) == (Ended.complete, 7, 7, 0)
    assert set(files_of(tmp_path / "run")) == {
        str(path.relative_to(images)) for path in images.rglob("*.png")
    }
    for one in labels_of(tmp_path / "run"):
        assert [(of.name, len(of.labels)) for of in one.classes] == [("cup", 1), ("plate", 1)]
    assert [one.instances for one in outcome.summary.classes] == [7, 7]
    last = told.standings[-1]
    assert (last.done, last.left, last.instances, last.rounds, last.fresh) == (7, 0, 14, 28, 7)


def test_many_workers_give_the_same_as_one(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 12)
    label(tmp_path / "alone", images, workers=1)
    label(tmp_path / "crowd", images, workers=6)
    assert labels_of(tmp_path / "alone") == labels_of(tmp_path / "crowd")


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_interrupted_and_continued_it_equals_an_undisturbed_run(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 12)
    model, calm = Model(), Model()
    told = Told(stop_after(3))
    part = label(tmp_path / "run", images, model.pilot, workers=2, watch=told)
    assert part.ended is Ended.interrupted
    assert 3 <= part.done < 12
    assert told.notes[-1] == "stopped; the same command goes on"
    whole = label(tmp_path / "run", images, model.pilot, workers=3, watch=(told := Told()))
    assert (whole.ended, whole.done) == (Ended.complete, 12)
    assert told.standings[0].done == part.done
    label(tmp_path / "calm", images, calm.pilot)
    assert labels_of(tmp_path / "run") == labels_of(tmp_path / "calm")
    assert sorted(model.asked) == sorted(calm.asked)
    assert (whole.summary.usage.calls, whole.summary.usage.tokens) == (48, 5280)
    assert whole.summary.usage.cost == pytest.approx(0.48)


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_a_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    def stop(standing: Standing) -> None:
        if standing.done:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / "run", photos(tmp_path / "photos", 12), workers=3, watch=Told(stop))


def test_a_complete_run_is_left_alone(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 4), Model()
    first = label(tmp_path / "run", images, model.pilot)
    model.asked.clear()
    for path in images.rglob("*.png"):
        size, mtime = path.stat().st_size, path.stat().st_mtime_ns
        path.write_bytes(b"\0" * size)  # whoever reads it now would find no image
        os.utime(path, ns=(mtime, mtime))
    again = label(tmp_path / "run", images, model.pilot)
    assert model.asked == []
    assert again.summary == first.summary
    assert (again.ended, again.done) == (Ended.complete, 4)


def test_paid_rounds_are_not_paid_twice(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)

    def trouble(grey: int, query: str, number: int) -> None:
        if down and (grey, query, number) == (1, "the plate", 1):
            raise PolicyError("the endpoint is gone", usage=Usage(calls=1, cost=0.5))

    down, model = True, Model(trouble)
    part = label(tmp_path / "run", images, model.pilot)
    assert (part.done, part.failed) == (1, 1)
    assert part.summary.usage.cost == pytest.approx(0.57)  # with the request that failed
    assert failures_of(tmp_path / "run") == {"more/01.png": ("PolicyError", "the endpoint is gone")}
    down = False
    model.asked.clear()
    assert label(tmp_path / "run", images, model.pilot).failed == 1
    assert model.asked == []
    whole = label(tmp_path / "run", images, model.pilot, retry_failed=True)
    assert model.asked == [(1, "the plate", 1)]
    assert (whole.done, whole.failed) == (2, 0)
    assert whole.summary.usage.cost == pytest.approx(0.58)
    assert not any((tmp_path / "run" / "sessions").iterdir())


def test_sessions_are_kept_when_asked(tmp_path: Path) -> None:
    label(tmp_path / "run", photos(tmp_path / "photos", 2), Model().pilot, keep_sessions=True)
    assert len(list((tmp_path / "run" / "sessions").glob("*/*.jsonl"))) == 4


def test_changed_settings_are_refused_and_shown(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 3)
    label(tmp_path / "run", images)
    other = (CUP, LabelClass("plate", "every plate", ("not saucers",)))
    with pytest.raises(RunFolderError, match=r"classes\.2\.query: was the plate, now every plate"):
        label(tmp_path / "run", images, classes=other)
    with pytest.raises(RunFolderError, match=r"policy\.name: was one_shot, now paid"):
        label(tmp_path / "run", images, Model().pilot)
    with pytest.raises(RunFolderError, match="images: was "):
        label(tmp_path / "run", photos(tmp_path / "others", 3))
    # What does not change results may change.
    assert label(tmp_path / "run", images, workers=1, limit=2, seed=7, patience=1.0).done == 2


def test_a_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 3)
    label(tmp_path / "run", images)
    (tmp_path / "run" / "labels.sqlite-wal").write_bytes(b"left behind")
    outcome = label(tmp_path / "run", images, classes=(PLATE,), overwrite=True)
    assert [one.name for one in outcome.summary.classes] == ["plate"]
    assert len(labels_of(tmp_path / "run")[0].classes) == 1


def test_a_run_of_another_command_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RUN).write_text(json.dumps({"command": "eval", "settings": {}}))
    with pytest.raises(RunFolderError, match="holds a run of 'eval'"):
        label(tmp_path / "run", photos(tmp_path / "photos", 1))


def test_a_bad_image_is_one_row(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 4)
    (images / "bad.jpg").write_bytes(b"no image")
    outcome = label(tmp_path / "run", images, watch=(told := Told()))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 4, 1)
    cause, error = failures_of(tmp_path / "run")["bad.jpg"]
    assert cause == "ImageError"
    assert "not an image" in error
    assert [note for note in told.notes if note.startswith("failed: bad.jpg: ")]
    # It is told once, and tried again when its content is another one.
    again = label(tmp_path / "run", images, watch=(told := Told()))
    assert (again.failed, told.notes) == (1, [])
    assert told.standings[0].failed == 1
    picture(images / "bad.jpg", 77)
    mended = label(tmp_path / "run", images)
    assert (mended.done, mended.failed) == (5, 0)
    assert failures_of(tmp_path / "run") == {}


def test_a_file_whose_content_changed_is_labeled_anew(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 2), Model()
    label(tmp_path / "run", images, model.pilot)
    model.asked.clear()
    picture(images / "00.png", 99)
    outcome = label(tmp_path / "run", images, model.pilot)
    assert {grey for grey, _, _ in model.asked} == {99}
    assert (outcome.done, outcome.summary.images) == (2, 3)


@pytest.mark.parametrize("year", [1601, 2400])
def test_a_file_of_an_impossible_time_is_labeled_like_any_other(tmp_path: Path, year: int) -> None:
    images, run, seconds = photos(tmp_path / "images", 2), tmp_path / "run", (year - 1970) * 31_556_952
    try:
        os.utime(images / "00.png", (seconds, seconds))
    except OverflowError:
        pytest.skip("this system knows no such time")
    assert label(run, images).done == 2
    found = survey(images, ("00.png", "more/01.png"), run)
    assert (found.labeled, found.left) == (2, 0)


def test_files_that_are_gone_or_have_another_name_are_forgotten_but_not_their_labels(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 4), Model()
    (images / "bad.jpg").touch()
    (images / "worse.jpg").write_bytes(b"no image")
    label(tmp_path / "run", images, model.pilot)
    model.asked.clear()
    (images / "bad.jpg").unlink()
    (images / "00.png").rename(images / "first.png")
    (images / "02.png").unlink()
    assert label(tmp_path / "run", images / "03.png", model.pilot).done == 1  # looks at one file alone
    again = label(tmp_path / "run", images, model.pilot)
    assert (again.total, again.done, again.failed, again.summary.failed) == (4, 3, 1, 1)
    assert set(files_of(tmp_path / "run")) == {"first.png", "03.png", "more/01.png"}
    assert set(failures_of(tmp_path / "run")) == {"worse.jpg"}
    picture(images / "02.png", 2)
    assert label(tmp_path / "run", images, model.pilot).done == 4
    assert model.asked == []


def test_files_with_the_same_content_are_labeled_once(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 3), Model()
    for number in range(6):
        picture(images / "copies" / f"{number}.png", 0)
    outcome = label(tmp_path / "run", images, model.pilot, workers=6)
    assert (outcome.done, outcome.summary.images) == (9, 3)
    assert len(model.asked) == len(set(model.asked)) == 12
    files = files_of(tmp_path / "run")
    assert len(files) == 9
    assert len({files[f"copies/{number}.png"] for number in range(6)} | {files["00.png"]}) == 1


def test_files_with_the_same_content_fail_together(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        if grey == 0:
            raise PolicyError("no")

    images, model = photos(tmp_path / "photos", 2), Model(trouble)
    for number in range(3):
        picture(images / "copies" / f"{number}.png", 0)
    outcome = label(tmp_path / "run", images, model.pilot, workers=3)
    assert (outcome.done, outcome.failed) == (1, 4)
    assert set(failures_of(tmp_path / "run")) == {"00.png", *(f"copies/{number}.png" for number in range(3))}
    model.trouble = lambda grey, query, number: None
    whole = label(tmp_path / "run", images, model.pilot, retry_failed=True)
    assert (whole.done, whole.failed, whole.summary.failed) == (5, 0, 0)


def test_the_reason_of_a_failure_is_said_without_another_file_s_name(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 1)
    for name in ("a.jpg", "b.jpg"):
        (images / name).touch()
    label(tmp_path / "run", images, watch=(told := Told()))
    assert told.notes == [f"failed: {name}: the file is empty (0 bytes)" for name in ("a.jpg", "b.jpg")]
    assert set(failures_of(tmp_path / "run").values()) == {("ImageError", "the file is empty (0 bytes)")}


def test_what_a_failure_cost_counts_once_for_all_files_of_its_content(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        if grey == 0:
            raise PolicyError("no", usage=Usage(calls=1, cost=0.5))

    images = photos(tmp_path / "photos", 20)  # more than is read ahead
    picture(images / "z.png", 0)
    outcome = label(tmp_path / "run", images, Model(trouble).pilot, classes=(CUP,), workers=1)
    assert (outcome.done, outcome.failed) == (19, 2)
    assert outcome.summary.usage.cost == pytest.approx(0.5 + 19 * 0.02)


def test_a_decision_that_the_segmenter_could_not_carry_out_is_in_the_books(tmp_path: Path) -> None:
    class Broken(FakeSession):
        def segment(self, prompts: PromptState) -> Detections:
            raise SegmenterError("the device is gone")

    class Down(FakeSegmenter):
        def open(self, image: Image.Image) -> FakeSession:
            return Broken(self, image.size)

    images, model = photos(tmp_path / "photos", 2), Model()
    told = Told()
    outcome = label(tmp_path / "run", images, model.pilot, segmenter=Down([]), watch=told)
    assert outcome.failed == len(model.asked) == 2
    assert outcome.summary.usage.cost == pytest.approx(0.02)
    assert told.standings[-1].cost == pytest.approx(0.02)


def test_what_a_stopped_image_cost_in_vain_is_in_the_books(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        raise EndpointError("away", status=503, usage=Usage(calls=1, cost=0.5))

    images, model = photos(tmp_path / "photos", 1), Model(trouble)
    for parts in (1, 2):
        outcome = label(tmp_path / "run", images, model.pilot, patience=0.0)
        assert (outcome.ended, outcome.done, outcome.failed) == (Ended.unreachable, 0, 0)
        assert outcome.summary.usage.cost == pytest.approx(0.5 * parts)


def test_a_403_is_about_one_image_only_where_the_key_was_let_in_before(tmp_path: Path) -> None:
    def flagged(at: int) -> Model:
        def trouble(grey: int, query: str, number: int) -> None:
            if grey == at:
                raise EndpointError("your input was flagged", status=403)

        return Model(trouble)

    images = photos(tmp_path / "photos", 4)
    outcome = label(tmp_path / "run", images, flagged(2).pilot, workers=1)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 3, 1)
    with pytest.raises(EndpointError, match="flagged"):
        label(tmp_path / "other", images, flagged(0).pilot, workers=1)


def test_limit_and_sample_choose_and_the_rest_can_follow(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 9), Model()
    few = label(tmp_path / "run", images, model.pilot, limit=2)
    assert (few.total, few.left_out) == (2, {"not chosen by --sample or --limit": 7})
    assert set(files_of(tmp_path / "run")) == {"00.png", "02.png"}
    label(tmp_path / "run", images, model.pilot, sample=4, seed=3)
    drawn = set(files_of(tmp_path / "run"))
    assert 4 <= len(drawn) <= 6
    whole = label(tmp_path / "run", images, model.pilot)
    assert (whole.total, whole.done) == (9, 9)
    assert len(model.asked) == len(set(model.asked)) == 36


def coco(path: Path, *names: str) -> Path:
    """A COCO file in which each image has one cup where the segmenter finds none, and a plate."""
    box = [60, 5, 70, 15]
    square = [box[0], box[1], box[2], box[1], box[2], box[3], box[0], box[3]]
    annotation = {"bbox": [box[0], box[1], 10, 10], "area": 100, "iscrowd": 0, "segmentation": [square]}
    path.write_text(
        json.dumps(
            {
                "images": [
                    {"id": number, "file_name": name, "width": 80, "height": 60}
                    for number, name in enumerate(names)
                ],
                "categories": [{"id": 1, "name": "cup"}],
                "annotations": [
                    {"id": number, "image_id": number, "category_id": 1, **annotation}
                    for number, _ in enumerate(names)
                ],
            }
        )
    )
    return path


def test_what_is_labeled_elsewhere_can_be_left_out(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 4), Model()
    listed = coco(tmp_path / "old.json", "00.png", "more/01.png")
    outcome = label(tmp_path / "run", images, model.pilot, skip_labeled=listed)
    assert {grey for grey, _, _ in model.asked} == {2, 3}
    assert outcome.left_out == {"labeled before": 2}
    elsewhere = coco(tmp_path / "elsewhere.json", "nowhere.png")
    assert label(tmp_path / "run", images, model.pilot, skip_labeled=elsewhere).left_out == {
        "labeled before": 0
    }


def test_existing_masks_can_be_the_start(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)
    listed = coco(tmp_path / "old.json", "00.png")
    told = Told()
    label(tmp_path / "run", images, start_from=listed, watch=told)
    assert told.notes == ["1 image of the folder with labels to begin with"]
    cups = {one.image.name: len(one.classes[0].labels) for one in labels_of(tmp_path / "run")}
    assert cups == {"00.png": 2, "01.png": 1}
    with pytest.raises(RunFolderError, match="start_from: was "):
        label(tmp_path / "run", images)
    with pytest.raises(InvalidInput, match="has none of the run's classes"):
        label(tmp_path / "other", images, classes=(LabelClass("spoon"),), start_from=listed)


def test_a_run_stops_at_its_cost_and_goes_on_with_more(tmp_path: Path) -> None:
    images, model = photos(tmp_path / "photos", 5), Model()
    told = Told()
    part = label(tmp_path / "run", images, model.pilot, workers=1, max_cost=0.05, watch=told)
    assert part.ended is Ended.max_cost
    assert len(model.asked) == 5
    assert part.summary.usage.cost == pytest.approx(0.05)  # the session that was cut short is in the books
    assert "--max-cost is reached" in told.notes[-1]
    whole = label(tmp_path / "run", images, model.pilot, max_cost=10.0)
    assert whole.ended is Ended.complete
    assert len(model.asked) == len(set(model.asked)) == 20


def test_it_stops_when_everything_fails(tmp_path: Path) -> None:
    class Down(FakeSegmenter):
        def open(self, image: Image.Image) -> FakeSession:
            raise SegmenterError("the device is gone")

    images = photos(tmp_path / "photos", 40)
    outcome = label(tmp_path / "run", images, segmenter=Down([]), workers=2, watch=(told := Told()))
    assert outcome.ended is Ended.only_failures
    assert outcome.failed < 40
    assert "--retry-failed" in told.notes[-1]


def test_bad_files_alone_do_not_stop_it(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 1)
    for number in range(40):
        (images / f"empty{number:02d}.jpg").touch()
    picture(images / "last.png", 50)
    outcome = label(tmp_path / "run", images)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 2, 40)


def test_a_disk_that_refuses_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, model = photos(tmp_path / "photos", 5), Model()

    def full(self: Store, labels: object) -> bool:
        raise RunFolderError("the disk is full; make room")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", full)
        with pytest.raises(RunFolderError, match="the disk is full"):
            label(tmp_path / "run", images, model.pilot)
    assert failures_of(tmp_path / "run") == {}
    assert label(tmp_path / "run", images, model.pilot).done == 5
    assert len(model.asked) == len(set(model.asked)) == 20


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)
    with locked(tmp_path / "run"), pytest.raises(RunFolderError, match="another run is writing"):
        label(tmp_path / "run", images)
    assert label(tmp_path / "run", images).done == 2


def test_a_run_folder_among_the_images_is_not_labeled(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)
    label(images / "run", images)
    picture(images / "run" / "overlay.png", 5)
    assert label(images / "run", images).total == 2


def test_a_single_image_is_a_folder_of_one(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)
    assert label(tmp_path / "run", images / "00.png").total == 1
    assert set(files_of(tmp_path / "run")) == {"00.png"}
    assert label(tmp_path / "run", images).done == 2


def test_a_file_that_vanishes_is_a_failure_until_it_is_back(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 3)

    class Sweeper(FakeSegmenter):
        def open(self, image: Image.Image) -> FakeSession:
            (images / "later.png").unlink(missing_ok=True)
            return super().open(image)

    for number in range(20):  # more than is read ahead
        picture(images / f"a{number:02d}.png", 100 + number)
    picture(images / "later.png", 90)
    gone = label(tmp_path / "run", images, segmenter=Sweeper(table().objects), workers=1)
    assert (gone.done, gone.failed) == (23, 1)
    cause, error = failures_of(tmp_path / "run")["later.png"]
    assert cause == "ImageError"
    assert "no such file" in error
    picture(images / "later.png", 90)
    assert label(tmp_path / "run", images, segmenter=Sweeper(table().objects)).failed == 0


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 1)
    for name, value in (
        *(("sample", 0), ("limit", 0), ("workers", 0)),
        *(("max_cost", 0.0), ("max_megapixels", -1.0), ("patience", -1.0)),
    ):
        with pytest.raises(InvalidInput, match=name):
            label(tmp_path / "run", images, **dict[str, Any]({name: value}))
    assert not (tmp_path / "run" / LABELS).exists()
