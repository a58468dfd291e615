"""Image files of every kind that a folder may hold."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskpilot import masks
from maskpilot.errors import ImageError
from maskpilot.images import from_picture, load_image, load_truth


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def half_red(width: int = 40, height: int = 20) -> Image.Image:
    """Left half red, right half black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    return Image.fromarray(pixels)


def test_a_plain_file_gives_its_pixels_and_its_own_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path / "red.png", half_red())
    loaded = load_image(path)
    assert np.array_equal(np.asarray(loaded.image), np.asarray(half_red()))
    assert (loaded.source, loaded.suffix, loaded.notes) == (path.read_bytes(), ".png", ())
    assert len(loaded.sha256) == 64


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    loaded = load_image(saved(tmp_path / f"red.{suffix}", half_red()))
    assert (loaded.image.mode, loaded.image.size) == ("RGB", (40, 20))
    assert loaded.suffix == f".{suffix}"


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise for display
    loaded = load_image(saved(tmp_path / "turned.jpg", half_red(), exif=exif, quality=95))
    assert loaded.image.size == (20, 40)
    assert np.asarray(loaded.image)[5, 10, 0] > 200  # what was left is now on top
    assert np.asarray(loaded.image)[35, 10, 0] < 60


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_is_no_damage_to_the_picture(tmp_path: Path, suffix: str) -> None:
    loaded = load_image(saved(tmp_path / f"photo.{suffix}", half_red(), exif=b"no EXIF at all"))
    assert loaded.image.size == (40, 20)
    assert np.asarray(loaded.image)[10, 5, 0] > 200


def test_sixteen_bit_grey_is_scaled_and_said(tmp_path: Path) -> None:
    grey = np.array([[0, 257 * 100, 65535]], np.uint16)
    loaded = load_image(saved(tmp_path / "deep.png", Image.fromarray(grey)))
    assert np.asarray(loaded.image)[0, :, 0].tolist() == [0, 100, 255]
    assert "16-bit" in loaded.notes[0]


def test_floating_point_data_is_scaled_and_said(tmp_path: Path) -> None:
    values = np.array([[-1.0, 0.0, 1.0, np.nan]], np.float32)
    loaded = load_image(saved(tmp_path / "float.tif", Image.fromarray(values)))
    assert np.asarray(loaded.image)[0, :, 0].tolist() == [0, 128, 255, 128]
    assert "F-mode" in loaded.notes[0]


def test_infinite_depth_is_no_part_of_the_range(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0, 2.0, np.inf, -np.inf]], np.float32)
    loaded = load_image(saved(tmp_path / "depth.tif", Image.fromarray(values)))
    assert np.asarray(loaded.image)[0, :, 0].tolist() == [0, 128, 255, 255, 0]
    nothing = np.full((2, 2), np.nan, np.float32)
    assert not np.asarray(load_image(saved(tmp_path / "no.tif", Image.fromarray(nothing))).image).any()


def test_one_value_everywhere_is_no_division_by_zero(tmp_path: Path) -> None:
    loaded = load_image(saved(tmp_path / "flat.tif", Image.fromarray(np.full((2, 2), 7, np.float32))))
    assert not np.asarray(loaded.image).any()


def test_cmyk_is_converted(tmp_path: Path) -> None:
    loaded = load_image(saved(tmp_path / "print.jpg", half_red().convert("CMYK"), quality=95))
    assert loaded.image.mode == "RGB"
    assert np.asarray(loaded.image)[10, 5, 0] > 200


def test_transparency_is_laid_on_white_and_said(tmp_path: Path) -> None:
    clear = half_red().convert("RGBA")
    clear.putalpha(0)
    palette = half_red().quantize(4)
    for name, picture, options in (
        ("clear.png", clear, {}),
        ("palette.png", palette, {"transparency": palette.getpixel((0, 0))}),
    ):
        loaded = load_image(saved(tmp_path / name, picture, **options))
        assert np.asarray(loaded.image)[10, 5].tolist() == [255, 255, 255]
        assert loaded.notes == ("transparency laid on white",)


