"""`maskpilot demo`: the main job, offline, on drawn scenes."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from maskpilot.cli.console import print_json, printable, say
from maskpilot.cli.options import JsonOption, OverwriteOption, SegmenterName

__all__ = ["demo", "print_table"]


def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; default: runs/demo, an earlier demo replaced.")
    ] = None,
    segmenter: Annotated[
        SegmenterName, typer.Option(help="What to pilot; nano and untrained need no download.")
    ] = SegmenterName.nano,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Eight drawn scenes, offline: SAM 3 in one shot against a simulated annotator in the loop."""
    from maskpilot import demo as work
    from maskpilot.runfolder import RunFolder, locked
    from maskpilot.segmenters import load_segmenter

    where = out or Path("runs/demo")
    with locked(where):
        replaces = overwrite or (out is None and _holds_demo(where))
        folder = RunFolder.create(where, overwrite=replaces, resumes=False)
        say(f"loading the segmenter {segmenter.value} ...")
        began = time.monotonic()
        with closing(load_segmenter(segmenter.value)) as engine:
            tasks = work.demo_tasks()
            watch = _Samples(len(tasks))
            samples = work.run_demo(folder, engine, tasks, watch=watch)
    record = work.demo_record(samples, time.monotonic() - began, segmenter.value)
    if as_json:
        print_json(record)
    else:
        print_table(record, folder.path)


def _holds_demo(path: Path) -> bool:
    """Whether a folder's run is one of the demo, which costs nothing to make again."""
    from maskpilot.runfolder import RUN, RunFolder

    return (path / RUN).is_file() and RunFolder(path).read_json(RUN).get("command") == "demo"


class _Samples:
    """Counts the demo's samples on stderr."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def __call__(self, sample: Any) -> None:
        self._done += 1
        say(f"{self._done}/{self._total} {sample.query}")


def print_table(record: dict[str, Any], folder: Path) -> None:
    """Print a demo's record for people, with what is simulated in it and how to use the real thing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("query", "one shot", "final", "rounds", "stop")
    for sample in record["samples"]:
        scores = (f"{sample['one_shot_iou']:.2f}", f"{sample['final_iou']:.2f}")
        table.add_row(Text(sample["query"]), *scores, str(sample["rounds"]), sample["stop"])
    means = (f"{record['one_shot_miou']:.2f}", f"{record['final_miou']:.2f}")
    table.add_row("mean IoU", *means, "", "", style="bold")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Simulated: the annotator sees the ground truth. {_about(record['segmenter'])}")
    console.print(
        "For real use: maskpilot refine IMAGE QUERY --model MODEL --out DIR; SAM 3's weights: "
        "docs/segmenters.md, models: docs/endpoints"
    )
    console.print(Text(printable(f"report: {folder / 'report.html'}")), soft_wrap=True)


def _about(segmenter: str) -> str:
    if segmenter == "untrained":
        return (
            "The segmenter is sam3's own code at small size with RANDOM weights: it shows that everything "
            "runs; its masks and these scores mean nothing."
        )
    if segmenter == "nano":
        return "The segmenter is sam3's own code at small size, trained on drawn scenes alone (docs/nano.md)."
    return "The segmenter is SAM 3."
