"""A folder with everything in it that a folder of images should not hold."""

import io
import json
import os
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskpilot.errors import ImageError
from maskpilot.labeling.folder import digest, read, scan
from tests.labeling.export.runs import export_as
from tests.labeling.runs import failures_of, files_of, label


def photo(width: int = 12, height: int = 8) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A small file whose header claims 60,000 by 60,000 pixels."""
    claimed = bytearray(encoded(Image.new("1", (1, 1)), "PNG"))
    claimed[16:24] = (60_000).to_bytes(4, "big") * 2
    claimed[29:33] = zlib.crc32(claimed[12:29]).to_bytes(4, "big")
    return bytes(claimed)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(), "JPEG", exif=exif)


def clear() -> bytes:
    palette = photo().quantize(4)
    return encoded(palette, "PNG", transparency=0)


GOOD: dict[str, Callable[[], bytes]] = {
    "plain.png": lambda: encoded(photo(), "PNG"),
    "PLAIN.JPG": lambda: encoded(photo(), "JPEG"),
    "a png by name only.jpg": lambda: encoded(photo(), "PNG"),
    "cmyk.jpeg": lambda: encoded(photo().convert("CMYK"), "JPEG"),
    "sixteen bits.png": lambda: encoded(Image.fromarray(np.full((8, 12), 40_000, np.uint16)), "PNG"),
    "float.tiff": lambda: encoded(Image.fromarray(np.full((8, 12), 0.5, np.float32)), "TIFF"),
    "palette, clear.png": clear,
    "animated.gif": lambda: encoded(photo(), "GIF", save_all=True, append_images=[Image.new("RGB", (12, 8))]),
    "turned.jpg": turned,
    "one pixel.bmp": lambda: encoded(photo(1, 1), "BMP"),
    "грибы 🍄 é é.png": lambda: encoded(photo(), "PNG"),
    "two\nlines.png": lambda: encoded(photo(), "PNG"),
    "-rf.png": lambda: encoded(photo(), "PNG"),
    " leading.png": lambda: encoded(photo(), "PNG"),
    '"quotes" & <b>$(touch x);.png': lambda: encoded(photo(), "PNG"),
    "back\\slash.png": lambda: encoded(photo(), "PNG"),
    "\x1b[31mred.png": lambda: encoded(photo(), "PNG"),
    "bytes \udcff\udcfe.png": lambda: encoded(photo(), "PNG"),
    "n" * 250 + ".png": lambda: encoded(photo(), "PNG"),
}

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.png": (lambda: b"", "the file is empty"),
    "cut.jpg": (lambda: encoded(photo(64, 64), "JPEG")[:600], "truncated|damaged|not an image"),
    "cut.png": (lambda: encoded(photo(64, 64), "PNG")[:600], "truncated|damaged|not an image"),
    "page.png": (lambda: b"<html>404 not found</html>", "not an image"),
    "zeros.webp": (lambda: b"\0" * 500, "not an image|damaged"),
    "header.tif": (lambda: b"II*\0\xff\xff\xff\xff", "not an image|damaged"),
    "script.jpg": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
    "bomb.png": (bomb, "3600 megapixels, the limit is 64"),
}


def put(folder: Path, name: str, content: bytes) -> Path:
    """Write a file of any name; skip where the file system does not take it."""
    path = folder / name
    try:
        path.write_bytes(content)
    except (OSError, UnicodeError) as error:
        pytest.skip(f"this file system takes no such name: {error}")
    return path


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_strange_names_and_strange_images_are_found_and_read(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, GOOD[name]())
    assert scan(tmp_path).paths == (name,)
    loaded = read(tmp_path, name, seen=digest(path))
    assert loaded.image.mode == "RGB"
    assert loaded.name == name


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_found_and_each_is_one_error(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = put(tmp_path, name, content())
    assert scan(tmp_path).paths == (name,)
    assert digest(path).size == len(content())
    with pytest.raises(ImageError, match=message):
        read(tmp_path, name)


def test_a_folder_of_all_that_is_labeled_and_exported_whole(tmp_path: Path) -> None:
    images, run, out = tmp_path / "images", tmp_path / "run", tmp_path / "out"
    images.mkdir()
    for number, (name, content) in enumerate(GOOD.items()):
        put(images, name, content() + b"\0" * number)  # so that no two are the same
    for name, (content, _) in BAD.items():
        put(images, name, content())
    outcome = label(run, images)
    assert (outcome.done, outcome.failed) == (len(GOOD), len(BAD))
    assert files_of(run).keys() == GOOD.keys()
    assert failures_of(run).keys() == BAD.keys()
    account = export_as("coco", run, out)
    exported = json.loads((out / "annotations/instances_default.json").read_text())["images"]
    assert (account["pictures"], account["turned"], account["problems"]) == (len(GOOD), 1, 0)
    assert all((out / "images" / one["file_name"]).is_file() for one in exported)
    renamed = json.loads((out / "names.json").read_text())
    assert {renamed.get(one["file_name"], one["file_name"]) for one in exported} == GOOD.keys()


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    put(tmp_path, "turned.jpg", turned())
    assert read(tmp_path, "turned.jpg").image.size == (8, 12)


def test_pipes_sockets_and_dangling_links_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg", b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "pipe link.jpg").symlink_to("pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        found = scan(tmp_path)
    assert found.paths == ("a.jpg",)
    assert found.skipped == {"a link that leads nowhere": 2, "not a regular file": 4}


def test_a_folder_named_like_an_image_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    put(tmp_path / "x.jpg", "y.jpg", b"x")
    assert scan(tmp_path).paths == ("x.jpg/y.jpg",)


def test_linked_files_are_images_too(tmp_path: Path) -> None:
    images, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    images.mkdir()
    elsewhere.mkdir()
    put(elsewhere, "content", GOOD["plain.png"]())
    (images / "linked.png").symlink_to(elsewhere / "content")
    assert scan(images).paths == ("linked.png",)
    assert read(images, "linked.png").image.size == (12, 8)


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    for folder in ("a/b", "c"):
        (tmp_path / folder).mkdir(parents=True)
        put(tmp_path / folder, "x.jpg", b"x")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "a").symlink_to("../../a")
    (tmp_path / "c" / "here").symlink_to(".")
    found = scan(tmp_path)
    assert found.paths == ("a/b/x.jpg", "c/x.jpg")
    assert found.skipped == {"a folder that was scanned already": 3}


def test_a_linked_folder_is_scanned_once_under_its_own_path_where_it_has_one(tmp_path: Path) -> None:
    images, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    (images / "z").mkdir(parents=True)
    (elsewhere / "deep").mkdir(parents=True)
    put(images / "z", "own.jpg", b"x")
    put(elsewhere / "deep", "other.jpg", b"x")
    (images / "a link").symlink_to("z")
    (images / "c link").symlink_to(elsewhere)
    (images / "b link").symlink_to(elsewhere)
    found = scan(images)
    assert found.paths == ("b link/deep/other.jpg", "z/own.jpg")
    assert found.skipped == {"a folder that was scanned already": 2}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_said_and_the_rest_is_scanned(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"x")
    (tmp_path / "closed").mkdir(mode=0)
    found = scan(tmp_path)
    assert found.paths == ("a.jpg",)
    assert found.skipped == {"cannot be read": 1}
    assert found.problems == ("folder 'closed': cannot be read (Permission denied)",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_error(tmp_path: Path) -> None:
    path = put(tmp_path, "a.jpg", b"x")
    path.chmod(0)
    assert scan(tmp_path).paths == ("a.jpg",)
    for attempt in (lambda: digest(path), lambda: read(tmp_path, "a.jpg")):
        with pytest.raises(ImageError, match="Permission denied"):
            attempt()


def test_a_path_too_long_for_the_system_is_said_and_the_rest_is_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg", b"x")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):  # deeper than one path can name
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    found = scan(tmp_path)
    assert found.paths == ("a.jpg",)
    assert found.skipped == {"cannot be read": 1}
    assert found.problems[0].endswith("cannot be read (File name too long)")


def test_a_folder_of_very_many_empty_files_is_listed(tmp_path: Path) -> None:
    """Links to one file of no bytes, which are as many entries and much quicker to make."""
    (tmp_path / "many").mkdir()
    (tmp_path / "empty").touch()
    for number in range(20_000):
        os.link(tmp_path / "empty", tmp_path / "many" / f"{number:06}.jpg")
    found = scan(tmp_path)
    assert len(found.paths) == 20_000
    assert found.paths[0] == "many/000000.jpg"
    assert list(found.paths) == sorted(found.paths)
