"""What the processes of a run know of each other: who labels what, and whether to go on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from maskpilot.labeling.types import Failure

__all__ = ["Board"]


class Board:
    """Runs as an actor, which takes one call at a time.

    Args:
        labeled: content (SHA-256) that is labeled already.
        failed: content that could not be labeled and is not tried again.
        wanted: files of the run, where those that come are not chosen yet; None: all that come are.
        may_cost: the run ends once its processes have spent more than that together; None: they may.
    """

    def __init__(
        self,
        labeled: Iterable[str],
        failed: Mapping[str, Failure],
        wanted: Iterable[str] | None,
        may_cost: float | None = None,
    ) -> None:
        self._labeled = {bytes.fromhex(sha256) for sha256 in labeled}  # of a million, half as large as text
        self._failed = failed
        self._wanted = None if wanted is None else frozenset(wanted)
        self._claimed: dict[bytes, str] = {}
        self._may_cost = math.inf if may_cost is None else may_cost
        self._costs: dict[str, float] = {}
        self._stopped = False
        self._said: list[str] = []

    def wanted(self, paths: list[str]) -> list[str]:
        """Those of the files that are of the run; none any more once it is stopped."""
        if self._stopped:
            return []
        return paths if self._wanted is None else [path for path in paths if path in self._wanted]

    def claim(self, path: str, sha256: str) -> bool | Failure:
        """Ask to label the content of a file.

        Returns:
            True for the first file of a content, however often it asks: its process may have died. Why it
            failed, where it did. False for all others.
        """
        if sha256 in self._failed:
            return self._failed[sha256]
        key = bytes.fromhex(sha256)
        return key not in self._labeled and self._claimed.setdefault(key, path) == path

    def stop(self) -> None:
        """Nothing is begun any more."""
        self._stopped = True

    def stopped(self, process: str, cost: float) -> bool:
        """Whether the run ends.

        Args:
            process: who asks.
            cost: of all that it has done by now. It is told here since a part, which the command learns of
                when it is whole, may cost a hundred times what a request does.
        """
        self._costs[process] = cost
        # A little more than the limit: the command adds up the same numbers in another order.
        self._stopped |= sum(self._costs.values()) > self._may_cost * (1 + 1e-9)
        return self._stopped

    def say(self, message: str) -> None:
        """Something that a person should know."""
        self._said.append(message)

    def heard(self) -> list[str]:
        """What was said since this was asked last, each message once: processes notice the same things."""
        said, self._said = self._said, []
        return list(dict.fromkeys(said))
