"""A tiny data set: tables with two cups and a plate, of which each image is asked several things."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from maskpilot.errors import DatasetError, ImageError
from maskpilot.evals.pilots import Pilot, oracle
from maskpilot.evals.plan import Plan
from maskpilot.evals.progress import Standing
from maskpilot.evals.run import Run
from maskpilot.evals.runner import run_eval
from maskpilot.evals.types import Sample, Truth
from maskpilot.images import LoadedImage, from_picture
from tests.shapes import CUP_LEFT, CUP_MIDDLE, HEIGHT, PLATE, WIDTH, rle, table

ANSWERS: Mapping[str, tuple[tuple[int, int, int, int], ...]] = {
    "cup": (CUP_LEFT, CUP_MIDDLE),  # one shot finds one of them
    "plate": (PLATE,),
    "mug": (CUP_MIDDLE,),  # one shot finds nothing: it scores low
    "spoon": (),
}


class Tables:
    """A `Dataset`: sample `s0007` is the query number 7 mod 4 on image 7 // 4."""

    name = "tables"
    metrics: tuple[str, ...] = ("giou", "ciou")

    def __init__(
        self,
        count: int,
        *,
        broken: Sequence[str] = (),
        queries: Mapping[str, str] | None = None,
        answers: Mapping[str, tuple[tuple[int, int, int, int], ...]] = ANSWERS,
    ):
        self.count, self.answers = count, answers
        self.broken = set(broken)
        self.opened: list[str] = []
        self.queries = dict(queries or {})

    @property
    def facts(self) -> Mapping[str, str]:
        return {"licence": "none", "simulated": "yes"}

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        words = list(ANSWERS)
        for number in range(self.count):
            word = words[number % len(words)]
            query = self.queries.get(f"s{number:04d}", word)
            yield Sample(
                f"s{number:04d}", f"i{number // 4}", query, WIDTH, HEIGHT, {"word": word}, phrases=(word,)
            )

    def image(self, sample: Sample) -> LoadedImage:
        if sample.image_id in self.broken:
            raise ImageError(f"{sample.image_id}: damaged")
        self.opened.append(sample.image_id)
        grey = 60 + int(sample.image_id[1:]) % 100
        return from_picture(Image.new("RGB", (WIDTH, HEIGHT), (grey, grey, grey)), f"{sample.image_id}.png")

    def truth(self, sample: Sample) -> Truth:
        if sample.id in self.broken:
            raise DatasetError(f"{sample.id}: no truth")
        return Truth((tuple(rle(*box) for box in self.answers[sample.tags["word"]]),))

    def truth_digest(self, sample: Sample) -> str:
        if sample.id in self.broken:
            raise DatasetError(f"{sample.id}: no truth")
        return str(self.answers[sample.tags["word"]])


class Told:
    """A watch that remembers; `on` is called with every standing and may raise."""

    def __init__(self, on: Any = None) -> None:
        self.standings: list[Standing] = []
        self.notes: list[str] = []
        self._on = on

    def __call__(self, standing: Standing) -> None:
        self.standings.append(standing)
        if self._on:
            self._on(standing)

    def note(self, message: str) -> None:
        self.notes.append(message)


def evaluate(path: Path, dataset: Tables | None = None, pilot: Pilot | None = None, **options: Any) -> Run:
    """Run a small eval; options of `Plan` and of `run_eval`."""
    keys = ("resume", "overwrite", "retry_failed", "failures_as_zero", "watch")
    running = {name: options.pop(name) for name in keys if name in options}
    plan = Plan(
        dataset=dataset or Tables(8),
        segmenter=options.pop("segmenter", None) or table(),
        pilot=pilot or oracle(),
        **{"pictures": False, **options},
    )
    return run_eval(plan, path, **running)
