"""A run on disk: configuration, versions, sessions, images by content hash, results, report.

Nothing in a run folder is named after a query, a file or a model's words, and nothing in it holds a key.
Files appear whole or not at all, but for the session logs, which grow line by line.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from maskpilot import __version__
from maskpilot.errors import ImageError, RunFolderError
from maskpilot.images import LoadedImage, load_image
from maskpilot.types import ImageRef

__all__ = ["RUN", "RunFolder", "locked", "versions"]

RUN = "run.json"
OURS = (
    RUN,
    "steps.jsonl",
    "overlay.png",
    "mask.png",
    "instances.json",
    "report.html",
    "images",
    "sessions",
    "results.jsonl",
    "samples",
    "labels.sqlite",
    "labels.sqlite-wal",
    "labels.sqlite-shm",
    "parquet",
)
"""All that a run writes, its mark first; `overwrite` removes these and nothing else."""


LOCK = ".lock"

ATTEMPTS = 10
"""At a folder that is gone as soon as it is made: another run, which made it or its parents, removes them."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a run folder, which is made where it is missing: one run at a time.

    The operating system lets go of it when the process ends, however it ends. What was made to hold it is
    removed at the end: the lock's file, and folders in which nothing else came to lie.

    Raises:
        RunFolderError: another run holds it, or it cannot be written.
    """
    try:
        made = [one for one in (path / LOCK, path, *path.parents) if not one.exists()]
    except OSError as error:
        raise _unwritable(path, error) from error
    with _held(path):
        try:
            yield
        finally:
            with suppress(OSError):  # the first folder that is not empty ends it
                for one in made:
                    if one.name == LOCK:
                        one.unlink()
                    else:
                        one.rmdir()


def _held(path: Path) -> BinaryIO:
    """The lock's file, which holds the folder until it is closed. Raises as `locked`."""
    gone = 0
    while True:
        try:
            if path.exists() and not path.is_dir():
                raise RunFolderError(f"{path}: is a file, expected a folder for the run")
            path.mkdir(parents=True, exist_ok=True)
            file = (path / LOCK).open("ab")
        except (FileNotFoundError, FileExistsError) as error:
            gone += 1
            if gone == ATTEMPTS:
                raise _unwritable(path, error) from error
            continue
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path / LOCK):
                return file
        except BlockingIOError as error:
            file.close()
            raise RunFolderError(
                f"{path}: another run is writing here; wait for it or choose another folder"
            ) from error
        except OSError as error:  # some network file systems
            file.close()
            raise RunFolderError(
                f"{path}: cannot be held for this run alone ({error.strerror}); choose another folder"
            ) from error
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether a file still lies there: who held the lock before may have removed it after we opened it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"{path}: cannot be written ({error.strerror}); choose another folder")


class RunFolder:
    """One run's folder. Use `create` or `open`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False, resumes: bool = True) -> Self:
        """Make a folder for a new run, or take one up whose run is to be replaced: `clear` removes that one.

        Args:
            path: the folder.
            overwrite: a run that it holds is to be replaced.
            resumes: whether such a run could be gone on with; the error then says so.

        Raises:
            RunFolderError: it holds a run and `overwrite` is not given, it holds something else, or it
                cannot be written.
        """
        folder = cls(path)
        try:
            entries = folder._entries()
            # Without a run's mark, "images" are somebody else's.
            ours = OURS if RUN in entries else ()
            foreign = [name for name in entries if name not in ours]
            if foreign:
                raise RunFolderError(
                    f"{path}: holds files that are not of a run ({foreign[0]}); choose a new or empty folder"
                )
            if entries and not overwrite:
                go_on = " go on with --resume," if resumes else ""
                raise RunFolderError(
                    f"{path}: holds a run already; choose another folder,{go_on} or replace it with "
                    "--overwrite"
                )
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise RunFolderError(
                f"{path}: cannot be written ({error.strerror}); choose another folder with --out"
            ) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take up the folder of an earlier run.

        Raises:
            RunFolderError: there is no run in it, or it cannot be looked into.
        """
        try:
            holds_run = (path / RUN).is_file()
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from error
        if not holds_run:
            raise RunFolderError(f"{path}: holds no run of maskpilot ({RUN} is missing)")
        return cls(path)

    @property
    def steps(self) -> Path:
        """Log of the folder's only session."""
        return self.path / "steps.jsonl"

    def session(self, number: int) -> Path:
        """Log of one of many sessions, from 1; its folder is made. Raises RunFolderError."""
        path = self.path / "sessions" / f"{number:06d}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error
        return path

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file whole or not at all.

        Raises:
            RunFolderError: the disk is full, or refuses.
        """
        path = self.path / name
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).chmod(0o644)
                    Path(file.name).replace(path)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error
        return path

    def clear(self) -> None:
        """Remove the run that this one replaces; nothing where there is none.

        Raises:
            RunFolderError: the folder refuses.
        """
        try:
            # The mark goes last: what is left when this is cut short is still known to be a run.
            for path in (*self.path.glob(".writing-*"), *(self.path / name for name in reversed(OURS))):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be cleared ({error.strerror})") from error

    def remove(self, name: str) -> None:
        """Remove a file, where there is one.

        Raises:
            RunFolderError: the folder refuses.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunFolderError(f"{self.path / name}: cannot be removed ({error.strerror})") from error

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file. Raises as `write`."""
        return self.write(name, json.dumps(content, indent=1, default=repr) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object that a run wrote.

        Raises:
            RunFolderError: it is missing or damaged.
        """
        path = self.path / name
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path}: missing or damaged ({error})") from error
        if not isinstance(content, dict):
            raise RunFolderError(f"{path}: expected a JSON object")
        return content

    def keep_image(self, image: LoadedImage) -> ImageRef:
        """Keep an image's own bytes, once, under their hash. Raises as `write`."""
        ref = image.ref
        if not self._image_path(ref).exists():
            self.write(f"images/{ref.sha256}{ref.suffix}", image.source)
        return ref

    def load_image(self, ref: ImageRef) -> LoadedImage:
        """Load a kept image.

        Raises:
            ImageError: it is missing, damaged, or not the one that was kept.
        """
        path = self._image_path(ref)
        image = load_image(path, max_megapixels=max(ref.width * ref.height / 1e6, 1.0))
        if image.sha256 != ref.sha256:
            raise ImageError(f"{path}: its content changed since the run")
        return image

    def _image_path(self, ref: ImageRef) -> Path:
        return self.path / "images" / f"{ref.sha256}{ref.suffix}"

    def _entries(self) -> list[str]:
        """Names of what is in the folder, hidden files left out; none where it does not exist."""
        if not self.path.exists():
            return []
        if not self.path.is_dir():
            raise RunFolderError(f"{self.path}: is a file, expected a folder for the run")
        return sorted(entry.name for entry in self.path.iterdir() if not entry.name.startswith("."))


def versions() -> dict[str, str]:
    """Of the programs that make a run; the git revision where maskpilot runs from a checkout."""
    found = {"maskpilot": __version__, "python": platform.python_version()}
    for package in ("numpy", "pillow", "pycocotools"):
        found[package] = importlib.metadata.version(package)
    checkout = Path(__file__).parent.parent
    git = shutil.which("git")
    if git and (checkout / ".git").exists():
        command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
        described = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if described.returncode == 0:
            found["git"] = described.stdout.strip()
    return found
