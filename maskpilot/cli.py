"""The command line. It parses, reports and sets exit codes; the work is done elsewhere.

Exit codes: 0 done, 1 a failure (its cause on stderr), 2 wrong usage, 130 interrupted. With --json, stdout
holds one JSON object and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from maskpilot import __version__

if TYPE_CHECKING:
    from maskpilot.agent import Policy
    from maskpilot.images import LoadedImage
    from maskpilot.trajectory import Step, Trajectory

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A multimodal LLM pilots SAM 3: it looks at the masks and prompts again until they are right.",
)

INTERRUPTED = 130


class SegmenterName(StrEnum):
    """The segmenters that `maskpilot.segmenters` knows; spelled out so that --help needs no import."""

    sam3 = "sam3"
    nano = "nano"
    untrained = "untrained"


class PolicyName(StrEnum):
    """Who decides."""

    one_shot = "one_shot"
    oracle = "oracle"


class ToolSet(StrEnum):
    """Which tools are on offer."""

    phrases = "phrases"
    core = "core"
    full = "full"


SegmenterOption = Annotated[SegmenterName, typer.Option(help="What finds the masks.")]
CheckpointOption = Annotated[
    Path | None, typer.Option(help="A file of weights, in place of those of the segmenter's own.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, cpu or mps (untested).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a run in this folder.")]


@app.command()
def refine(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    query: Annotated[str, typer.Argument(help='What to segment, e.g. "the second cup from the left".')],
    out: Annotated[Path, typer.Option(help="Folder for the run; new or empty.")],
    segmenter: SegmenterOption = SegmenterName.sam3,
    policy: Annotated[PolicyName, typer.Option(help="Who decides.")] = PolicyName.one_shot,
    truth: Annotated[
        Path | None,
        typer.Option(help="For --policy oracle: an image of the true masks, one grey value an instance."),
    ] = None,
    tools: Annotated[ToolSet, typer.Option(help="Tools on offer.")] = ToolSet.full,
    max_rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 20,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds at most.")] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    max_megapixels: Annotated[float, typer.Option(help="Refuse larger images.")] = 64.0,
    overwrite: OverwriteOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Segment what a query asks for in one image."""
    from maskpilot import refine as work
    from maskpilot.images import load_image
    from maskpilot.runfolder import RunFolder
    from maskpilot.segmenters import load_segmenter
    from maskpilot.tools import TOOL_SETS
    from maskpilot.types import Budget, Stop

    query = work.check_query(query)
    loaded = load_image(image, max_megapixels=max_megapixels)
    decides = _policy(policy, query, loaded, truth)
    budget = _budget(Budget, max_rounds=max_rounds, max_seconds=max_seconds)
    if resume:
        folder = RunFolder.open(out)
        earlier = work.resumable(folder, query, loaded)
    else:
        folder, earlier = RunFolder.create(out, overwrite=overwrite), None
    for note in loaded.notes:
        _say(f"{image}: {note}")
    with closing(load_segmenter(segmenter.value, checkpoint=checkpoint, device=device)) as engine:
        setup = work.prepare(
            query,
            loaded,
            tools=TOOL_SETS[tools.value],
            budget=budget,
            policy=decides,
            segmenter=engine,
        )
        trajectory = work.refine(
            setup, loaded, engine, decides, folder, resume=earlier, watch=_Rounds(quiet=as_json)
        )
    if as_json:
        _print_json(work.result_record(trajectory, str(image), out))
    else:
        _summary(trajectory, out)
    if trajectory.ending and trajectory.ending.stop is Stop.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; default: runs/demo, replaced.")
    ] = None,
    segmenter: Annotated[
        SegmenterName | None, typer.Option(help="Default: nano where its weights are there, else untrained.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Eight drawn scenes, offline: SAM 3 in one shot against a simulated annotator in the loop."""
    from maskpilot import demo as work
    from maskpilot.runfolder import RunFolder
    from maskpilot.segmenters import load_segmenter

    folder = RunFolder.create(out or Path("runs/demo"), overwrite=overwrite or out is None)
    name = segmenter.value if segmenter else work.best_segmenter()
    _say(f"loading the segmenter {name} ...")
    began = time.monotonic()
    with closing(load_segmenter(name)) as engine:
        tasks = work.demo_tasks()
        watch = _Samples(len(tasks))
        samples = work.run_demo(folder, engine, tasks, watch=watch)
    record = work.demo_record(samples, time.monotonic() - began, name)
    if as_json:
        _print_json(record)
    else:
        _demo_table(record, folder.path)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="The folder of a run of refine.")],
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Decide a recorded session anew, and see whether every mask comes out the same."""
    from maskpilot import refine as work
    from maskpilot.runfolder import RunFolder
    from maskpilot.segmenters import load_segmenter

    folder = RunFolder.open(run)
    recorded = work.read_session(folder)
    name = str(recorded.setup.segmenter.get("name"))
    with closing(load_segmenter(name, checkpoint=checkpoint, device=device)) as engine:
        differing = work.replay(folder, engine, recorded)
    rounds = len(recorded.steps)
    if as_json:
        _print_json(
            {"run_dir": str(run), "rounds": rounds, "identical": not differing, "differing": differing}
        )
    else:
        _say(f"{rounds - len(differing)} of {rounds} rounds are the same bit for bit")
    if differing:
        _fail(f"rounds {', '.join(str(index + 1) for index in differing)} give other masks than recorded")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what maskpilot raises on purpose becomes a message and an exit code.

    Args:
        arguments: in place of the process's own.

    Raises:
        SystemExit: always.
    """
    from maskpilot.errors import InvalidInput, MaskpilotError

    try:
        app(arguments)
    except InvalidInput as error:
        _fail(str(error), code=2)
    except MaskpilotError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted", code=INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"maskpilot {__version__}\n")
        raise typer.Exit


