"""What does the work of `maskpilot label`: threads of this process, or a Ray cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from maskpilot.cli.console import say
from maskpilot.wording import counted

if TYPE_CHECKING:
    from maskpilot.labeling.part import Engine
    from maskpilot.labeling.ray.manifest import Manifest
    from maskpilot.labeling.recipe import JobRecipe, SegmenterRecipe
    from maskpilot.segmenters import Segmenter

__all__ = ["EngineName", "at_work", "read_listed"]

CLOSING = 3.0
"""Seconds for a segmenter to end; after Ctrl-C it may be in the middle of something long."""


class EngineName(StrEnum):
    """What does the work."""

    local = "local"
    ray = "ray"


def at_work(
    name: EngineName,
    made: SegmenterRecipe,
    recipe: JobRecipe,
    address: str | None,
    segmenters: int | None,
    listed: Manifest | None,
) -> AbstractContextManager[tuple[Segmenter, Engine]]:
    """A segmenter, or what stands for one, and the engine that works with it; both end with the context.

    Args:
        name: which engine.
        made: makes the segmenter.
        recipe: makes the job, also where sessions run on other machines.
        address, segmenters: as `labeling.ray.cluster.Cluster` has them.
        listed: where the images come from; None: from the folder.
    """
    if name is EngineName.local:
        return _here(made)
    return _on_ray(made, recipe, address, segmenters, listed)


def read_listed(manifest: Path | None, images: Path) -> Manifest | None:
    """What a manifest lists; None where there is none.

    Raises:
        InvalidInput: Ray is not installed, or the manifest cannot be used.
    """
    if manifest is None:
        return None
    _need_ray()
    from maskpilot.labeling.ray.manifest import read_manifest

    return read_manifest(manifest, images)


@contextmanager
def _here(made: SegmenterRecipe) -> Iterator[tuple[Segmenter, Engine]]:
    """A segmenter of this process, and the engine of one machine."""
    from maskpilot.labeling.local import local

    say(f"loading the segmenter {made.name} ...")
    opened = made()
    with _ended_in_time(opened):
        yield opened, local


@contextmanager
def _on_ray(
    made: SegmenterRecipe,
    recipe: JobRecipe,
    address: str | None,
    segmenters: int | None,
    listed: Manifest | None,
) -> Iterator[tuple[Segmenter, Engine]]:
    """What stands for the segmenters of a cluster, and the engine that works there."""
    _need_ray()
    from maskpilot.labeling.ray.cluster import Cluster, connected
    from maskpilot.labeling.ray.engine import OnRay

    cluster = Cluster(address, segmenters)
    say("waiting for Ray ...")
    with connected(cluster, made) as servers:
        engine = OnRay(cluster, servers, recipe, listed)
        say(f"loading the segmenter {made.name}, {counted(len(servers), 'time')} ...")
        yield engine.segmenter(), engine


def _need_ray() -> None:
    from importlib.util import find_spec

    from maskpilot.errors import InvalidInput

    if not (find_spec("ray") and find_spec("pyarrow")):
        raise InvalidInput("--engine ray needs Ray: pip install 'maskpilot[ray]'")


@contextmanager
def _ended_in_time(engine: Segmenter) -> Iterator[None]:
    """Close a segmenter, but do not wait for what it is at: the end of the process ends that, too."""
    try:
        yield
    finally:
        closing = threading.Thread(target=engine.close, daemon=True)
        closing.start()
        closing.join(CLOSING)
