"""The byte-bounded cache."""

from __future__ import annotations

from maskpilot.segmenters.cache import ByteLRU


def filled(*keys: str, max_bytes: int = 30) -> ByteLRU[str, str]:
    cache: ByteLRU[str, str] = ByteLRU(max_bytes)
    for key in keys:
        cache.put(key, key.upper(), 10)
    return cache


def test_the_least_recently_used_makes_room() -> None:
    cache = filled("a", "b", "c")
    assert cache.get("a") == "A"
    cache.put("d", "D", 10)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    assert cache.nbytes == 30


def test_a_new_value_takes_the_place_of_the_old() -> None:
    cache = filled("a", "b")
    cache.put("a", "again", 15)
    assert (cache.get("a"), cache.nbytes, len(cache)) == ("again", 25, 2)


def test_what_is_too_large_is_not_kept_and_costs_nobody_else() -> None:
    cache = filled("a", "b")
    cache.put("c", "C", 31)
    assert [cache.get(key) for key in "abc"] == ["A", "B", None]


def test_forget() -> None:
    cache = filled("a", "b", "c")
    cache.forget(lambda key: key != "b")
    assert (cache.get("b"), cache.nbytes, len(cache)) == ("B", 10, 1)
