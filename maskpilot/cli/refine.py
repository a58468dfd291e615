"""`maskpilot refine` and `maskpilot replay`: one query on one image."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskpilot.cli.console import INTERRUPTED, fail, print_json, printable, say
from maskpilot.cli.model import (
    ApiOption,
    BaseUrlOption,
    CallStyleOption,
    ConfigOption,
    CoordsOption,
    KeyOption,
    ModelOption,
    PriceCachedOption,
    PriceInOption,
    PriceOutOption,
    VerifyOption,
    hint_at_models,
    mllm_policy,
    mllm_settings,
)
from maskpilot.cli.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    SegmenterName,
    SegmenterOption,
    ToolSet,
    budget_of,
)
from maskpilot.wording import counted

if TYPE_CHECKING:
    from maskpilot.agent import Policy
    from maskpilot.agent.mllm.settings import MllmSettings
    from maskpilot.images import LoadedImage
    from maskpilot.trajectory import Step, Trajectory

__all__ = ["refine", "replay"]


class PolicyName(StrEnum):
    """Who decides."""

    mllm = "mllm"
    one_shot = "one_shot"
    oracle = "oracle"


def refine(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    query: Annotated[str, typer.Argument(help='What to segment, e.g. "the second cup from the left".')],
    out: Annotated[Path, typer.Option(help="Folder for the run; new or empty.")],
    segmenter: SegmenterOption = SegmenterName.sam3,
    policy: Annotated[
        PolicyName | None, typer.Option(help="Who decides; mllm where a model is configured, else one_shot.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="For --policy oracle: an image of the true masks, one grey value an instance."),
    ] = None,
    tools: Annotated[ToolSet, typer.Option(help="Tools on offer.")] = ToolSet.full,
    max_rounds: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 20,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds at most.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens at most, prompts and replies.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Cost at most; needs --price-in/out.")] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    api_key_env: KeyOption = None,
    api: ApiOption = None,
    coords: CoordsOption = None,
    call_style: CallStyleOption = None,
    verify: VerifyOption = None,
    price_in: PriceInOption = None,
    price_out: PriceOutOption = None,
    price_cached: PriceCachedOption = None,
    config: ConfigOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    max_megapixels: Annotated[float, typer.Option(help="Refuse larger images.")] = 64.0,
    overwrite: OverwriteOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Segment what a query asks for in one image."""
    from maskpilot import refine as work
    from maskpilot.errors import PolicyError, SessionFailed
    from maskpilot.images import load_image
    from maskpilot.results import result_record
    from maskpilot.runfolder import RunFolder, locked
    from maskpilot.segmenters import load_segmenter
    from maskpilot.tools import TOOL_SETS
    from maskpilot.types import Stop

    if resume and overwrite:
        fail("--resume goes on with a run, --overwrite begins anew: give one of them", code=2)
    query = work.check_query(query)
    loaded = load_image(image, max_megapixels=max_megapixels)
    asked = mllm_settings(
        config,
        policy=policy,
        model=model,
        base_url=base_url,
        api_key_env=api_key_env,
        api=api,
        coords=coords,
        call_style=call_style,
        verify=verify,
        price_in=price_in,
        price_out=price_out,
        price_cached=price_cached,
    )
    decides = _policy(policy, asked, query, loaded, truth)
    budget = budget_of(
        max_rounds=max_rounds, max_seconds=max_seconds, max_tokens=max_tokens, max_cost=max_cost
    )
    if max_cost is not None and (asked is None or asked.prices is None):
        fail("--max-cost needs prices: --price-in and --price-out, per million tokens", code=2)
    offered = TOOL_SETS[tools.value]
    for note in loaded.notes:
        say(f"{image}: {note}")
    if resume:
        RunFolder.open(out)  # before a folder is made of a name that was mistyped
    with locked(out):
        earlier = None
        if resume:
            folder = RunFolder.open(out)
            earlier = work.resumable(folder, query, loaded, policy=decides, tools=offered)
        else:
            folder = RunFolder.create(out, overwrite=overwrite)
        with closing(load_segmenter(segmenter.value, checkpoint=checkpoint, device=device)) as engine:
            setup = work.prepare(
                query, loaded, tools=offered, budget=budget, policy=decides, segmenter=engine
            )
            try:
                trajectory = work.refine(
                    setup, loaded, engine, decides, folder, resume=earlier, watch=_Rounds(quiet=as_json)
                )
            except SessionFailed as failure:
                if isinstance(failure.__cause__, PolicyError):  # no fault of what is recorded
                    fail(f"{failure}\n{out} keeps what was reached; the same command with --resume goes on")
                raise
    if as_json:
        print_json(result_record(trajectory, str(image), out))
    else:
        _summary(trajectory, out)
    if trajectory.ending and trajectory.ending.stop is Stop.interrupted:
        raise typer.Exit(INTERRUPTED)


