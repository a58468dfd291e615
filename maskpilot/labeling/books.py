"""Writes down what becomes of files, and knows where the run stands. Used by one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from maskpilot.crew.control import Control
from maskpilot.crew.progress import Watch
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.store import SeenFile, Store
from maskpilot.labeling.types import Failure, ImageLabels
from maskpilot.types import Usage

__all__ = ["Books"]


class Books:
    """Keeps a run's books.

    Args:
        store: where all of it goes.
        logs: of sessions; those of an image go once its labels are there.
        paths: files of the run.
        retry_failed: whether files that failed before have another turn.
        keep_sessions: whether logs stay.

    Attributes:
        files: as they were last seen before this part of the run.
        labeled: content with labels; grows.
        failed: content that could not be labeled, and why; grows.
        done: files whose content is labeled.
        lost: files that failed.
    """

    def __init__(
        self,
        store: Store,
        logs: SessionLogs,
        paths: Sequence[str],
        *,
        retry_failed: bool,
        keep_sessions: bool,
    ) -> None:
        self._store, self._logs, self._keep_sessions = store, logs, keep_sessions
        self._total = len(paths)
        self.files: dict[str, SeenFile] = store.files()
        self.labeled = store.labeled()
        self._before = {failure.path: failure for failure in store.failures()}
        earlier = () if retry_failed else self._before.values()
        self.failed: dict[str, Failure] = {one.sha256: one for one in earlier if one.sha256}
        self._twins: dict[str, list[str]] = {}
        self._presumed = {
            path: file.sha256 in self.labeled
            for path in paths
            if (file := self.files.get(path)) and (file.sha256 in self.labeled or file.sha256 in self.failed)
        }
        self.done = sum(self._presumed.values())
        self.lost = len(self._presumed) - self.done
        self._counts = store.counts()
        self._fresh = 0
        self._began = time.monotonic()

    def take(self, result: Result, watch: Watch[Standing]) -> None:
        """Write down what became of a file.

        Raises:
            RunFolderError: it cannot be written.
        """
        self._forget(result.path)
        self._fresh += result.worked
        if result.file is not None and result.file != self.files.get(result.path):
            self._store.seen(result.path, result.file)
        if result.wasted != Usage():
            self._store.spend(result.path, result.wasted)
        if result.labels is not None:
            self._labeled(result, result.labels)
        elif result.failure is not None:
            self._failed(result.failure, watch, found_again=not result.worked)
        elif result.file is not None:
            self._twin(result.path, result.file.sha256, watch)

    def standing(self, control: Control) -> Standing:
        """Where the run stands."""
        usage = control.usage
        return Standing(
            done=self.done,
            failed=self.lost,
            total=self._total,
            images=self._counts["images"],
            review=self._counts["review"],
            instances=self._counts["labels"],
            rounds=self._counts["rounds"],
            tokens=usage.tokens,
            cost=usage.cost,
            seconds=time.monotonic() - self._began,
            fresh=self._fresh,
        )

    def _forget(self, path: str) -> None:
        """A file that was counted by what is known of it is counted anew: it may have changed."""
        was_done = self._presumed.pop(path, None)
        if was_done is not None:
            self.done -= was_done
            self.lost -= not was_done

    def _labeled(self, result: Result, labels: ImageLabels) -> None:
        sha256 = labels.image.sha256
        self._store.commit(labels)
        if not self._keep_sessions:
            self._logs.discard(sha256)
        self.labeled.add(sha256)
        self._counts["images"] += 1
        self._counts["labels"] += labels.instances
        self._counts["rounds"] += sum(one.rounds for one in labels.classes)
        self._counts["review"] += labels.needs_review
        for path in (result.path, *self._twins.pop(sha256, ())):
            self._done(path)

    def _done(self, path: str) -> None:
        self.done += 1
        if path in self._before:
            self._store.forgive(path)

    def _failed(self, failure: Failure, watch: Watch[Standing], *, found_again: bool) -> None:
        sha256 = failure.sha256
        paths = [failure.path]
        if sha256 is not None:
            self.failed[sha256] = replace(failure, usage=Usage())  # once is enough
            paths += self._twins.pop(sha256, ())
        for number, path in enumerate(paths):
            self.lost += 1
            one = failure if number == 0 else replace(failure, path=path, usage=Usage())
            if one != self._before.get(path):
                self._store.fail(one, found_again=found_again or number > 0)
                watch.note(f"failed: {path}: {one.error}")

    def _twin(self, path: str, sha256: str, watch: Watch[Standing]) -> None:
        """A file whose content had its turn already, or has it now."""
        if sha256 in self.labeled:
            self._done(path)
        elif sha256 in self.failed:
            self._failed(replace(self.failed[sha256], path=path), watch, found_again=True)
        else:
            self._twins.setdefault(sha256, []).append(path)
