"""A segmenter in another process is a segmenter like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")

from maskpilot.errors import SegmenterError, WeightsUnavailable
from maskpilot.labeling.ray.segmenters import RemoteSegmenter
from maskpilot.labeling.ray.servers import Packed, SegmenterServer, start_servers
from maskpilot.segmenters.base import Segmenter
from maskpilot.types import Detections, PromptState
from tests.labeling.ray.doubles import OnDevice, no_weights, tiny_segmenter
from tests.segmenters.contract import TEXT, SegmenterContract, check_closing
from tests.segmenters.pictures import fake_segmenter, picture, same

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def servers(cluster: Any) -> Iterator[list[Any]]:
    """Two processes: sessions move from one to the other."""
    actors = start_servers(fake_segmenter, 2, num_cpus=0.1)
    yield actors
    for actor in actors:
        cluster.kill(actor)


class TestFakeFromAfar(SegmenterContract):
    @pytest.fixture
    def segmenter(self, servers: list[Any]) -> Segmenter:
        return RemoteSegmenter(servers)


@pytest.fixture(scope="module")
def tiny(cluster: Any) -> Iterator[Segmenter]:
    actors = start_servers(tiny_segmenter, 1, num_cpus=0.1)
    yield RemoteSegmenter(actors)
    for actor in actors:
        cluster.kill(actor)


class TestTinyFromAfar(SegmenterContract):
    @pytest.fixture
    def segmenter(self, tiny: Segmenter) -> Segmenter:
        return tiny


def test_closing_it_here_leaves_the_servers_to_others(servers: list[Any]) -> None:
    check_closing(RemoteSegmenter(servers))
    assert len(RemoteSegmenter(servers).open(picture()).segment(TEXT))


def test_what_a_segmenter_lacks_is_told_as_it_was(cluster: Any) -> None:
    actors = start_servers(no_weights, 1, num_cpus=0.1)
    with pytest.raises(WeightsUnavailable, match="ask for access"):
        RemoteSegmenter(actors)


def test_devices_of_a_cluster_are_all_named_whoever_is_asked_first(cluster: Any) -> None:
    actors = [
        *start_servers(OnDevice("H200"), 1, num_cpus=0.1),
        *start_servers(OnDevice("A100"), 1, num_cpus=0.1),
    ]
    for servers in (actors, actors[::-1]):
        assert RemoteSegmenter(servers).provenance["device"] == "A100, H200"
    for actor in actors:
        cluster.kill(actor)


def test_an_image_is_opened_anew_where_its_server_died(cluster: Any) -> None:
    actors = start_servers(fake_segmenter, 1, num_cpus=0.1)
    session = RemoteSegmenter(actors).open(picture())
    before = session.segment(TEXT)
    cluster.kill(actors[0], no_restart=False)
    assert same(session.segment(TEXT), before)


def test_a_server_that_is_gone_for_good_is_said(cluster: Any) -> None:
    actors = start_servers(fake_segmenter, 1, num_cpus=0.1)
    session = RemoteSegmenter(actors).open(picture())
    cluster.kill(actors[0])
    with pytest.raises(SegmenterError, match="processes died"):
        session.segment(TEXT)


def test_images_that_were_left_open_make_room(cluster: Any) -> None:
    actors = start_servers(fake_segmenter, 1, num_cpus=0.1, max_open=2)
    segmenter = RemoteSegmenter(actors)
    sessions = [segmenter.open(picture(seed=seed)) for seed in range(4)]
    found = [session.segment(TEXT) for session in (*sessions, *sessions)]
    assert all(same(one, found[0]) for one in found)


def test_a_server_closes_what_was_not_used_for_longest() -> None:
    server = SegmenterServer(fake_segmenter, max_open=2)
    for key in ("a", "b"):
        server.open(key, np.asarray(picture()))
    assert server.segment("a", TEXT) is not None
    server.open("c", np.asarray(picture()))
    assert server.segment("b", TEXT) is None
    assert server.segment("a", TEXT) is not None


@pytest.mark.parametrize("count", [0, 3])
def test_masks_travel_whole(count: int) -> None:
    random = np.random.default_rng(count)
    found = Detections(
        masks=random.random((count, 7, 5)) > 0.5,
        boxes=random.random((count, 4)).astype(np.float32),
        scores=random.random(count).astype(np.float32),
    )
    assert same(Packed.of(found).detections(), found)


def test_nothing_found_keeps_its_size(servers: list[Any]) -> None:
    session = RemoteSegmenter(servers).open(picture())
    assert session.segment(PromptState("unicorn")).size == (90, 60)
