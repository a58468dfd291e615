"""What is committed stays, whole, whatever happens next."""

import os
import sqlite3
from pathlib import Path

import pytest

from maskpilot.errors import RunFolderError
from maskpilot.labeling.database import WAITING
from maskpilot.labeling.store import LABELS, SeenFile, Store
from maskpilot.labeling.types import Failure
from maskpilot.types import Usage
from tests.labeling.samples import class_labels, image_labels


def test_an_image_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        assert store.commit(image_labels())
    with Store(tmp_path / LABELS, read_only=True) as store:
        assert list(store.images()) == [image_labels()]


def test_the_same_content_is_labeled_once(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        assert store.commit(image_labels())
        assert not store.commit(image_labels(1, class_labels("other")))
        assert list(store.images()) == [image_labels()]


def test_every_file_of_the_same_content_has_its_labels(tmp_path: Path) -> None:
    labels = image_labels()
    with Store(tmp_path / LABELS) as store:
        store.commit(labels)
        for path in ("b/two.png", "a\nnewline.png", "not-text-\udcff.png"):
            store.seen(path, SeenFile(10, 20, labels.image.sha256))
        store.seen("unlabeled.png", SeenFile(1, 2, "f" * 64))
        found = [(file.path, file.labels) for file in store.labeled_files()]
        assert found == [(path, labels) for path in ("a\nnewline.png", "b/two.png", "not-text-\udcff.png")]
        assert store.files()["b/two.png"] == SeenFile(10, 20, labels.image.sha256)


def test_what_a_look_at_the_files_tells_again_waits_for_the_next_commit(tmp_path: Path) -> None:
    empty = Failure("empty.png", "ImageError", "the file is empty")
    with Store(tmp_path / LABELS) as writer, Store(tmp_path / LABELS, read_only=True) as reader:
        writer.seen("a.png", SeenFile(10, 20, "a" * 64))
        writer.fail(empty, found_again=True)
        assert (reader.files(), reader.failures()) == ({}, [])
        writer.commit(image_labels())
        assert (set(reader.files()), reader.failures()) == ({"a.png"}, [empty])
        writer.forgive("empty.png")
        assert (reader.failures(), writer.failures()) == ([empty], [])
        for number in range(WAITING):
            writer.seen(f"{number}.png", SeenFile(10, 20, "a" * 64))
        assert len(reader.files()) == 1 + WAITING
        writer.seen("b.png", SeenFile(10, 20, "a" * 64))
    with Store(tmp_path / LABELS, read_only=True) as reader:
        assert "b.png" in reader.files()


def test_what_was_paid_for_is_there_at_once(tmp_path: Path) -> None:
    paid = Failure("a.png", "PolicyError", "no reply", usage=Usage(calls=1, cost=0.5))
    with Store(tmp_path / LABELS) as writer, Store(tmp_path / LABELS, read_only=True) as reader:
        writer.seen("a.png", SeenFile(10, 20, "a" * 64))
        writer.fail(paid)
        assert [one.path for one in reader.failures()] == list(reader.files()) == ["a.png"]
        assert reader.spent().cost == 0.5


def test_an_image_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    twice = class_labels("ring", *2 * image_labels().classes[0].labels)
    with Store(tmp_path / LABELS) as store:
        with pytest.raises(RunFolderError, match="intact"):
            store.commit(image_labels(1, twice))
        assert store.labeled() == set()
        assert store.commit(image_labels())


def fill(store: Store) -> None:
    for number in range(2, 200):
        store.commit(image_labels(number))


def test_a_full_disk_is_said_and_what_was_kept_stays(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        store.commit(image_labels(1))
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RunFolderError, match="full"):
            fill(store)
        before = store.labeled()
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert store.commit(image_labels(1000))
    with Store(tmp_path / LABELS) as store:
        assert store.labeled() == before | {image_labels(1000).image.sha256}


def test_a_failure_is_forgotten_once_the_image_is_labeled(tmp_path: Path) -> None:
    labels = image_labels()
    with Store(tmp_path / LABELS) as store:
        store.fail(Failure("a.png", "PolicyError", "no \udcff reply", labels.image.sha256))
        store.fail(Failure("b.png", "ImageError", "the file is empty"))
        assert [one.path for one in store.failures()] == ["a.png", "b.png"]
        store.commit(labels)
        assert [one.path for one in store.failures()] == ["b.png"]
        store.forgive("b.png")
        assert store.failures() == []


def test_what_failed_attempts_cost_is_counted(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        store.fail(Failure("a.png", "PolicyError", "gone", usage=Usage(calls=2, prompt_tokens=7, cost=0.5)))
        store.fail(Failure("a.png", "PolicyError", "gone", usage=Usage(calls=1, prompt_tokens=5, cost=0.25)))
        store.spend("b.png", Usage(calls=1, cost=0.5))
        store.commit(image_labels())
        assert store.spent() == Usage(calls=4, prompt_tokens=12, cost=1.25) + image_labels().usage


def test_a_run_that_cost_nothing_has_no_cost(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        assert store.spent() == Usage()


def test_counts_are_of_what_is_there(tmp_path: Path) -> None:
    sure = image_labels(2, class_labels("ring", *image_labels().classes[0].labels[:1]))
    with Store(tmp_path / LABELS) as store:
        assert set(store.counts().values()) == {0}
        store.commit(image_labels(1))
        store.commit(sure)
        store.fail(Failure("b.png", "ImageError", "the file is empty"))
        counts = {"images": 2, "labels": 4, "failures": 1, "review": 1, "rounds": 12}
        assert dict(store.counts()) == counts


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as writer, Store(tmp_path / LABELS, read_only=True) as reader:
        writer.commit(image_labels(1))
        assert len(reader.labeled()) == 1
        writer.commit(image_labels(2))
        assert len(reader.labeled()) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_it_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        store.commit(image_labels())
    tmp_path.chmod(0o555)
    try:
        with Store(tmp_path / LABELS, read_only=True) as store:
            assert list(store.images()) == [image_labels()]
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("content", [b"not a database at all, just text" * 40, b""])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / LABELS
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=LABELS), Store(path, read_only=True) as store:
        store.labeled()


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LABELS
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RunFolderError, match="schema 99, this version reads 1"):
        Store(path)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / LABELS
    with Store(path) as store:
        store.commit(image_labels())
        store._db.execute("UPDATE sessions SET stop = 'vanished'")
        with pytest.raises(RunFolderError, match="damaged record"):
            list(store.images())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE labels SET counts = x'3030303030' WHERE class = 1", "label 1 of class 1"),  # of 0 pixels
        ("UPDATE labels SET counts = 'text' WHERE class = 0 AND id = 2", "label 2 of class 0"),
        ("UPDATE labels SET counts = substr(counts, 1, 3) WHERE id = 2", "label 2 of class 0"),
        ("UPDATE images SET height = height + 1", "label 1 of class 0"),  # the masks are of another size
        ("UPDATE sessions SET stop = 'vanished' WHERE number = 2", "session of class 2"),
        ("DELETE FROM sessions WHERE number = 1", "labels of class 1"),
    ],
)
def test_a_damaged_row_is_named_and_no_mask_is_made_up(damage: str, told: str, tmp_path: Path) -> None:
    labels = image_labels()
    with Store(tmp_path / LABELS) as store:
        store.commit(labels)
        store.seen("a.png", SeenFile(10, 20, labels.image.sha256))
        store._db.execute(damage)
        for read in (store.images, store.labeled_files):
            with pytest.raises(RunFolderError, match=f"{told} on image {labels.image.sha256}: "):
                list(read())
