"""A run on a Ray of this machine's own comes to what a run on its threads comes to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")

from PIL import Image

from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.errors import InvalidInput, PolicyError, SegmenterGone
from maskpilot.labeling.part import PARQUET, Part
from maskpilot.labeling.plan import Ended, Outcome, Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.ray.cluster import Cluster
from maskpilot.labeling.ray.engine import OnRay
from maskpilot.labeling.ray.manifest import read_manifest
from maskpilot.labeling.ray.records import pending
from maskpilot.labeling.ray.servers import start_servers
from maskpilot.labeling.recipe import JobRecipe
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.types import ImageLabels, LabelClass
from maskpilot.runfolder import RUN
from tests.labeling.ray.doubles import locked_out, nobody_home, red_things
from tests.segmenters.pictures import fake_segmenter

pytestmark = [
    pytest.mark.ray,
    # Ray Data 2.60 copies its own settings, and warns of those that are old.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data"),
]

IMAGES, MANY = 12, 120


@pytest.fixture(scope="module")
def servers(cluster: Any) -> Iterator[list[Any]]:
    actors = start_servers(fake_segmenter, 2, num_cpus=0.1)
    yield actors
    for actor in actors:
        cluster.kill(actor)


def draw(folder: Path, number: int) -> None:
    pixels = np.random.default_rng(number).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:02d}.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images, one of them broken and two the same."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(IMAGES):
        draw(folder, number)
    (folder / "03.png").write_bytes(b"no image at all")
    (folder / "twin.png").write_bytes((folder / "00.png").read_bytes())
    return folder


def run(servers: list[Any], images: Path, out: Path, **more: Any) -> Outcome:
    engine = OnRay(Cluster(rows=3), servers, red_things, more.pop("manifest", None))
    found = None if engine.manifest is None else engine.manifest.found
    plan = Plan(images, red_things(engine.segmenter()), **more)
    return run_labeling(plan, out, engine=engine, found=found)


def locally(images: Path, out: Path, **more: Any) -> Outcome:
    return run_labeling(Plan(images, red_things(fake_segmenter()), **more), out)


def held(out: Path) -> list[ImageLabels]:
    """What a run folder holds, but for what it took."""
    with Store(out / LABELS) as store:
        return [replace(labels, seconds=0.0) for labels in store.images()]


def files(out: Path) -> dict[str, str]:
    with Store(out / LABELS) as store:
        return {path: file.sha256 for path, file in store.files().items()}


def failures(out: Path) -> list[tuple[str, str]]:
    with Store(out / LABELS) as store:
        return [(failure.path, failure.cause) for failure in store.failures()]


def test_it_comes_to_what_threads_come_to(servers: list[Any], images: Path, tmp_path: Path) -> None:
    ended = run(servers, images, tmp_path / "ray")
    here = locally(images, tmp_path / "local")
    assert (ended.ended, ended.done, ended.failed) == (Ended.complete, IMAGES, 1)
    assert held(tmp_path / "ray") == held(tmp_path / "local")
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert failures(tmp_path / "ray") == failures(tmp_path / "local") == [("03.png", "ImageError")]
    assert replace(ended.summary, usage=here.summary.usage) == here.summary
    assert pending(tmp_path / "ray") == []


def test_an_engine_goes_on_where_another_ended(servers: list[Any], images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    locally(images, out, limit=4)
    parts = len(list((out / PARQUET).glob("*.parquet")))
    assert run(servers, images, out, limit=8).done == 7
    assert parts == 0
    last = locally(images, out)
    assert (last.ended, last.done, last.failed) == (Ended.complete, IMAGES, 1)
    locally(images, tmp_path / "local")
    assert held(out) == held(tmp_path / "local")


def test_a_run_that_is_done_asks_no_process(servers: list[Any], images: Path, tmp_path: Path) -> None:
    run(servers, images, tmp_path / "run")
    before = sorted((tmp_path / "run" / PARQUET).glob("*"))
    again = run(servers, images, tmp_path / "run")
    assert (again.ended, again.done, again.failed) == (Ended.complete, IMAGES, 1)
    assert sorted((tmp_path / "run" / PARQUET).glob("*")) == before


@pytest.mark.parametrize("along", [False, True], ids=["paths", "bytes"])
def test_images_of_a_manifest(servers: list[Any], images: Path, tmp_path: Path, along: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"{number:02d}.png" for number in range(6)]
    columns: dict[str, Any] = {"path": [*names[:5], str(images / names[5])]}
    if along:
        columns["bytes"] = [(images / name).read_bytes() for name in names]
    pq.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path / "manifest.parquet", images)
    assert manifest.has_bytes == along
    for _ in range(2):
        ended = run(servers, images, tmp_path / "ray", manifest=manifest)
        assert (ended.ended, ended.done, ended.failed) == (Ended.complete, 5, 1)
    locally(images, tmp_path / "local", limit=6)
    assert held(tmp_path / "ray") == held(tmp_path / "local")
    assert set(files(tmp_path / "ray")) == set(names)


def test_a_failed_file_is_tried_again_when_told_so(servers: list[Any], images: Path, tmp_path: Path) -> None:
    run(servers, images, tmp_path / "run")
    (images / "03.png").write_bytes((images / "04.png").read_bytes() + b"more")
    ended = run(servers, images, tmp_path / "run", retry_failed=True)
    assert (ended.done, ended.failed) == (IMAGES + 1, 0)


def test_a_key_that_a_machine_lacks_is_said(
    servers: list[Any], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = JobRecipe(
        (LabelClass("star"),), MllmSettings("m", base_url="http://127.0.0.1:9/v1", api_key_env="THE_KEY")
    )
    monkeypatch.setenv("THE_KEY", "sk-secret")  # here, but not where the cluster was started
    engine = OnRay(Cluster(), servers, recipe)
    with pytest.raises(InvalidInput, match=r"variable THE_KEY is empty.*on every machine") as raised:
        run_labeling(Plan(images, recipe(engine.segmenter())), tmp_path / "run", engine=engine)
    assert "sk-secret" not in str(raised.value)


def test_a_run_folder_that_others_do_not_see_is_said(
    servers: list[Any], images: Path, tmp_path: Path
) -> None:
    class Elsewhere(OnRay):
        def __call__(self, part: Part) -> None:
            (part.path / RUN).rename(part.path / "moved")
            super().__call__(part)

    engine = Elsewhere(Cluster(), servers, red_things)
    with pytest.raises(InvalidInput, match="storage that all machines of the cluster see"):
        run_labeling(Plan(images, red_things(engine.segmenter())), tmp_path / "run", engine=engine)


class Stopping:
    """A watch that stops the run as Ctrl-C would, once so much is done."""

    def __init__(self, after: int) -> None:
        self.notes: list[str] = []
        self._after: int | None = after

    def __call__(self, standing: Standing) -> None:
        if self._after is not None and standing.done >= self._after:  # several may be done at once
            self._after = None
            signal.raise_signal(signal.SIGINT)

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_ctrl_c_ends_it_and_the_same_call_goes_on(servers: list[Any], images: Path, tmp_path: Path) -> None:
    for number in range(IMAGES, MANY):  # so many that it cannot be through by then
        draw(images, number)
    out, watch = tmp_path / "run", Stopping(2)
    engine = OnRay(Cluster(rows=1), servers, red_things)
    plan = Plan(images, red_things(engine.segmenter()), workers=2)
    ended = run_labeling(plan, out, engine=engine, watch=watch)
    assert (ended.ended, 2 <= ended.done < MANY) == (Ended.interrupted, True)
    assert any("stopping after the requests in flight" in note for note in watch.notes)
    assert pending(out) == []
    last = run_labeling(plan, out, engine=engine)
    assert (last.ended, last.done, last.failed) == (Ended.complete, MANY, 1)
    locally(images, tmp_path / "local")
    assert held(out) == held(tmp_path / "local")


def test_segmenters_that_are_gone_for_good_are_no_images_fault(
    cluster: Any, servers: list[Any], images: Path, tmp_path: Path
) -> None:
    doomed = start_servers(fake_segmenter, 1, num_cpus=0.1)
    engine = OnRay(Cluster(rows=1), doomed, red_things)
    plan = Plan(images, red_things(engine.segmenter()))
    cluster.kill(doomed[0])
    with pytest.raises(SegmenterGone, match=r"processes died.*same command goes on"):
        run_labeling(plan, tmp_path / "run", engine=engine)
    assert [path for path, _ in failures(tmp_path / "run")] in ([], ["03.png"])
    assert run(servers, images, tmp_path / "run").ended is Ended.complete
    locally(images, tmp_path / "local")
    assert held(tmp_path / "run") == held(tmp_path / "local")


def test_an_endpoint_that_refuses_everybody_ends_the_run(
    servers: list[Any], images: Path, tmp_path: Path
) -> None:
    engine = OnRay(Cluster(), servers, locked_out)
    with pytest.raises(PolicyError, match="the key is wrong"):
        run_labeling(Plan(images, locked_out(engine.segmenter())), tmp_path / "run", engine=engine)
    assert [path for path, _ in failures(tmp_path / "run")] in ([], ["03.png"])  # no image's fault


def test_an_endpoint_that_stays_away_ends_the_run_when_patience_does(
    servers: list[Any], images: Path, tmp_path: Path
) -> None:
    engine = OnRay(Cluster(), servers, nobody_home)
    plan = Plan(images, nobody_home(engine.segmenter()), patience=0)
    ended = run_labeling(plan, tmp_path / "run", engine=engine)
    assert (ended.ended, ended.done) == (Ended.unreachable, 0)
    assert [path for path, _ in failures(tmp_path / "run")] in ([], ["03.png"])
