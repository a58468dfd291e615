"""What every segmenter promises. A test class inherits `SegmenterContract` and says which one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from maskpilot.errors import SegmenterError
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.types import Detections, PromptState
from tests.segmenters.pictures import close, negative, picture, positive, same

TEXT = PromptState("star", threshold=0.0)
OTHER_TEXT = PromptState("red circle", threshold=0.0)
WITH_BOXES = PromptState("star", (positive(10, 10, 40, 40), negative(50, 20, 80, 50)), threshold=0.0)
BOX_ALONE = PromptState(None, (positive(10, 10, 40, 40),), threshold=0.0)
ALL = [TEXT, OTHER_TEXT, WITH_BOXES, BOX_ALONE]


class OneImageContract:
    """What holds for one open image. Inherit, and define the fixture `session`: `picture()`, opened."""

    def test_it_finds_something(self, session: ImageSession) -> None:
        assert len(session.segment(TEXT)) > 0

    def test_a_b_a_gives_a(self, session: ImageSession) -> None:
        first = [session.segment(prompts) for prompts in ALL]
        again = [session.segment(prompts) for prompts in ALL]
        assert all(same(one, other) for one, other in zip(first, again, strict=True))

    def test_raising_the_threshold_only_removes(self, session: ImageSession) -> None:
        everything = session.segment(TEXT)
        for threshold in (*np.quantile(everything.scores, [0.9, 0.1, 0.5]).tolist(), 0.0, 1.0):
            kept = session.segment(TEXT.with_threshold(threshold))
            assert (kept.scores > np.float32(threshold)).all()
            assert len(kept) == np.count_nonzero(everything.scores > np.float32(threshold))
            assert np.array_equal(kept.masks, everything.masks[: len(kept)])

    def test_arrays_are_as_promised(self, session: ImageSession) -> None:
        assert session.size == (90, 60)
        for prompts in ALL:
            found = session.segment(prompts)
            assert found.masks.shape == (len(found), 60, 90)
            assert found.masks.dtype == np.bool_
            assert found.boxes.dtype == found.scores.dtype == np.float32
            assert (np.diff(found.scores) <= 0).all()
            assert ((found.scores >= 0) & (found.scores <= 1)).all()
            assert ((found.boxes >= 0) & (found.boxes <= [90, 60, 90, 60])).all()

    def test_empty_prompts_find_nothing(self, session: ImageSession) -> None:
        found = session.segment(PromptState(threshold=0.0))
        assert (len(found), found.size) == (0, (90, 60))

    def test_a_box_is_clamped_to_the_image(self, session: ImageSession) -> None:
        over = session.segment(PromptState(None, (positive(60, -20, 130, 90),), threshold=0.0))
        inside = session.segment(PromptState(None, (positive(60, 0, 90, 60),), threshold=0.0))
        assert close(over, inside)


class SegmenterContract(OneImageContract):
    """All of it. Inherit, and define the fixture `segmenter`; it may serve all tests, none closes it."""

    @pytest.fixture
    def session(self, segmenter: Segmenter) -> Iterator[ImageSession]:
        session = segmenter.open(picture())
        yield session
        session.close()

    @pytest.mark.parametrize(
        ("width", "height"), [(1, 1), (400, 2), (3, 500)], ids=["one pixel", "very wide", "very tall"]
    )
    def test_odd_sizes(self, segmenter: Segmenter, width: int, height: int) -> None:
        session = segmenter.open(picture(width, height))
        whole_image = PromptState(None, (positive(0, 0, width, height),), threshold=0.0)
        for prompts in (TEXT, whole_image):
            assert session.segment(prompts).size == session.size == (width, height)
        session.close()

    def test_a_closed_session_refuses(self, segmenter: Segmenter) -> None:
        session = segmenter.open(picture())
        session.close()
        session.close()
        with pytest.raises(SegmenterError, match="closed"):
            session.segment(TEXT)

    def test_interleaved_sessions_do_not_mix(self, segmenter: Segmenter) -> None:
        alone = [find_all(segmenter, seed) for seed in (1, 2)]
        sessions = [segmenter.open(picture(seed=seed)) for seed in (1, 2)]
        found: list[list[Detections]] = [[], []]
        for prompts in ALL:
            for answers, session in zip(found, sessions, strict=True):
                answers.append(session.segment(prompts))
        for session in sessions:
            session.close()
        assert all(map(all_close, found, alone))

    def test_many_threads_find_what_one_finds(self, segmenter: Segmenter) -> None:
        seeds = [1, 2, 3, 1, 2, 3]
        alone = {seed: find_all(segmenter, seed) for seed in set(seeds)}
        with ThreadPoolExecutor(len(seeds)) as threads:
            found = list(threads.map(lambda seed: find_all(segmenter, seed), seeds))
        assert all(all_close(mine, alone[seed]) for mine, seed in zip(found, seeds, strict=True))

    def test_provenance_is_words(self, segmenter: Segmenter) -> None:
        assert segmenter.name
        assert all(isinstance(value, str) and value for value in segmenter.provenance.values())


def find_all(segmenter: Segmenter, seed: int) -> list[Detections]:
    session = segmenter.open(picture(seed=seed))
    found = [session.segment(prompts) for prompts in ALL]
    session.close()
    return found


def all_close(some: list[Detections], others: list[Detections]) -> bool:
    return all(close(one, other) for one, other in zip(some, others, strict=True))


def check_closing(segmenter: Segmenter) -> None:
    """A closed segmenter refuses, and so do its sessions; closing twice does no harm."""
    session = segmenter.open(picture())
    segmenter.close()
    segmenter.close()
    with pytest.raises(SegmenterError, match="closed"):
        session.segment(TEXT)
    with pytest.raises(SegmenterError, match="closed"):
        segmenter.open(picture())
    session.close()
