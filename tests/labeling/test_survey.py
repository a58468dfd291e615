"""A look at a folder before anything is labeled."""

from pathlib import Path

import pytest

from maskpilot.labeling.folder import scan
from maskpilot.labeling.survey import Survey, survey
from tests.labeling.runs import label, photos, picture


def looked(images: Path, run: Path, *, retry_failed: bool = False) -> Survey:
    return survey(images, scan(images, run=run).paths, run, retry_failed=retry_failed)


def test_what_is_labeled_or_failed_is_not_left(tmp_path: Path) -> None:
    images, run = photos(tmp_path / "photos", 4), tmp_path / "run"
    (images / "bad.jpg").touch()
    label(run, images)
    for number in (10, 11):
        picture(images / f"{number}.png", number)
    found = looked(images, run)
    assert (found.files, found.labeled, found.failed, found.left) == (7, 4, 1, 2)
    assert (found.checked, found.unreadable, found.size) == (2, {}, (80, 60))
    again = looked(images, run, retry_failed=True)
    assert (again.failed, again.left) == (0, 3)
    assert list(again.unreadable) == ["bad.jpg"]


def test_a_changed_file_is_left(tmp_path: Path) -> None:
    images, run = photos(tmp_path / "photos", 2), tmp_path / "run"
    label(run, images)
    picture(images / "00.png", 200)
    assert looked(images, run).left == 1


def test_duplicates_are_found_as_far_as_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photos(tmp_path / "photos", 1)
    for number in range(5):
        picture(images / f"copy{number}.png", 0)
    whole = looked(images, tmp_path / "run")
    assert (whole.duplicates, whole.all_compared) == (5, True)
    monkeypatch.setattr("maskpilot.labeling.survey.HASHED", 3)
    part = looked(images, tmp_path / "run")
    assert (part.duplicates, part.all_compared) == (2, False)


def test_a_file_that_vanished_does_not_stop_it(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 2)
    paths = scan(images).paths
    (images / "00.png").unlink()
    found = survey(images, paths, tmp_path / "run")
    assert found.left == 2
    assert list(found.unreadable) == ["00.png"]
