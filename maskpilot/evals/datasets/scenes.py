"""Drawn scenes with exact truth: any number, any seed, offline."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from maskpilot import masks
from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.datasets.entry import About, Options
from maskpilot.evals.types import Dataset, Sample, Truth
from maskpilot.images import LoadedImage, from_picture
from maskpilot.scenes import KINDS, Scene, SceneQuery, make_scene, queries

__all__ = ["ABOUT", "FIRST_SEED", "open_scenes"]

ABOUT = About(
    name="scenes",
    summary="SIMULATED: drawn shapes with exact masks; --count N of them from --seed S on, offline",
    licence="Apache-2.0, as maskpilot",
    citation="maskpilot",
    home="maskpilot.scenes",
    layout="",
    splits=KINDS,
    metrics=("miou", "giou", "ciou", "p_at_50", "p_at_90", "n_acc", "cgf1"),
    needs_path=False,
)
FIRST_SEED = 3_000_000_000
"""Far from the seeds of training (from 1,000,000), of its evaluation and of the demo."""

COUNT = 300
MOST = 1_000_000
"""Samples at most; data sets of two seeds share no scene."""

RETRY = 10**12
"""Added to a scene's seed where the scene does not allow the kind of query that is due."""


def open_scenes(options: Options) -> Dataset:
    """One query a scene, the kinds in turn; a split is a kind of query.

    Raises:
        InvalidInput: no such kind, or a count or seed out of range.
    """
    count = COUNT if options.count is None else options.count
    if not 1 <= count <= MOST or options.seed < 0:
        raise InvalidInput(f"scenes: expected a count in 1..{MOST} and a seed from 0")
    if options.split is not None and options.split not in KINDS:
        raise InvalidInput(f"scenes: no kind of query {options.split!r}; there are {', '.join(KINDS)}")
    return Scenes(count, options.seed, options.split)


class Scenes:
    """Scenes and queries made when asked for. The same seed gives the same ones; a shorter set is a prefix.

    Args:
        count: samples, one a scene.
        seed: which scenes.
        kind: of query; the kinds in turn where None.
    """

    name = ABOUT.name
    metrics = ABOUT.metrics

    def __init__(self, count: int, seed: int, kind: str | None = None) -> None:
        self._count, self._seed, self._kind = count, seed, kind
        self.facts = {
            **ABOUT.facts,
            "simulated": "drawn scenes, not photographs: scores say nothing about real images",
            "seed": str(seed),
            "count": str(count),
            **({"split": kind} if kind else {}),
        }

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sample]:
        for number in range(self._count):
            scene, query = self._task(number)
            identity = f"{self._seed}-{number:05d}"
            yield Sample(
                id=identity,
                image_id=identity,
                query=query.text,
                width=scene.width,
                height=scene.height,
                tags={"kind": query.kind},
                phrases=(query.phrase, *query.also),
            )

    def image(self, sample: Sample) -> LoadedImage:
        return from_picture(self._of(sample)[0].image, f"scene-{sample.id}.png")

    def truth(self, sample: Sample) -> Truth:
        scene, query = self._of(sample)
        return Truth((tuple(masks.encode(scene.objects[index].mask) for index in query.answer),))

    def truth_digest(self, sample: Sample) -> str:  # noqa: ARG002 - the id says what is drawn
        return ""

    def sample_of(self, entry: Mapping[str, Any]) -> str | None:
        """The sample that a record of predictions is about. Raises KeyError where there is none such."""
        named = str(entry.get("sample", entry.get("image_id")))
        if self._number(named) is None:
            raise KeyError(f"no sample {named[:80]!r}")
        return named

    def _number(self, identity: str) -> int | None:
        digits = identity.removeprefix(f"{self._seed}-")
        number = int(digits) if re.fullmatch(r"[0-9]{5,7}", digits) else -1
        return number if 0 <= number < self._count and identity == f"{self._seed}-{number:05d}" else None

    def _of(self, sample: Sample) -> tuple[Scene, SceneQuery]:
        number = self._number(sample.id)
        if number is None:
            raise DatasetError(f"scenes: has no sample {sample.id!r}")
        return self._task(number)

    def _task(self, number: int) -> tuple[Scene, SceneQuery]:
        kind = self._kind or KINDS[number % len(KINDS)]
        return _draw(FIRST_SEED + self._seed * MOST + number, kind)


@lru_cache(maxsize=16)
def _draw(seed: int, kind: str) -> tuple[Scene, SceneQuery]:
    """A scene and a query of a kind about it: the first scene that allows one."""
    for scene_seed in itertools.count(seed, step=RETRY):
        scene = make_scene(scene_seed)
        if found := queries(scene, seed=0, kinds=(kind,), per_kind=1):
            return scene, found[0]
    raise AssertionError("unreachable: scenes do not run out")
