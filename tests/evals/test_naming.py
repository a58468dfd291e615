"""Images of two files are paired by their paths, and never by a guess."""

import pytest

from maskpilot.evals.naming import name_of, pair


def paired(ours: str, theirs: str) -> dict[str, str]:
    """Pairs of paths, written with spaces between them."""
    found = pair({name_of(path) for path in ours.split()}, {name_of(path) for path in theirs.split()})
    return {"/".join(one): "/".join(other) for one, other in found.items()}


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        ("1.jpg 2.jpg", "2.png 1.png", {"1": "1", "2": "2"}),
        ("1.jpg", "deep/1.jpg", {"1": "deep/1"}),
        ("train/1.jpg", "val/1.jpg", {"train/1": "val/1"}),  # nothing else is called so
        ("1.jpg 2.jpg", r"deep\1.jpg", {"1": "deep/1"}),
        ("1.jpg a/1.jpg", "1.jpg a/1.jpg", {"1": "1", "a/1": "a/1"}),
        ("set/1.jpg set/a/1.jpg", "1.jpg a/1.jpg", {"set/1": "1", "set/a/1": "a/1"}),
        ("1.jpg a/1.jpg", "set/1.jpg set/a/1.jpg", {"1": "set/1", "a/1": "set/a/1"}),
        ("a/1.jpg b/1.jpg a/2.jpg", "1.jpg 2.jpg", {"a/1": "1", "a/2": "2"}),  # theirs are of folder a
        ("a/1.jpg b/1.jpg", "b/1.jpg", {"b/1": "b/1"}),
        ("a/1.jpg", "a/1.jpg b/1.jpg", {"a/1": "a/1"}),
    ],
)
def test_folders_count_from_the_end(ours: str, theirs: str, pairs: dict[str, str]) -> None:
    assert paired(ours, theirs) == pairs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a/1.jpg b/1.jpg", "1.jpg"),
        ("1.jpg", "a/1.jpg b/1.jpg"),
        ("a/1.jpg b/1.jpg", "x/1.jpg y/1.jpg"),
        ("a/1.jpg b/1.jpg", "a/1.jpg 1.jpg"),
        ("a/1.jpg b/1.jpg c/2.jpg c/3.jpg", "1.jpg 2.jpg 3.jpg"),
    ],
)
def test_what_folders_do_not_tell_apart_is_refused(ours: str, theirs: str) -> None:
    with pytest.raises(ValueError, match=r"^1$"):
        paired(ours, theirs)