def replay(
    run: Annotated[Path, typer.Argument(help="The folder of a run of refine.")],
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Decide a recorded session anew, and see whether every mask comes out the same."""
    from maskpilot import refine as work
    from maskpilot.crew.settings import differences
    from maskpilot.runfolder import RunFolder
    from maskpilot.segmenters import load_segmenter

    folder = RunFolder.open(run)
    recorded = work.read_session(folder)
    name = str(recorded.setup.segmenter.get("name"))
    with closing(load_segmenter(name, checkpoint=checkpoint, device=device)) as engine:
        differing = work.replay(folder, engine, recorded)
        others = differences(recorded.setup.segmenter, {"name": engine.name, **engine.provenance})
    rounds = len(recorded.steps)
    if as_json:
        print_json(
            {"run_dir": str(run), "rounds": rounds, "identical": not differing, "differing": differing}
        )
    else:
        say(f"the same bit for bit: {rounds - len(differing)} of {counted(rounds, 'round')}")
    if differing:
        numbers = ", ".join(f"round {index + 1}" for index in differing)
        fail("\n".join([f"other masks than recorded: {numbers}", *others]))


def _policy(
    name: PolicyName | None, asked: MllmSettings | None, query: str, image: LoadedImage, truth: Path | None
) -> Policy:
    from maskpilot.agent import OneShot, Oracle
    from maskpilot.errors import InvalidInput
    from maskpilot.images import load_truth

    if name is not PolicyName.oracle and truth is not None:
        raise InvalidInput("--truth goes with --policy oracle alone")
    if name is PolicyName.mllm or (name is None and asked is not None):
        return mllm_policy(asked)
    if name is not PolicyName.oracle:
        if name is None:
            hint_at_models()
        return OneShot()
    if truth is None:
        raise InvalidInput("--policy oracle needs --truth: it is a simulated annotator that sees the answer")
    return Oracle(load_truth(truth, image.image.size), [query])


class _Rounds:
    """Tells of every round on stderr as it happens."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def start(self, setup: object) -> None: ...

    def step(self, step: Step) -> None:
        if not self._quiet:
            calls = ", ".join(call.name for call in step.decision.calls) or "no call"
            problems = (*step.errors, *step.decision.objections)
            said = f"; {problems[0]}" if problems else ""
            say(f"round {step.index + 1}: {calls}; {counted(len(step.instances), 'mask')}{said}")

    def end(self, ending: object) -> None: ...


def _summary(trajectory: Trajectory, out: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    ending = trajectory.ending
    console = Console(highlight=False)
    if ending is not None:
        said = f"{ending.stop.value}, {ending.verdict.value}" + (
            f": {ending.reason}" if ending.reason else ""
        )
        masks = counted(len(trajectory.result), "mask")
        rounds = counted(len(trajectory.steps), "round")
        console.print(Text(f"{masks} after {rounds} ({printable(said)})"))
    console.print(Text(printable(f"report: {out / 'report.html'}")), soft_wrap=True)
