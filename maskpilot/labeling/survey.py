"""A look at a folder before anything is labeled or paid for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskpilot.errors import ImageError
from maskpilot.images import MAX_MEGAPIXELS
from maskpilot.labeling.estimate import Measured, measured
from maskpilot.labeling.folder import choose, digest, read
from maskpilot.labeling.store import LABELS, SeenFile, Store

__all__ = ["Survey", "survey"]

CHECKED = 40
"""Images that are decoded to see whether they can be."""

HASHED = 1000
"""Files that are hashed at most in search of duplicates."""


@dataclass(frozen=True)
class Survey:
    """What a run would have to do.

    Attributes:
        files: of the run.
        labeled: of these, unchanged since they were labeled.
        failed: of these, unchanged since they failed.
        duplicates: files with the content of another one, at least; labeled once.
        all_compared: every file that could be a duplicate was looked at.
        checked: files that were decoded.
        unreadable: of these, why some could not be.
        size: of the image of median size among them, in pixels; None where none could be read.
        measured: what the images took that the run folder holds.
    """

    files: int
    labeled: int
    failed: int
    duplicates: int
    all_compared: bool
    checked: int
    unreadable: Mapping[str, str]
    size: tuple[int, int] | None
    measured: Measured

    @property
    def left(self) -> int:
        """Files to label; duplicates among them are known only in part, and count."""
        return self.files - self.labeled - self.failed


def survey(
    folder: Path,
    paths: Sequence[str],
    run: Path,
    *,
    retry_failed: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Survey:
    """Look at a run's files, and at what its folder holds already; nothing is written.

    Args:
        folder: that the paths are relative to.
        paths: of the run's files.
        run: the run folder, which need not be there.
        retry_failed: whether files that failed before are labeled again.
        max_megapixels: larger images are refused.

    Raises:
        RunFolderError: what the run folder holds cannot be read.
    """
    known, labeled, failed, took = _held(run)
    done = lost = 0
    left, sizes = [], defaultdict[int, list[str]](list)
    for path in paths:
        try:
            status = (folder / path).stat()
        except OSError:  # it vanished; the run will say so
            left.append(path)
            continue
        sizes[status.st_size].append(path)
        now = SeenFile.of(status, "")
        sha256 = known.get((path, now.size, now.mtime_ns))
        if sha256 in labeled:
            done += 1
        elif sha256 in failed and not retry_failed:
            lost += 1
        else:
            left.append(path)
    duplicates, all_compared = _duplicates(folder, sizes)
    checked = choose(left, sample=CHECKED, seed=0, limit=None) if left else ()
    seen, unreadable = _decoded(folder, checked, max_megapixels)
    return Survey(
        files=len(paths),
        labeled=done,
        failed=lost,
        duplicates=duplicates,
        all_compared=all_compared,
        checked=len(checked),
        unreadable=unreadable,
        size=sorted(seen, key=lambda size: size[0] * size[1])[len(seen) // 2] if seen else None,
        measured=took,
    )


def _held(run: Path) -> tuple[dict[tuple[str, int, int], str], set[str], set[str], Measured]:
    """Content of unchanged files, labeled content, failed content, and what images took."""
    if not (run / LABELS).is_file():
        return {}, set(), set(), Measured((), (), ())
    with Store(run / LABELS, read_only=True) as store:
        known = {(path, file.size, file.mtime_ns): file.sha256 for path, file in store.files().items()}
        failed = {failure.sha256 for failure in store.failures() if failure.sha256}
        return known, store.labeled(), failed, measured(store)


def _duplicates(folder: Path, sizes: Mapping[int, Sequence[str]]) -> tuple[int, bool]:
    """Files with the content of another one, and whether all of the same size were compared."""
    alike = [path for paths in sizes.values() if len(paths) > 1 for path in paths]
    seen: set[SeenFile] = set()
    count = 0
    for path in alike[:HASHED]:
        try:
            found = digest(folder / path)
        except ImageError:
            continue
        content = SeenFile(found.size, 0, found.sha256)
        count += content in seen
        seen.add(content)
    return count, len(alike) <= HASHED


def _decoded(
    folder: Path, paths: Sequence[str], max_megapixels: float
) -> tuple[list[tuple[int, int]], dict[str, str]]:
    """Sizes of the images that can be decoded, and what is wrong with the others."""
    sizes, unreadable = [], {}
    for path in paths:
        try:
            sizes.append(read(folder, path, max_megapixels=max_megapixels).image.size)
        except ImageError as error:
            unreadable[path] = str(error).removeprefix(f"{folder / path}: ")
    return sizes, unreadable
