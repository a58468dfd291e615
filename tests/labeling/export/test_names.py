"""Names of images in an export: their own where that is safe, else by content."""

import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.labeling.export.names import Names, is_plain
from maskpilot.labeling.export.pictures import Images
from maskpilot.types import ImageRef
from tests.labeling.export.runs import export_as, files_of, make_run

IMAGE = ImageRef("abcdef0123456789" + "0" * 48, ".png", "x.png", 4, 3)
BY_HASH = "abcdef0123456789.png"


@pytest.mark.parametrize(
    "source",
    [
        "a.jpg",
        "deep/er/b.PNG",
        "with space.webp",
        "漢字/é.tiff",
        "a.b.c.jpeg",
        "-x.gif",
        "Screenshot at 10.00.00\u202fAM.png",  # as macOS calls them
        "写真\u3000１.jpg",
        "می\u200cخواهم.jpg",
        "\U0001f469\u200d\U0001f467.png",
    ],
)
def test_a_plain_name_is_kept(source: str) -> None:
    assert Names().name(source, IMAGE) == source


@pytest.mark.parametrize(
    "source",
    [
        "line\nend.png",
        "bell\a.png",
        "not-text-\udcff.png",
        "\u202egnp.exe.png",
        "../up.png",
        "a/../b.png",
        "/etc/a.png",
        "a//b.png",
        "./a.png",
        "CON.png",
        "con",
        "deep/Lpt1.tar.png",
        "a\\b.png",
        "c:d.png",
        "what?.png",
        "dot./a.png",
        "space .png/",
        "no-suffix",
        "page.html",
        "x" * 300 + ".png",
    ],
)
def test_any_other_is_named_by_content(source: str) -> None:
    assert Names().name(source, IMAGE) == BY_HASH


def test_names_differ_on_every_system() -> None:
    names = Names()
    assert names.name("a.jpg", IMAGE) == "a.jpg"
    assert names.name("A.JPG", IMAGE) == BY_HASH
    assert names.name("é.jpg", IMAGE) == "é.jpg"
    assert names.name("e\u0301.jpg", IMAGE) == "abcdef0123456789-2.png"
    assert names.name("a.png", IMAGE) == "a.png"


def test_a_file_and_a_folder_never_share_a_name() -> None:
    names = Names()
    assert names.name("a.jpg", IMAGE) == "a.jpg"
    assert names.name("A.jpg/b.jpg", IMAGE) == BY_HASH
    assert names.name("c.jpg/d.jpg", IMAGE) == "c.jpg/d.jpg"
    assert names.name("C.jpg", IMAGE) == "abcdef0123456789-2.png"


def test_stems_differ_where_labels_are_named_by_them() -> None:
    names = Names(label_suffix=".json", reserved=("export.json",))
    assert names.name("a.jpg", IMAGE) == "a.jpg"
    assert names.name("a.png", IMAGE) == BY_HASH
    assert names.name("deep/a.png", IMAGE) == "deep/a.png"
    assert names.name("export.jpg", IMAGE) == "abcdef0123456789-2.png"


def test_labels_named_after_an_image_take_the_place_of_no_folder() -> None:
    names = Names(label_suffix=".txt")
    assert names.name("a.jpg", IMAGE) == "a.jpg"
    assert names.name("a.txt/b.jpg", IMAGE) == BY_HASH
    assert names.name("a/b.jpg", IMAGE) == "a/b.jpg"
    assert names.name("c.TXT/d.jpg", IMAGE) == "c.TXT/d.jpg"
    assert names.name("c.jpg", IMAGE) == "abcdef0123456789-2.png"


@given(st.lists(st.text(st.sampled_from("aA.\\/\ne\u0301é-"), max_size=6)))
def test_every_name_is_plain_and_there_once(sources: list[str]) -> None:
    names = Names(label_suffix=".png")
    given_ = [names.name(source, IMAGE) for source in sources]
    stems = [str(PurePosixPath(name).with_suffix("")).casefold() for name in given_]
    assert all(is_plain(name) for name in given_)
    assert len(set(stems)) == len(stems)


def test_names_that_changed_are_listed(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": (), "a.png": (), "CON.png": (), "new\nline.png": ()})
    account = export_as("masks", run, tmp_path / "out")
    listed = json.loads((tmp_path / "out" / "names.json").read_text())
    assert set(listed.values()) == {"a.png", "CON.png", "new\nline.png"}
    assert account["renamed"] == 3
    images = {
        name.removeprefix("images/") for name in files_of(tmp_path / "out") if name.startswith("images/")
    }
    assert images == {"a.jpg", *listed}


def test_label_files_are_named_apart_also_beside_references(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": (), "a.png": (), "CON.png": ()})
    account = export_as("masks", run, tmp_path / "out", images=Images.reference)
    rows = [json.loads(line) for line in (tmp_path / "out" / "instances.jsonl").read_text().splitlines()]
    images = str(tmp_path / "images")
    assert [row["path"] for row in rows] == [f"{images}/{name}" for name in ("CON.png", "a.jpg", "a.png")]
    assert len({row["masks"] for row in rows}) == 3
    assert "CON.png" not in {row["masks"] for row in rows}
    assert account["problems"] == 0


@pytest.mark.parametrize(
    ("form", "folder"), [("masks", "a.png"), ("labelme", "a.json"), ("yolo-seg", "a.txt")]
)
def test_a_folder_called_like_a_file_of_labels_is_no_obstacle(form: str, folder: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.jpg": (), f"{folder}/b.jpg": ()})
    account = export_as(form, run, tmp_path / "out")
    assert (account["pictures"], account["renamed"], account["problems"]) == (2, 1, 0)


def test_a_reference_keeps_every_name_that_is_text(tmp_path: Path) -> None:
    run = make_run(
        tmp_path, {"a.jpg": (), "A.jpg": (), "CON.png": (), "a\u3000b.png": (), "new\nline.png": ()}
    )
    account = export_as("coco", run, tmp_path / "out", images=Images.reference)
    names = {
        row["file_name"]
        for row in json.loads((tmp_path / "out" / "annotations/instances_default.json").read_text())["images"]
    }
    assert names == {"a.jpg", "A.jpg", "CON.png", "a\u3000b.png"}
    assert "not plain text" in account["first_problems"][0]["problem"]
