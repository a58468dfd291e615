"""The report of a run: `report.html` with every sample, and a page with pictures for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from maskpilot.errors import MaskpilotError
from maskpilot.evals.loop_metrics import LOOP_METRICS
from maskpilot.evals.plan import select
from maskpilot.evals.report.page import Shown, render_page
from maskpilot.evals.report.sample import sample_rounds
from maskpilot.evals.results import Outcome
from maskpilot.evals.run import Run
from maskpilot.evals.summary import Summary
from maskpilot.evals.types import Dataset, Sample
from maskpilot.runfolder import RunFolder
from maskpilot.trajectory import read_trajectory

__all__ = ["interesting", "write_report"]

WORST, LOST, REGRETTED, GAINED = 8, 6, 4, 4
"""How many samples of each kind the page shows with pictures; the others have pages of their own."""


def write_report(run: Run, summary: Summary, dataset: Dataset | None = None) -> Path:
    """Write `report.html` into the run folder, over an earlier one.

    Args:
        run: complete or not.
        summary: of it.
        dataset: gives images and truths for the pictures; no pictures inside the page without it. A sample
            whose image is gone is left out of them.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    folder = RunFolder.open(run.path)
    shown: list[Shown] = []
    if dataset is not None:
        settings = run.settings
        samples = run.samples or select(dataset, settings["limit"], settings["seed"])
        by_id = {sample.id: sample for sample in samples}
        shown = list(_shown(folder, dataset, by_id, interesting(run.answered)))
    return folder.write("report.html", render_page(run, summary, shown, _pages(run.path)))


def interesting(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, str]]:
    """The samples from which a reader learns most, each with the reason: those that went worst first."""

    def by(metric: str) -> list[tuple[float, Outcome]]:
        of = LOOP_METRICS[metric].of
        pairs = [(value, one) for one in outcomes if (value := of(one.score.values)) is not None]
        return sorted(pairs, key=lambda pair: (pair[0], pair[1].number))

    kinds = (
        ("Worst", by("iou")[:WORST]),
        ("Worse than one shot", [pair for pair in by("gain")[:LOST] if pair[0] < 0]),
        ("Best round not returned", [pair for pair in by("regret")[::-1][:REGRETTED] if pair[0] > 0]),
        ("Gained most", [pair for pair in by("gain")[::-1][:GAINED] if pair[0] > 0]),
    )
    found: dict[int, tuple[Outcome, str]] = {}
    for reason, pairs in kinds:
        for _, outcome in pairs:
            found.setdefault(outcome.number, (outcome, reason))
    return list(found.values())


def _shown(
    folder: RunFolder,
    dataset: Dataset,
    samples: dict[str, Sample],
    chosen: Sequence[tuple[Outcome, str]],
) -> Iterator[Shown]:
    for outcome, reason in chosen:
        try:
            sample = samples[outcome.score.sample]
            trajectory = read_trajectory(folder.session(outcome.number))
            truth, image = dataset.truth(sample), dataset.image(sample).image
        except (KeyError, MaskpilotError):
            continue
        yield Shown(outcome, reason, sample_rounds(outcome.score.values, trajectory, truth, image))


def _pages(path: Path) -> frozenset[int]:
    return frozenset(int(page.stem) for page in (path / "samples").glob("[0-9]*.html"))
