"""The report: complete, self-contained, quick, and words stay words."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskpilot import masks
from maskpilot.agent import OracleErrors
from maskpilot.evals.pilots import oracle
from maskpilot.evals.report import interesting, write_report
from maskpilot.evals.report.page import render_page
from maskpilot.evals.report.pictures import FOUND, MISSED, WRONG, against_truth, true_picture
from maskpilot.evals.report.sample import sample_page
from maskpilot.evals.results import Outcome
from maskpilot.evals.run import Run, read_run
from maskpilot.evals.summary import summarise
from maskpilot.evals.types import Truth
from maskpilot.trajectory import read_trajectory
from tests.evals.tables import Tables, evaluate
from tests.shapes import HEIGHT, WIDTH, block, instance, rle
from tests.test_report import HOSTILE

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


class Page(HTMLParser):
    """What a browser would see: tags with attributes."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.tags]

    def values(self, attribute: str) -> list[str]:
        return [found for _, attributes in self.tags if (found := attributes.get(attribute))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an annotator that errs, with a failed sample, its report written."""
    path, dataset = tmp_path_factory.mktemp("report") / "run", Tables(16, broken=["s0006"])
    run = evaluate(path, dataset, oracle(OracleErrors.at_rate(0.4), seed=3), pictures=True)
    write_report(run, summarise(run), dataset)
    return path


def source(folder: Path) -> str:
    return (folder / "report.html").read_text()


def test_it_says_what_was_simulated_and_what_failed(folder: Path) -> None:
    page = source(folder)
    assert "The policy sees the ground truth" in page
    assert "“oracle” is a program" in page
    assert "Simulated data" in page
    assert "1 of 16 samples failed: in none of the means" in page
    assert "s0006: no truth" in page


def test_it_says_which_numbers_count_failures(folder: Path) -> None:
    counted = read_run(folder, failures_as_zero=True)
    page = render_page(counted, summarise(counted))
    assert "Loop numbers are over answered samples alone." in source(folder)
    assert "Loop numbers, but for IoU, are over answered samples alone." in page


def test_every_sample_is_in_the_table_and_has_a_page(folder: Path) -> None:
    links = [link for link in Page(source(folder)).values("href") if link.startswith("samples/")]
    assert len(links) == 15  # the failed one has no session to show
    assert all((folder / link).is_file() for link in links)
    assert [name for name in ("s0000", "s0006", "s0015") if name not in source(folder)] == []


def test_a_page_shows_every_round_beside_the_truth(folder: Path) -> None:
    steps = read_trajectory(folder / "sessions" / "000001.jsonl").steps
    page = (folder / "samples" / "000001.html").read_text()
    assert all(f"Round {number + 1}: IoU" in page for number in range(len(steps)))
    assert "Truth" in page
    assert 2 <= len(Page(page).values("src")) <= len(steps) + 1


def test_a_tag_hides_no_line_of_a_page_though_it_is_called_like_one(folder: Path) -> None:
    (outcome, *_), dataset = read_run(folder).outcomes, Tables(1)
    sample = next(iter(dataset))
    session = read_trajectory(folder / "sessions" / "000001.jsonl")
    score = replace(outcome.score, tags={"IoU": "a tag", "Image": "of a tag"})
    page = sample_page(score, session, dataset.truth(sample), dataset.image(sample).image)
    shown = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", re.sub(r"</?bdi[^>]*>", "", page))
    assert {("IoU", f"{score.values['iou']:.3f}"), ("IoU", "a tag")} <= set(shown)
    assert {("Image", "i0"), ("Image", "of a tag")} <= set(shown)


def test_a_column_of_a_tag_is_told_from_all_others(folder: Path) -> None:
    run = read_run(folder)
    tagged = tuple(replace(one, score=replace(one.score, tags={"iou": "high"})) for one in run.outcomes)
    page = render_page(replace(run, outcomes=tagged), summarise(run))
    heads = re.findall(r'<th scope="col" data-name="(.*?)">(.*?)</th>', page)
    assert {("iou", "IoU"), ("tag.iou", "tag.iou")} <= set(heads)
    assert len(dict(heads)) == len(heads)


def test_nothing_comes_from_elsewhere(folder: Path) -> None:
    for path in (folder / "report.html", *(folder / "samples").iterdir()):
        page = Page(path.read_text())
        assert all(link.startswith("data:image/webp;base64,") for link in page.values("src"))
        assert all(
            re.fullmatch(r"samples/\d{6}\.html|\.\./report\.html", link) for link in page.values("href")
        )
        assert not page.values("style")
        assert not [name for _, names in page.shape for name in names if name.startswith("on")]


def test_only_its_own_style_and_script_are_allowed(folder: Path) -> None:
    page = source(folder)
    policy = next(rule for rule in Page(page).values("content") if "default-src" in rule)
    for name in ("style", "script"):
        inside = re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("words", HOSTILE)
def test_words_stay_words(words: str, folder: Path) -> None:
    run = read_run(folder)
    assert _page_with(run, words).shape == _page_with(run, "the word cup").shape


def _page_with(run: Run, query: str) -> Page:
    outcome = run.outcomes[0]
    filled = replace(outcome, score=replace(outcome.score, query=query, tags={query: query}, error=query))
    values = {**outcome.score.values, "stop": query, "verdict": query}
    other = replace(outcome, score=replace(outcome.score, query=query, values=values))
    hostile = replace(run, outcomes=(filled, other))
    return Page(render_page(hostile, summarise(run)))


def test_true_missed_and_wrong_have_their_colours() -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "black")
    truth = Truth(((rle(0, 0, 40, 30),),))
    painted = np.asarray(against_truth(image, [instance(1, 20, 0, 60, 30)], truth))
    rows, columns = painted.shape[0] / HEIGHT, painted.shape[1] / WIDTH

    def at(x: int, y: int) -> list[int]:
        return [round(float(value) / 0.6) for value in painted[int(y * rows), int(x * columns)]]

    for place, colour in (((10, 15), MISSED), ((30, 15), FOUND), ((50, 15), WRONG), ((70, 50), (0, 0, 0))):
        assert at(*place) == pytest.approx(colour, abs=2)


def test_what_may_be_right_is_not_shown_as_wrong() -> None:
    """Where the truth is not exhaustive, an instance far from all true ones counts for nothing."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "black")
    truth = Truth(((rle(0, 0, 40, 30),),), exhaustive=False)
    painted = np.asarray(against_truth(image, [instance(1, 0, 0, 40, 30), instance(2, 50, 0, 60, 30)], truth))
    row, column = 15 * painted.shape[0] // HEIGHT, painted.shape[1] / WIDTH
    assert tuple(painted[row, int(20 * column)] / 0.6) == pytest.approx(FOUND, abs=2)
    red, green, blue = painted[row, int(55 * column)].tolist()
    assert red == green == blue > 0


def test_ignored_pixels_and_empty_truths_can_be_drawn() -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    ignored = masks.encode(block(0, 0, 20, 20))
    for truth in (Truth(((),), ignored), Truth(((), (rle(1, 1, 5, 5),)))):
        assert against_truth(image, [], truth).size == true_picture(image, truth).size
        assert against_truth(image, [instance(1, 1, 1, 5, 5)], truth).size == true_picture(image, truth).size


def test_the_samples_worth_a_look_come_with_a_reason(folder: Path) -> None:
    chosen = interesting(read_run(folder).answered)
    ious = [outcome.score.values["iou"] for outcome, _ in chosen]
    assert chosen[0][1] == "Worst"
    assert ious[0] == min(ious)
    assert len({outcome.number for outcome, _ in chosen}) == len(chosen)


def test_without_its_images_a_report_has_no_pictures(folder: Path, tmp_path: Path) -> None:
    run = evaluate(tmp_path / "run", Tables(4))
    page = write_report(run, summarise(run), Tables(4, broken=["i0"])).read_text()
    assert "Worth a look" not in page
    assert "s0003" in page


def many(run: Run, count: int) -> Run:
    """The same run with more samples."""
    outcomes: list[Outcome] = []
    for number in range(1, count + 1):
        like = run.answered[number % len(run.answered)]
        score = replace(like.score, sample=f"val-{number:05d}", image_id=f"i{number // 3}")
        outcomes.append(replace(like, number=number, score=score))
    settings = {**run.settings, "dataset": {**run.settings["dataset"], "samples": count}}
    return replace(run, outcomes=tuple(outcomes), about={**run.about, "settings": settings})


def test_five_thousand_samples_stay_small(folder: Path) -> None:
    began = time.monotonic()
    run = many(read_run(folder), 5000)
    page = render_page(run, summarise(run), pages=frozenset(range(5001)))
    assert len(page.encode()) < 5e6
    assert time.monotonic() - began < 15
    assert page.count("<tr>") > 5000


def browse(page: Path, *options: str) -> str:
    command = [CHROMIUM or "", *FLAGS.split(), f"--user-data-dir={page.parent / 'profile'}", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, timeout=120, check=True)
    return done.stdout.decode()


# Clicks and types as a reader would, in a copy of the page whose policy lets it.
READER = """
const click = (name) => document.querySelector(`th[data-name="${name}"] button`).click();
click("iou"); click("iou");
const input = document.querySelector("input");
input.value = TYPED;
input.dispatchEvent(new Event("input"));
"""


def filtered(report: str, typed: str, page: Path) -> str:
    """What a reader sees who sorts by IoU and types this into the filter."""
    reader = READER.replace("TYPED", json.dumps(typed))
    page.write_text(
        re.sub(r"script-src [^;]*", "script-src &#x27;unsafe-inline&#x27;", report).replace(
            "</html>", f"<script>{reader}</script></html>"
        )
    )
    return browse(page, "--dump-dom")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_it_opens_in_a_browser(folder: Path, tmp_path: Path) -> None:
    seen = filtered(source(folder), "iou<0.9 cup", tmp_path / "report.html")
    rows = re.findall(r'<tr( hidden="")?><td><bdi>.*?</td><td class="number">([\d.]*)</td>', seen)
    ious = [float(iou) for _, iou in rows if iou]
    assert len(rows) == 16
    assert ious == sorted(ious, reverse=True)
    shown = [float(iou) for hidden, iou in rows if not hidden]
    assert all(iou < 0.9 for iou in shown)
    assert f"{len(shown)} of 16 samples" in seen


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_column_and_its_values_may_have_spaces(folder: Path, tmp_path: Path) -> None:
    run = read_run(folder)
    tagged = tuple(
        replace(one, score=replace(one.score, tags={"room type": "hall" if one.number > 3 else "big hall"}))
        for one in run.outcomes
    )
    report = render_page(replace(run, outcomes=tagged), summarise(run))
    assert "3 of 16 samples" in filtered(report, '"tag.room type=big hall"', tmp_path / "report.html")
    assert "3 of 16 samples" in filtered(report, '"big hall" rounds>0', tmp_path / "report.html")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_foreign_script_does_not_run_and_the_page_shows_colours(folder: Path, tmp_path: Path) -> None:
    page, picture = tmp_path / "report.html", tmp_path / "shot.png"
    page.write_text(source(folder).replace("</html>", "<script>document.body.remove()</script></html>"))
    browse(page, "--window-size=1200,2600", f"--screenshot={picture}")
    with Image.open(io.BytesIO(picture.read_bytes())) as shot:
        pixels = np.asarray(shot.convert("RGB")).reshape(-1, 3)
    assert _has(pixels, FOUND)
    assert _has(pixels, WRONG)
    assert len(np.unique(pixels[::17], axis=0)) > 50


def _has(pixels: np.ndarray, colour: Sequence[int]) -> bool:
    return bool((np.abs(pixels.astype(int) - np.array(colour)).max(axis=1) <= 2).any())
