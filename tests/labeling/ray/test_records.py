"""Rows of files, kept as Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from maskpilot.errors import RunFolderError
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.part import PARQUET
from maskpilot.labeling.ray.records import adopt, pending, read_part, settle, write_part
from maskpilot.labeling.store import LABELS as DATABASE
from maskpilot.labeling.store import SeenFile, Store
from maskpilot.labeling.types import Failure
from maskpilot.types import Usage
from tests.labeling.samples import image_labels

pytestmark = pytest.mark.ray

LABELS = image_labels()
FILE = SeenFile(10, 20, LABELS.image.sha256)


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    lost = Failure("c.png", "PolicyError", "no reply", "f" * 64, Usage(calls=2, cost=0.5))
    results = [
        Result("a\nnewline.png", FILE, LABELS, worked=True, wasted=Usage(calls=1)),
        Result("not-text-\udcff.png", FILE),
        Result("c.png", SeenFile(1, 2, "f" * 64), failure=lost, worked=True),
        Result("d.png", None, failure=Failure("d.png", "ImageError", "the file is empty")),
        Result("stopped.png", None, wasted=Usage(calls=3, cost=0.75)),
    ]
    path = write_part(tmp_path, results)
    assert [vars(one) for one in read_part(path)] == [vars(one) for one in results]


def test_a_part_is_pending_until_it_is_settled(tmp_path: Path) -> None:
    path = write_part(tmp_path, [Result("a.png", FILE, LABELS)])
    assert pending(tmp_path) == [path]
    settle(path)
    assert pending(tmp_path) == []
    assert [one.labels for one in read_part(tmp_path / PARQUET / path.name)] == [LABELS]


def test_what_an_earlier_run_left_is_taken_in_once(tmp_path: Path) -> None:
    lost = Failure("c.png", "PolicyError", "no reply", "f" * 64, Usage(calls=2))
    logs = SessionLogs(tmp_path)
    logs.path(LABELS.image.sha256, 0, "first").parent.mkdir(parents=True)
    with Store(tmp_path / DATABASE) as store:
        for _ in range(2):  # as where the machine dies between the database and the folder
            write_part(
                tmp_path,
                [
                    Result("a.png", FILE, LABELS, wasted=Usage(calls=1)),
                    Result("c.png", SeenFile(1, 2, "f" * 64), failure=lost),
                ],
            )
        adopt(tmp_path, store, logs, pytest.fail)
        assert list(store.images()) == [LABELS]
        assert [one.path for one in store.failures()] == ["c.png"]
        assert store.spent() == LABELS.usage + Usage(calls=3)
        assert (pending(tmp_path), list(logs.images())) == ([], [])


def test_what_was_spent_in_vain_is_taken_in_once(tmp_path: Path) -> None:
    lost, again = Usage(calls=2, seconds=1.25), Usage(calls=2, seconds=2.5)
    stopped = Result("a.png", None, wasted=Usage(calls=3, seconds=0.1))
    failed = [Failure("c.png", "PolicyError", "no reply", "f" * 64, usage) for usage in (lost, again)]
    with Store(tmp_path / DATABASE) as store:
        for result in (stopped, *(Result("c.png", None, failure=one, worked=True) for one in failed)):
            for _ in range(2):  # as where the machine dies between the database and the folder
                write_part(tmp_path, [result])
                adopt(tmp_path, store, SessionLogs(tmp_path), pytest.fail)
        assert store.spent() == stopped.wasted + lost + again


def test_a_part_that_the_power_cut_off_stops_nobody(tmp_path: Path) -> None:
    cut = write_part(tmp_path, [Result("a.png", FILE, LABELS)])
    cut.write_bytes(cut.read_bytes()[:100])
    other = image_labels(2)
    write_part(tmp_path, [Result("b.png", SeenFile(1, 2, other.image.sha256), other)])
    said: list[str] = []
    with Store(tmp_path / DATABASE) as store:
        adopt(tmp_path, store, SessionLogs(tmp_path), said.append)
        assert list(store.images()) == [other]
    assert len(said) == 1
    assert "put aside" in said[0]
    assert pending(tmp_path) == []


@pytest.mark.parametrize("left", [0, 3, 400, -1])
def test_a_part_that_is_cut_off_is_refused(tmp_path: Path, left: int) -> None:
    path = write_part(tmp_path, [Result("a.png", FILE, LABELS)])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(RunFolderError, match=path.name):
        list(read_part(path))


def test_a_table_of_somebody_else_s_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"path": ["a.png"]}), path)
    with pytest.raises(RunFolderError, match="version b'unknown'"):
        list(read_part(path))


def test_a_damaged_mask_is_named_with_its_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = write_part(tmp_path, [Result("a.png", FILE), Result("b.png", FILE, LABELS)])
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["classes"][0]["labels"][1]["counts"] = b"00000"  # runs of no pixel at all
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    with pytest.raises(RunFolderError, match=r"row 2, 'b\.png': label 2 of 'ring': .*runs of 1200 pixels"):
        list(read_part(path))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / PARQUET).write_text("in the way")
    with pytest.raises(RunFolderError, match=PARQUET):
        write_part(tmp_path, [Result("a.png", FILE, LABELS)])
