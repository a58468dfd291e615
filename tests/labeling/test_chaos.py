"""A run of labeling that is killed, starved of disk or interrupted ends as if nothing had happened."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from pycocotools.coco import COCO

from maskpilot.cli import main
from maskpilot.errors import RunFolderError
from maskpilot.labeling.plan import Ended, Outcome
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.types import ImageLabels
from maskpilot.testing import FaultyServer
from maskpilot.types import Usage
from tests.labeling.chaos import PRICE_IN, PRICE_OUT, WORKERS, Model, label
from tests.labeling.scenery import draw, small_scenes

VICTIM = """
import os, resource, signal, sys
from pathlib import Path
from tests.labeling.chaos import label

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit that it is ignored
run, images, url, scenes, life, room = sys.argv[1:]
if int(room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
tell = lambda event: os.write(1, event.encode() + b"\\n")
tell(label(Path(run), Path(images), url, scenes=int(scenes), life=int(life), tell=tell).ended)
"""


class Chaos:
    """A folder of drawn scenes, a model, and processes that label the ones with the other."""

    def __init__(self, folder: Path, scenes: int) -> None:
        self.folder, self.scenes = folder, scenes
        self.images = draw(folder / "images", small_scenes(scenes))
        self.model = Model()
        self.life = 0

    def labels(self, server: FaultyServer, run: Path) -> Outcome:
        """Label in this process, or go on with that."""
        self.life += 1
        return label(run, self.images, server.url, scenes=self.scenes, life=self.life)

    @contextmanager
    def victim(self, server: FaultyServer, run: Path, *, room: int = 0) -> Iterator[subprocess.Popen[bytes]]:
        """A process that does so; it tells of events on its stdout, and can write files of `room` bytes."""
        self.life += 1
        numbers = (str(self.scenes), str(self.life), str(room))
        command = [sys.executable, "-c", VICTIM, str(run), str(self.images), server.url, *numbers]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=Path(__file__).parents[2]) as process:
            yield process

    def killed_after(self, events: int, server: FaultyServer, run: Path) -> int:
        """Kill a victim when it has told of so many events; its exit code."""
        with self.victim(server, run) as victim:
            for _ in range(events):
                if not _stream(victim.stdout).readline():
                    break
            victim.send_signal(signal.SIGKILL)
        return victim.returncode

    def calm(self) -> tuple[list[ImageLabels], Outcome]:
        """What a run comes to that nobody disturbs."""
        run, model = self.folder / "calm", Model()
        with FaultyServer(model.turn) as server:
            outcome = label(run, self.images, server.url, scenes=self.scenes)
        assert outcome.summary.usage.tokens == model.tokens
        return without_costs(run), outcome


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def without_costs(run: Path) -> list[ImageLabels]:
    """What two runs must agree on: all but seconds, and what was paid for answers that could not be used."""
    with Store(run / LABELS, read_only=True) as store:
        return [
            replace(one, seconds=0.0, classes=tuple(replace(part, usage=Usage()) for part in one.classes))
            for one in store.images()
        ]


def paid(usage: Usage) -> float:
    """What tokens cost at the prices of the run."""
    return (usage.prompt_tokens * PRICE_IN + usage.completion_tokens * PRICE_OUT) / 1e6


def check_asked(model: Model, kills: int) -> None:
    """No round was asked again that was answered before, but where a process died with the answer in hand."""
    for session in {session for session, _ in model.bills}:
        rounds = [number for _, number in model.rounds(session)]
        assert rounds == sorted(rounds)
    died_with = defaultdict(set)  # the sessions in which something was asked again, by the process that died
    for (session, _), lives in model.bills.items():
        for life in set(lives) - {max(lives)}:
            died_with[life].add(session)
    assert len(died_with) <= kills
    assert all(len(sessions) <= WORKERS for sessions in died_with.values())


def check_same(chaos: Chaos, run: Path, outcome: Outcome) -> None:
    """The run is whole, says what it cost, and came to what an undisturbed one comes to."""
    labels, calm = chaos.calm()
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, chaos.scenes, 0)
    assert without_costs(run) == labels
    with Store(run / LABELS, read_only=True) as store:
        assert sorted(store.files()) == sorted(path.name for path in chaos.images.iterdir())
        assert store.labeled() == {file.sha256 for file in store.files().values()}
    assert outcome.summary.classes == calm.summary.classes
    assert outcome.summary.usage.tokens == chaos.model.tokens
    assert outcome.summary.usage.cost == pytest.approx(paid(outcome.summary.usage))


def chaos_of(folder: Path, scenes: int, kills: int, most: int) -> Model:
    """Kill a run so many times, each after `most` events at most, then see that nothing is wrong with it."""
    choice, run = random.Random(7), folder / "run"
    chaos = Chaos(folder, scenes)
    with FaultyServer(chaos.model.turn) as server:
        exits = [chaos.killed_after(choice.randint(1, most), server, run) for _ in range(kills)]
        outcome = chaos.labels(server, run)
    assert exits == [-signal.SIGKILL] * kills
    check_asked(chaos.model, kills)
    check_same(chaos, run, outcome)
    check_export(chaos, run, outcome)
    return chaos.model


def check_export(chaos: Chaos, run: Path, outcome: Outcome) -> None:
    """The canonical export has every image once, and its readers read it."""
    out = chaos.folder / "coco"
    with pytest.raises(SystemExit) as left:
        main(["export", str(run), "--format", "coco", "--out", str(out)])
    assert left.value.code == 0
    data = COCO(out / "annotations/instances_default.json")
    names = [image["file_name"] for image in data.loadImgs(data.getImgIds())]
    assert sorted(names) == sorted(path.name for path in chaos.images.iterdir())
    areas = [data.annToMask(one).sum() for one in data.loadAnns(data.getAnnIds())]
    assert len(areas) == outcome.summary.instances
    assert min(areas) > 0


def test_killed_at_any_time_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    chaos_of(tmp_path, scenes=5, kills=2, most=40)


@pytest.mark.chaos
def test_two_hundred_images_and_thirty_kills(tmp_path: Path) -> None:
    model = chaos_of(tmp_path, scenes=200, kills=30, most=230)
    faults = {name: count for name, count in model.faults.items() if name != "none"}
    share = sum(faults.values()) / model.faults.total()
    print(f"\n{model.faults.total()} requests, {share:.0%} spoilt: {faults}")  # noqa: T201
    assert share == pytest.approx(0.2, abs=0.03)


@pytest.mark.chaos
def test_a_full_disk_ends_it_and_room_lets_it_go_on(tmp_path: Path) -> None:
    chaos, run = Chaos(tmp_path, 40), tmp_path / "run"
    with FaultyServer(chaos.model.turn) as server:
        for room in (90_000, 200_000):
            with chaos.victim(server, run, room=room) as victim:
                told, complaints = victim.communicate(timeout=120)
            assert victim.returncode == 1
            assert b"RunFolderError" in complaints
            assert b"the same command goes on" in complaints
            assert b"commits" in told
        outcome = chaos.labels(server, run)
    check_asked(chaos.model, kills=2)
    check_same(chaos, run, outcome)


@pytest.mark.chaos
def test_ctrl_c_ends_it_although_the_model_holds_a_reply_back(tmp_path: Path) -> None:
    chaos, run = Chaos(tmp_path, 20), tmp_path / "run"
    holding, released = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 25:
            holding.set()
            released.wait(60)

    chaos.model.before = hold
    with FaultyServer(chaos.model.turn) as server:
        with chaos.victim(server, run) as victim:
            assert holding.wait(60)
            with pytest.raises(RunFolderError, match="another run is writing here"):
                chaos.labels(server, run)
            began = time.monotonic()
            victim.send_signal(signal.SIGINT)
            told, complaints = victim.communicate(timeout=50)
            seconds = time.monotonic() - began
        released.set()
        assert (victim.returncode, complaints) == (0, b"")
        assert told.splitlines()[-1] == Ended.interrupted.encode()
        assert seconds < 10 + 5  # to end the process; the model would have taken a minute
        outcome = chaos.labels(server, run)
    check_asked(chaos.model, kills=1)
    check_same(chaos, run, outcome)
