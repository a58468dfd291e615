"""Parquet tables, read back with pyarrow."""

import sys
from pathlib import Path

import pytest

from maskpilot.errors import InvalidInput
from maskpilot.types import Mask
from tests.labeling.export.runs import NOTHING, export_as, files_of, make_run
from tests.labeling.export.written import picture, written
from tests.labeling.samples import class_labels, drawn_mask, image_labels, label

parquet = pytest.importorskip("pyarrow.parquet")


def test_rows_hold_the_masks(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": (), "b.png": NOTHING})
    account = export_as("parquet", run, tmp_path / "out", val=0.5)
    rows = parquet.read_table(tmp_path / "out" / "instances.parquet").to_pylist()
    found = [Mask(row["size"][1], row["size"][0], row["counts"]) for row in rows]
    assert found == [drawn_mask(shape) for shape in ("donut", "pixel", "parts")]
    assert rows[1]["file_name"] == "a.png"
    assert rows[1]["box"] == [3.0, 25.0, 4.0, 26.0]
    assert (rows[1]["class"], rows[1]["class_id"], rows[1]["query"]) == ("ring", 1, "every ring")
    assert rows[1]["needs_review"] == ["near_threshold"]
    assert (account["loss"]["changed"], account["loss"]["lost"]) == (0, 0)


def test_images_without_labels_have_a_row(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"a.png": (), "b.png": NOTHING})
    export_as("parquet", run, tmp_path / "out")
    rows = parquet.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert [(row["id"], row["path"], row["instances"], row["doubtful"]) for row in rows] == [
        (1, "images/a.png", 3, ["ghost"]),
        (2, "images/b.png", 0, []),
    ]


def test_rows_are_written_in_groups(tmp_path: Path) -> None:
    many = class_labels("ring", *[label("pixel")] * 4100)
    written(tmp_path, "parquet", picture(labels=image_labels(1, many)))
    file = parquet.ParquetFile(tmp_path / "instances.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(2)] == [4096, 4]


def test_without_pyarrow_the_command_to_install_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, {"a.png": ()})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidInput, match=r"pip install 'maskpilot\[parquet\]'"):
        export_as("parquet", run, tmp_path / "out")
    assert files_of(tmp_path / "out") == set()
