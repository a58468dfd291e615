"""Images of one file in another one, by their paths: each file's begin at a folder of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import PurePosixPath

__all__ = ["Name", "name_of", "pair"]

Name = tuple[str, ...]
"""Folders, and last the file's name without its suffix: ("b", "1") of b/1.jpg."""


def name_of(path: str) -> Name:
    """A path's name; a backslash parts folders, too."""
    found = PurePosixPath(path.replace("\\", "/"))
    return (*found.parts[:-1], found.stem)


def pair(ours: Set[Name], theirs: Set[Name]) -> dict[Name, Name]:
    """Which of their images is which of ours, by name; what has none is left out.

    Their folder may lie in ours, or ours in theirs: most names say where. What does not fit that, as where
    images were put into one folder, is told by the last part alone, if nothing else here or there has it.

    Raises:
        ValueError: several images share a last part, and their folders do not tell them apart. It is the
            error's only argument.
    """
    above, below = _between(ours, theirs)
    paired = {
        name: other
        for name in ours
        if name[: len(above)] == above and (other := below + name[len(above) :]) in theirs
    }
    left, also_left = _by_last(ours - paired.keys()), _by_last(theirs - set(paired.values()))
    shared = {last for names in (ours, theirs) for last, same in _by_last(names).items() if len(same) > 1}
    for last in sorted(left.keys() & also_left.keys()):
        if last in shared:
            raise ValueError(last)
        paired[left[last][0]] = also_left[last][0]
    return paired


def _between(ours: Set[Name], theirs: Set[Name]) -> tuple[Name, Name]:
    """The folders that only our names begin with, and those that only theirs do; most pairs have them.

    Where as many pairs have others there are none, which is no guess: `pair` then goes by the rest.
    """
    votes: Counter[tuple[Name, Name]] = Counter()
    votes.update((name[:at], ()) for name in ours for at in range(len(name)) if name[at:] in theirs)
    votes.update(((), name[:at]) for name in theirs for at in range(1, len(name)) if name[at:] in ours)
    first, second = (*votes.most_common(2), (((), ()), 0), (((), ()), 0))[:2]
    return first[0] if first[1] > second[1] else ((), ())


def _by_last(names: Set[Name]) -> dict[str, list[Name]]:
    found: dict[str, list[Name]] = {}
    for name in names:
        found.setdefault(name[-1], []).append(name)
    return found
