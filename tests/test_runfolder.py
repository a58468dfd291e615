"""Run folders: made, refused, replaced, and never wandering off."""

import errno
import fcntl
import os
import resource
import stat
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image

from maskpilot.errors import ImageError, RunFolderError
from maskpilot.images import from_picture
from maskpilot.runfolder import RUN, RunFolder, locked, versions
from maskpilot.types import ImageRef


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path / "a" / "b").path.is_dir()


def test_a_folder_that_holds_a_run_is_refused_and_can_be_replaced(tmp_path: Path) -> None:
    RunFolder.create(tmp_path).write_json(RUN, {})
    with pytest.raises(RunFolderError, match=r"holds a run already.*--resume.*--overwrite"):
        RunFolder.create(tmp_path)
    folder = RunFolder.create(tmp_path, overwrite=True)
    assert (tmp_path / RUN).exists()  # until the new run begins, the old one is there
    folder.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_another_run_is_writing_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(RunFolderError, match="another run is writing here"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):  # and free again afterwards
        pass


def test_what_was_made_to_hold_a_folder_goes_again(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / RUN).touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [RUN]


def test_a_folder_that_another_run_removes_in_the_last_moment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the folder and the lock's file, whoever made its parent goes, and both folders go."""
    opens = Path.open

    def late(path: Path, mode: str) -> IO[Any]:
        monkeypatch.setattr(Path, "open", opens)
        path.parent.rmdir()
        path.parent.parent.rmdir()
        return path.open(mode)

    monkeypatch.setattr(Path, "open", late)
    with locked(tmp_path / "runs" / "a"):
        assert (tmp_path / "runs" / "a" / ".lock").is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_never_be_made_is_no_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="cannot be written"), locked(tmp_path / "run"):
        pass


def test_a_lock_file_that_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("of another program")
    with locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "of another program"


def test_a_lock_that_was_let_go_in_the_last_moment_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the lock's file and locking it, whoever held it goes, and the file with them."""
    first, lock = locked(tmp_path), fcntl.flock
    first.__enter__()

    def late(file: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        first.__exit__(None, None, None)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        with pytest.raises(RunFolderError, match="another run is writing here"), locked(tmp_path):
            pass
        assert (tmp_path / ".lock").exists()


def test_a_file_system_that_cannot_hold_files_is_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunFolderError, match=r"cannot be held .*No locks available"), locked(tmp_path):
        pass


def test_a_file_cannot_be_held_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"), locked(tmp_path / "file"):
        pass


def test_a_folder_with_anything_else_in_it_is_never_touched(tmp_path: Path) -> None:
    RunFolder.create(tmp_path).write_json(RUN, {})
    (tmp_path / "holiday.jpg").write_text("precious")
    with pytest.raises(RunFolderError, match=r"not of a run \(holiday.jpg\)"):
        RunFolder.create(tmp_path, overwrite=True)
    assert (tmp_path / "holiday.jpg").read_text() == "precious"
    assert (tmp_path / RUN).exists()


def test_a_folder_of_somebody_elses_images_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_text("precious")
    with pytest.raises(RunFolderError, match=r"not of a run \(images\)"):
        RunFolder.create(tmp_path, overwrite=True)
    assert (tmp_path / "images" / "holiday.jpg").read_text() == "precious"


def test_a_name_that_the_system_refuses_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(RunFolderError, match="File name too long"):
        RunFolder.create(path)
    with pytest.raises(RunFolderError, match="File name too long"):
        RunFolder.open(path)
    with pytest.raises(RunFolderError, match="File name too long"), locked(path):
        pass


def test_what_a_killed_process_left_half_written_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".writing-abc").write_text("half")
    assert RunFolder.create(tmp_path).path == tmp_path


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.create(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(RunFolderError, match=r"cannot be written.*--out"):
            RunFolder.create(tmp_path / "run")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_place_where_nobody_can_write_is_refused() -> None:
    with pytest.raises(RunFolderError, match=r"cannot be written.*--out"):
        RunFolder.create(Path("/proc/maskpilot-run"))


def test_a_folder_without_a_run_cannot_be_taken_up(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"holds no run of maskpilot"):
        RunFolder.open(tmp_path)


def test_a_file_that_does_not_fit_on_the_disk_leaves_the_old_one(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    folder.write("report.html", "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RunFolderError, match=r"report.html: cannot be written \(File too large\)"):
            folder.write("report.html", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_an_image_is_kept_once_under_its_hash_and_loaded_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    image = from_picture(Image.new("RGB", (5, 4), "red"), "../../etc/passwd")
    ref = folder.keep_image(image)
    assert folder.keep_image(image) == ref
    assert [path.name for path in (tmp_path / "images").iterdir()] == [f"{image.sha256}.png"]
    assert folder.load_image(ref).image.getpixel((0, 0)) == (255, 0, 0)


def test_an_image_that_changed_since_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    ref = folder.keep_image(from_picture(Image.new("RGB", (5, 4), "red"), "a"))
    other = from_picture(Image.new("RGB", (5, 4), "blue"), "a")
    next((tmp_path / "images").iterdir()).write_bytes(other.source)
    with pytest.raises(ImageError, match="changed since the run"):
        folder.load_image(ref)


@pytest.mark.parametrize(
    ("sha256", "suffix"), [("../../../etc/passwd", ".png"), ("0" * 64, "/../x"), ("0" * 64, "")]
)
def test_an_image_reference_that_would_wander_off_is_refused(sha256: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="ImageRef"):
        ImageRef(sha256, suffix, "name", 1, 1)


def test_an_image_reference_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 px, got 0x4"):
        ImageRef("0" * 64, ".png", "name", 0, 4)


def test_versions_are_those_of_the_programs_involved() -> None:
    assert {"maskpilot", "python", "numpy", "pillow", "pycocotools"} <= versions().keys()


def test_versions_are_found_where_git_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "git" not in versions()


def test_damaged_json_is_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    for content, message in (("{", "missing or damaged"), ("[]", "expected a JSON object")):
        folder.write(RUN, content)
        with pytest.raises(RunFolderError, match=message):
            folder.read_json(RUN)


def test_a_folder_of_sessions_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("a file")
    with pytest.raises(RunFolderError, match=r"000001.jsonl: cannot be written"):
        RunFolder(tmp_path).session(1)
