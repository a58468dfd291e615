"""Small labeling runs over folders of grey pictures on which a scripted segmenter sees a laid table."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from maskpilot.agent import Observation, OneShot
from maskpilot.labeling.job import Job
from maskpilot.labeling.pilots import Pilot, one_shot
from maskpilot.labeling.plan import Outcome, Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.types import ImageLabels, LabelClass
from maskpilot.segmenters.base import Segmenter
from maskpilot.types import Decision, Usage
from tests.shapes import HEIGHT, WIDTH, table

CUP, PLATE = LabelClass("cup"), LabelClass("plate", "the plate", ("not saucers",))
PAID = Usage(calls=1, prompt_tokens=100, completion_tokens=10, cost=0.01)


def picture(path: Path, grey: int) -> None:
    """A picture that no other grey is like, to the byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (grey, grey, 255 - grey)).save(path)


def photos(folder: Path, count: int) -> Path:
    """A folder of pictures, a third of them in a subfolder: 00.png, more/01.png, ..."""
    for number in range(count):
        picture(folder / ("more" if number % 3 == 1 else ".") / f"{number:02d}.png", number)
    return folder


class Told:
    """A watch that remembers; `on` is called with every standing and may raise."""

    def __init__(self, on: Callable[[Standing], None] | None = None) -> None:
        self.standings: list[Standing] = []
        self.notes: list[str] = []
        self._on = on

    def __call__(self, standing: Standing) -> None:
        self.standings.append(standing)
        if self._on:
            self._on(standing)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Model:
    """A pilot that costs something a round, and does what one shot does.

    Attributes:
        asked: (grey of the picture, query, round) of every decision that was paid for.
        trouble: called with the same before each decision; may raise.
    """

    def __init__(self, trouble: Callable[[int, str, int], None] = lambda grey, query, number: None) -> None:
        self.asked: list[tuple[int, str, int]] = []
        self.trouble = trouble

    @property
    def pilot(self) -> Pilot:
        return Pilot(lambda wanted: _Asked(self), {"name": "paid", "model": "a-model"}, reads=True)


class _Asked:
    description: Mapping[str, Any] = {"name": "paid"}

    def __init__(self, model: Model) -> None:
        self._model, self._one_shot = model, OneShot()

    def decide(self, observation: Observation) -> Decision:
        grey = observation.image.getpixel((0, 0))
        assert isinstance(grey, tuple)
        what = (grey[0], observation.query.splitlines()[0], len(observation.steps))
        self._model.trouble(*what)
        self._model.asked.append(what)
        return replace(self._one_shot.decide(observation), usage=PAID)


def label(
    out: Path,
    images: Path,
    pilot: Pilot | None = None,
    *,
    classes: tuple[LabelClass, ...] = (CUP, PLATE),
    segmenter: Segmenter | None = None,
    **options: Any,
) -> Outcome:
    """Run a small run; options of `Plan` and of `run_labeling`."""
    running = {
        name: options.pop(name) for name in ("overwrite", "watch", "engine", "found") if name in options
    }
    job = Job(classes=classes, segmenter=segmenter or table(), first=pilot or one_shot())
    return run_labeling(Plan(images=images, job=job, **options), out, **running)


def labels_of(out: Path) -> list[ImageLabels]:
    """What a run holds, without times."""
    with Store(out / LABELS, read_only=True) as store:
        return [replace(one, seconds=0.0) for one in store.images()]


def files_of(out: Path) -> dict[str, str]:
    """Path -> content of every labeled file."""
    with Store(out / LABELS, read_only=True) as store:
        return {one.path: one.labels.image.sha256 for one in store.labeled_files()}


def failures_of(out: Path) -> dict[str, tuple[str, str]]:
    """Path -> cause and error."""
    with Store(out / LABELS, read_only=True) as store:
        return {one.path: (one.cause, one.error) for one in store.failures()}