def test_of_an_animation_the_first_frame_is_taken_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    loaded = load_image(saved(tmp_path / "film.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert np.asarray(loaded.image)[4, 4, 0] > 200
    assert "first of 3 frames" in loaded.notes[0]


def test_a_phone_s_jpeg_with_a_second_picture_inside_is_kept_as_a_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "phone.jpg", half_red(), format="MPO", save_all=True, append_images=[half_red()])
    loaded = load_image(path)
    assert (loaded.suffix, loaded.notes) == (".jpg", ("first of 2 frames",))


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    assert load_image(saved(tmp_path / "dot.png", Image.new("RGB", (1, 1)))).image.size == (1, 1)


def test_a_picture_of_a_hundred_megapixels_needs_permission(tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (10_000, 10_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageError, match=r"100 megapixels, the limit is 64.*--max-megapixels"):
        load_image(path)
    assert load_image(path, max_megapixels=101).image.size == (10_000, 10_000)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".webp", ".gif"])
def test_pillow_refuses_nothing_that_was_allowed(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow raises above twice its limit, which here is that of a program that thinks little of files."""
    path = saved(tmp_path / f"large{suffix}", half_red())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(path).image.size == (40, 20)
    assert load_truth(saved(tmp_path / "truth.tif", half_red()), (40, 20))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_file_of_more_bytes_than_a_picture_takes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    path.touch()
    os.truncate(path, 3_000_000_000)  # it takes no room
    with pytest.raises(ImageError, match=r"3\.0 GB, more than .* 64 megapixels takes.*--max-megapixels"):
        load_image(path)


def test_masks_of_another_size_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "truth.png"
    for content in (claims_to_be_huge(), icon(claims_to_be_huge())):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="is 60000x60000 px, the image is 3x2"):
            load_truth(path, (3, 2))


def test_a_limit_that_is_no_number_allows_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the limit is nan"):
        load_image(saved(tmp_path / "red.png", half_red()), max_megapixels=float("nan"))


def claims_to_be_huge() -> bytes:
    """A PNG with a header of 3600 megapixels and the data of one pixel."""
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    claimed = bytearray(buffer.getvalue())
    claimed[16:24] = (60_000).to_bytes(4, "big") * 2
    claimed[29:33] = zlib.crc32(claimed[12:29]).to_bytes(4, "big")
    return bytes(claimed)


def icon(picture: bytes) -> bytes:
    """An icon that says that it is 16 pixels wide and high, with a picture that may say otherwise."""
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


def test_a_header_that_claims_even_more_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(claims_to_be_huge())
    with pytest.raises(ImageError, match="3600 megapixels, the limit is 64"):
        load_image(path)


HUGE_BITMAP = struct.pack("<IiiHHIIiiII", 40, 60_000, 2 * 60_000, 1, 32, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("picture", [claims_to_be_huge(), HUGE_BITMAP], ids=["png", "bitmap"])
def test_an_icon_is_as_large_as_the_picture_in_it(picture: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.ico"
    path.write_bytes(icon(picture))
    with pytest.raises(ImageError, match="3600 megapixels, the limit is 64"):
        load_image(path)


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_icons_are_read_as_before(kind: str, tmp_path: Path) -> None:
    loaded = load_image(saved(tmp_path / "red.ico", half_red(32, 32), bitmap_format=kind, sizes=[(32, 32)]))
    assert (loaded.suffix, loaded.image.size) == (".ico", (32, 32))
    assert np.array_equal(np.asarray(loaded.image), np.asarray(half_red(32, 32)))


@pytest.mark.parametrize("picture", [b"", b"\x89PNG\r\n\x1a\n", b"(\0\0\0"])
def test_an_icon_without_a_picture_is_damaged(picture: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.ico"
    path.write_bytes(icon(picture))
    with pytest.raises(ImageError, match=r"damaged|not an image"):
        load_image(path)


def test_pillows_own_limit_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    load_image(saved(tmp_path / "red.png", half_red()), max_megapixels=500)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"<html>not found</html>", "not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "damaged|not an image"),
        (os.urandom(1000), "not an image|damaged"),
    ],
)
def test_what_is_not_an_image_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "strange.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        load_image(path)
    assert "strange.png" in str(caught.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = saved(tmp_path / f"cut.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"truncated|damaged|not an image"):
        load_image(path)


def test_a_folder_a_missing_file_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in ((".", "is a folder"), ("gone.png", "no such file"), ("pipe", "not a regular file")):
        with pytest.raises(ImageError, match=message):
            load_image(tmp_path / name)


def test_a_name_that_the_system_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="File name too long"):
        load_image(tmp_path / ("x" * 300))


GREY = np.array([[0, 1, 1], [0, 255, 0]], np.uint8)


@pytest.mark.parametrize(
    ("picture", "count"),
    [
        (Image.fromarray(GREY), 2),
        (Image.fromarray(GREY.astype(np.uint16) * 257), 2),
        (Image.fromarray(GREY > 0), 1),
        (Image.fromarray(np.dstack([GREY, GREY * 0, GREY])), 2),
        (Image.fromarray(GREY * 0), 0),
    ],
    ids=["grey", "16-bit", "1-bit", "colour", "black"],
)
def test_every_value_but_zero_is_one_true_mask(tmp_path: Path, picture: Image.Image, count: int) -> None:
    found = load_truth(saved(tmp_path / "truth.png", picture), (3, 2))
    pixels = [masks.decode(mask).tolist() for mask in found]
    both = [[[False, True, True], [False, False, False]], [[False, False, False], [False, True, False]]]
    one = [[[False, True, True], [False, True, False]]]
    assert pixels == {0: [], 1: one, 2: both}[count]


def test_numbers_in_a_palette_are_values_whatever_their_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY.clip(0, 2), "P")
    picture.putpalette([9, 9, 9] * 3)
    assert len(load_truth(saved(tmp_path / "truth.png", picture), (3, 2))) == 2


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_numbers_above_255_stay_apart(mode: str, tmp_path: Path) -> None:
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}
    values = np.array([[0, 300, 400], [256, 300, 0]], kinds[mode])
    picture = Image.frombytes(mode, (3, 2), values.tobytes())
    found = load_truth(saved(tmp_path / "truth.tif", picture), (3, 2))
    assert [masks.area(mask) for mask in found] == [1, 2, 1]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_background_whatever_its_colour(mode: str, tmp_path: Path) -> None:
    picture = Image.new(mode, (3, 2), "white")
    alpha = Image.fromarray(np.array([[0, 255, 255], [0, 1, 0]], np.uint8))
    picture.putalpha(alpha)
    found = load_truth(saved(tmp_path / "truth.png", picture), (3, 2))
    assert [masks.area(mask) for mask in found] == [3]


@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_value_that_the_file_calls_transparent_is_background(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 1], [3, 3, 2]], np.uint8), mode)
    if mode == "P":
        picture.putpalette([9, 9, 9] * 4)
    found = load_truth(saved(tmp_path / "truth.png", picture, transparency=3), (3, 2))
    assert [masks.area(mask) for mask in found] == [2, 1]


def test_what_is_no_image_of_masks_is_refused(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for name, size, message in (
        ("photo.png", (64, 64), r"photo.png: is a picture of \d+ values"),
        ("blurred.jpg", (64, 64), "a JPEG, which blurs values"),
        ("small.png", (65, 64), "is 64x64 px, the image is 65x64"),
    ):
        with pytest.raises(ImageError, match=message):
            load_truth(saved(tmp_path / name, noise), size)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError, match="cannot be read as an image of masks"):
        load_truth(tmp_path / "text.png", (3, 2))


def test_formats_that_need_other_programs_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "page.eps", half_red())
    with pytest.raises(ImageError, match="known format"):
        load_image(path)


def test_a_picture_in_memory_is_kept_as_a_png() -> None:
    wrapped = from_picture(half_red(), "demo")
    assert wrapped.suffix == ".png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(wrapped.source))), np.asarray(half_red()))