def _policy(name: PolicyName, query: str, image: LoadedImage, truth: Path | None) -> Policy:
    from maskpilot.agent import OneShot, Oracle
    from maskpilot.errors import InvalidInput
    from maskpilot.images import load_truth

    if name is PolicyName.one_shot:
        if truth is not None:
            raise InvalidInput("--truth goes with --policy oracle alone")
        return OneShot()
    if truth is None:
        raise InvalidInput("--policy oracle needs --truth: it is a simulated annotator that sees the answer")
    return Oracle(load_truth(truth, image.image.size), [query])


def _budget(budget: Any, **limits: float | None) -> Any:
    from maskpilot.errors import InvalidInput

    try:
        return budget(**limits)
    except ValueError as error:
        raise InvalidInput(str(error)) from error


class _Rounds:
    """Tells of every round on stderr as it happens."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def start(self, setup: object) -> None: ...

    def step(self, step: Step) -> None:
        if not self._quiet:
            calls = ", ".join(call.name for call in step.decision.calls) or "no call"
            problems = f"  {step.errors[0]}" if step.errors else ""
            _say(f"round {step.index + 1}: {calls}; {len(step.instances)} masks{problems}")

    def end(self, ending: object) -> None: ...


class _Samples:
    """Counts the demo's samples on stderr."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0

    def __call__(self, sample: Any) -> None:
        self._done += 1
        _say(f"{self._done}/{self._total} {sample.query}")


def _summary(trajectory: Trajectory, out: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    ending = trajectory.ending
    console = Console(highlight=False)
    if ending is not None:
        said = f"{ending.stop.value}, {ending.verdict.value}" + (
            f": {ending.reason}" if ending.reason else ""
        )
        console.print(Text(f"{len(trajectory.result)} masks after {len(trajectory.steps)} rounds ({said})"))
    console.print(Text(f"report: {out / 'report.html'}"))


def _demo_table(record: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("query", "one shot", "final", "rounds", "stop")
    for sample in record["samples"]:
        scores = (f"{sample['one_shot_iou']:.2f}", f"{sample['final_iou']:.2f}")
        table.add_row(sample["query"], *scores, str(sample["rounds"]), sample["stop"])
    means = (f"{record['one_shot_miou']:.2f}", f"{record['final_miou']:.2f}")
    table.add_row("mean IoU", *means, "", "", style="bold")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Simulated: the annotator sees the ground truth. {_about(record['segmenter'])}")
    console.print(
        "For real use: maskpilot refine IMAGE QUERY --segmenter sam3 --out DIR (weights: docs/segmenters.md)"
    )
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True)


def _about(segmenter: str) -> str:
    if segmenter == "untrained":
        return (
            "The segmenter is sam3's own code at small size with RANDOM weights: it shows that everything "
            "runs; its masks and these scores mean nothing."
        )
    if segmenter == "nano":
        return "The segmenter is sam3's own code at small size, trained on drawn scenes alone (docs/nano.md)."
    return "The segmenter is SAM 3."


def _say(message: str) -> None:
    sys.stderr.write(_printable(message) + "\n")
    sys.stderr.flush()


def _print_json(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record, default=list) + "\n")


def _fail(message: str, *, code: int = 1) -> NoReturn:
    _say(f"error: {message}")
    raise SystemExit(code)


def _printable(text: str) -> str:
    """Text from files and models without what a terminal would obey."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


if __name__ == "__main__":
    main()
