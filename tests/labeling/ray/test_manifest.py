"""Lists of images in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from maskpilot.errors import InvalidInput
from maskpilot.labeling.ray.manifest import read_manifest, relative

pytestmark = pytest.mark.ray


def written(file: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), file)
    return file


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.png", "a.png"),
        ("./sub//a.png", "sub/a.png"),
        ("/data/sub/a.png", "sub/a.png"),
        ("file:///data/a%20b.png", "a b.png"),
        (b"not-text-\xff.png", "not-text-\udcff.png"),
        ("/elsewhere/a.png", None),
        ("../a.png", None),
        ("/data/../etc/passwd", None),
        ("file:///etc/passwd", None),
        ("s3://bucket/a.png", None),
        ("https://example.org/a.png", None),
        ("nul\0.png", None),
        (".", None),
    ],
)
def test_no_path_leads_out_of_the_folder(value: Any, expected: str | None) -> None:
    assert relative(value, "/data") == expected


def test_paths_come_in_their_order_once(tmp_path: Path) -> None:
    file = written(tmp_path / "list.parquet", uri=["b.png", "a.png", "b.png", "", None, "s3://x/a.png"])
    manifest = read_manifest(file, tmp_path)
    assert manifest.found.paths == ("b.png", "a.png")
    assert manifest.found.skipped == {"listed twice": 1, "no path": 2, "outside the folder of images": 1}
    assert not manifest.has_bytes


def test_a_folder_of_files_is_one_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    written(folder / "1.parquet", path=["a.png"])
    written(folder / "2.parquet", path=["b.png"])
    assert read_manifest(folder, tmp_path).found.paths == ("a.png", "b.png")


def test_what_is_no_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has the columns name; expected one of path or uri"):
        read_manifest(written(tmp_path / "a.parquet", name=["a.png"]), tmp_path)
    with pytest.raises(InvalidInput, match=r"lists no image within .*; left out: 1 outside"):
        read_manifest(written(tmp_path / "b.parquet", path=["../a.png"]), tmp_path)
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InvalidInput, match=r"c\.parquet: cannot be read as Parquet"):
        read_manifest(tmp_path / "c.parquet", tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        read_manifest(tmp_path / "missing.parquet", tmp_path)


def test_content_that_comes_along_comes_once(tmp_path: Path) -> None:
    file = written(tmp_path / "list.parquet", path=["a.png", "a.png"], bytes=[b"1", b"2"])
    with pytest.raises(InvalidInput, match="lists 1 paths twice"):
        read_manifest(file, tmp_path)
