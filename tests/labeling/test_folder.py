"""What lies in a folder, which of it is taken, and how it is read."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskpilot.errors import ImageError, InvalidInput
from maskpilot.labeling.folder import choose, digest, read, scan
from maskpilot.labeling.store import LABELS, SeenFile


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def picture(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (8, 6), colour).save(path)
    return path


def test_images_of_all_folders_are_found_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/1.png", "a.JPEG", "c/d/e.Tiff", "B.webp", "b.jfif", "b-1.bmp")
    found = scan(tmp_path)
    assert found.folder == tmp_path
    assert found.paths == ("B.webp", "a.JPEG", "b-1.bmp", "b.jfif", "b/1.png", "b/2.jpg", "c/d/e.Tiff")
    assert (found.skipped, found.problems) == ({}, ())


def test_the_rest_is_counted_by_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "notes.txt", "x/jpg", ".DS_Store", "._a.jpg", ".git/a.jpg", "__MACOSX/._a.jpg")
    found = scan(tmp_path)
    assert found.paths == ("a.jpg",)
    assert found.skipped == {"hidden": 4, "not an image by its name": 2}


def test_one_file_is_a_folder_of_one_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "photo", "other.jpg")
    assert scan(tmp_path / "photo").paths == ("photo",)
    assert scan(tmp_path / "photo").folder == tmp_path


def test_a_hidden_folder_can_be_named(tmp_path: Path) -> None:
    assert scan(touch(tmp_path / ".photos", "a.jpg")).paths == ("a.jpg",)


def test_runs_inside_the_folder_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "run/images/x.png", f"earlier/{LABELS}", "earlier/images/y.png")
    another_spelling = tmp_path / "earlier" / ".." / "run"
    found = scan(tmp_path, run=another_spelling)
    assert (found.paths, found.skipped) == (("a.jpg",), {"the folder of a run": 2})
    assert scan(tmp_path, run=tmp_path / "not there yet").paths == ("a.jpg", "run/images/x.png")


def test_a_run_around_the_folder_does_no_harm(tmp_path: Path) -> None:
    touch(tmp_path, LABELS, "images/a.jpg")
    assert scan(tmp_path / "images", run=tmp_path).paths == ("a.jpg",)


def test_images_and_run_need_folders_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", f"old/{LABELS}", "old/a.jpg")
    with pytest.raises(InvalidInput, match="is the folder of a run"):
        scan(tmp_path, run=tmp_path)
    with pytest.raises(InvalidInput, match="is the folder of a run"):
        scan(tmp_path / "old", run=tmp_path / "new")


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no images, which end in .*\.jpeg, .*\.png") as caught:
        scan(touch(tmp_path, "notes.txt", ".hidden.png"))
    assert str(caught.value).endswith("left out: 1 hidden, 1 not an image by its name")


def test_what_is_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("gone", "No such file or directory"),
        ("pipe", "neither a folder nor a regular file"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null"),
    ):
        with pytest.raises(InvalidInput, match=message):
            scan(tmp_path / name)


PATHS = tuple(f"{number:03}.jpg" for number in range(200))


def test_a_sample_keeps_order_and_repeats(tmp_path: Path) -> None:
    ten = choose(PATHS, sample=10, seed=1, limit=None)
    assert (len(ten), sorted(ten)) == (10, list(ten))
    assert ten == choose(PATHS, sample=10, seed=1, limit=None)
    assert ten != choose(PATHS, sample=10, seed=2, limit=None)
    assert ten != PATHS[:10]


def test_a_limit_takes_the_first(tmp_path: Path) -> None:
    assert choose(PATHS, sample=None, seed=0, limit=3) == PATHS[:3]
    assert choose(PATHS, sample=10, seed=1, limit=3) == choose(PATHS, sample=10, seed=1, limit=None)[:3]
    assert choose(PATHS, sample=None, seed=0, limit=None) == PATHS
    assert choose(PATHS, sample=1000, seed=0, limit=1000) == PATHS


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(0, 5),
)
def test_a_larger_sample_holds_the_smaller_one(paths: list[str], one: int, other: int, seed: int) -> None:
    few, many = (choose(paths, sample=size, seed=seed, limit=None) for size in sorted((one, other)))
    assert set(few) <= set(many)
    assert len(many) == min(max(one, other), len(paths))


@pytest.mark.parametrize("number", [0, -1])
def test_a_sample_of_none_is_refused(number: int) -> None:
    with pytest.raises(InvalidInput, match="--sample: expected a number from 1"):
        choose(PATHS, sample=number, seed=0, limit=None)
    with pytest.raises(InvalidInput, match="--limit: expected a number from 1"):
        choose(PATHS, sample=None, seed=0, limit=number)


def test_a_digest_is_of_size_time_and_content(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    os.utime(path, ns=(5, 7))
    assert digest(path) == SeenFile(3, 7, hashlib.sha256(b"abc").hexdigest())


def test_what_cannot_be_digested(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # which must not be waited for
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, message in (
        ("gone.png", "no such file"),
        ("pipe.png", "not a regular file"),
        ("loop.png", "cannot be read"),
        (".", "cannot be read"),
    ):
        with pytest.raises(ImageError, match=message):
            digest(tmp_path / name)


def test_an_image_is_read_as_it_was_seen(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    seen = digest(picture(tmp_path / "b" / "a.png"))
    loaded = read(tmp_path, "b/a.png", seen=seen)
    assert (loaded.sha256, loaded.name, loaded.image.size) == (seen.sha256, "a.png", (8, 6))


def test_an_image_that_vanishes_or_changes_is_an_error_like_any_other(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    seen = digest(path)
    assert scan(tmp_path).paths == ("a.png",)
    picture(path, "blue")
    with pytest.raises(ImageError, match=r"a\.png: has changed since it was first looked at"):
        read(tmp_path, "a.png", seen=seen)
    path.unlink()
    with pytest.raises(ImageError, match=r"a\.png: no such file"):
        read(tmp_path, "a.png", seen=seen)


def test_large_pictures_need_permission(tmp_path: Path) -> None:
    Image.new("1", (2000, 1000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="--max-megapixels"):
        read(tmp_path, "a.png", max_megapixels=1.5)
    assert read(tmp_path, "a.png", max_megapixels=2).image.size == (2000, 1000)
