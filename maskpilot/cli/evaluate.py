"""`maskpilot eval`: a data set answered and scored."""

from __future__ import annotations

import os
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskpilot.cli.console import INTERRUPTED, fail, print_json, say
from maskpilot.cli.estimates import AsZeroOption, cells
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

if TYPE_CHECKING:
    from maskpilot.agent.mllm.settings import MllmSettings
    from maskpilot.evals.pilots import Pilot
    from maskpilot.evals.run import Run
    from maskpilot.evals.summary import Summary

__all__ = ["evaluate"]

LISTED = 10
"""Samples and failures that a terminal shows; the report and --json have all."""


class Answerer(StrEnum):
    """Who answers the samples."""

    mllm = "mllm"
    one_shot = "one_shot"
    oracle = "oracle"
    replay = "replay"


def evaluate(
    dataset: Annotated[str, typer.Argument(help="A data set; `maskpilot datasets` lists them.")],
    policy: Annotated[Answerer, typer.Option(help="Who decides. oracle is simulated: it sees the truth.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; new or empty.")],
    path: Annotated[Path | None, typer.Option(help="Where the data set lies; scenes needs none.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data set.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="For scenes: how many to draw.")] = None,
    segmenter: SegmenterOption = SegmenterName.sam3,
    tools: Annotated[ToolSet, typer.Option(help="Tools on offer.")] = ToolSet.full,
    limit: Annotated[int | None, typer.Option(min=1, help="Samples at most, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Sessions at a time.")] = 4,
    max_rounds: Annotated[int, typer.Option(min=1, help="Rounds of a sample at most.")] = 20,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds of a sample at most.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of a sample at most.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Cost of the whole run at most.")] = None,
    oracle_errors: Annotated[
        float, typer.Option(min=0, max=1, help="For oracle: share of its decisions that go wrong.")
    ] = 0.0,
    replay_of: Annotated[Path | None, typer.Option(help="For replay: the run to decide again.")] = None,
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
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Also ask what the query alone finds.")
    ] = True,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Also write a page with pictures per sample.")
    ] = True,
    boundary: Annotated[bool, typer.Option("--boundary", help="Also boundary IoU of the results.")] = False,
    failures_as_zero: AsZeroOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: failed samples too.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer a data set and score the answers: official metrics, the loop, a report."""
    from maskpilot.crew.progress import watch_on
    from maskpilot.errors import InvalidInput
    from maskpilot.evals.datasets import open_dataset
    from maskpilot.evals.plan import Plan
    from maskpilot.evals.report import write_report
    from maskpilot.evals.run import Ended
    from maskpilot.evals.runner import check_folder, run_eval
    from maskpilot.evals.summary import summarise, summary_record
    from maskpilot.segmenters import load_segmenter
    from maskpilot.tools import TOOL_SETS

    if resume and overwrite:
        raise InvalidInput("--resume goes on with a run, --overwrite begins anew: give one of them")
    if retry_failed and not resume:
        raise InvalidInput("--retry-failed is about the run in --out: give --resume, too")
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
    if max_cost is not None and (asked is None or asked.prices is None):
        raise InvalidInput("--max-cost needs --policy mllm and prices: --price-in and --price-out")
    pilot = _pilot(policy, asked, oracle_errors=oracle_errors, seed=seed, replay_of=replay_of)
    samples = open_dataset(dataset, path, split=split, seed=seed, count=count)
    budget = budget_of(max_rounds=max_rounds, max_seconds=max_seconds, max_tokens=max_tokens)
    check_folder(out, resume=resume, overwrite=overwrite)
    say(f"loading the segmenter {segmenter.value} ...")
    with (
        closing(load_segmenter(segmenter.value, checkpoint=checkpoint, device=device)) as engine,
        watch_on() as watch,
    ):
        plan = Plan(
            dataset=samples,
            segmenter=engine,
            pilot=pilot,
            tools=TOOL_SETS[tools.value],
            budget=budget,
            limit=limit,
            seed=seed,
            workers=workers,
            max_cost=max_cost,
            baseline=baseline and policy is not Answerer.one_shot,
            pictures=pictures,
            boundary=boundary,
        )
        run = run_eval(
            plan,
            out,
            resume=resume,
            overwrite=overwrite,
            retry_failed=retry_failed,
            failures_as_zero=failures_as_zero,
            watch=watch,
        )
    summary = summarise(run)
    write_report(run, summary, samples)
    if as_json:
        print_json(summary_record(run, summary))
    else:
        _results(run, summary)
    if run.ended is Ended.interrupted:
        raise typer.Exit(INTERRUPTED)
    if run.failed and not run.answered:
        fail("no sample was answered")
    if run.ended is Ended.only_failures:
        fail("too many samples in a row failed")


def _pilot(
    name: Answerer, asked: MllmSettings | None, *, oracle_errors: float, seed: int, replay_of: Path | None
) -> Pilot:
    from maskpilot.agent import OracleErrors
    from maskpilot.errors import InvalidInput
    from maskpilot.evals import pilots

    if oracle_errors and name is not Answerer.oracle:
        raise InvalidInput("--oracle-errors goes with --policy oracle alone")
    if (replay_of is None) == (name is Answerer.replay):
        raise InvalidInput("--replay-of goes with --policy replay, and that one needs it")
    if replay_of is not None:
        return pilots.replay(replay_of)
    if name is Answerer.oracle:
        return pilots.oracle(OracleErrors.at_rate(oracle_errors), seed=seed)
    if name is Answerer.one_shot:
        return pilots.one_shot()
    return _model(asked)


def _model(asked: MllmSettings | None) -> Pilot:
    from maskpilot.agent.mllm.connect import connect
    from maskpilot.agent.mllm.memory import Memory, memory_file
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE
    from maskpilot.errors import InvalidInput
    from maskpilot.evals import pilots

    if asked is None:
        raise InvalidInput(f"--policy mllm: {HOW_TO_CONFIGURE}")
    return pilots.mllm(connect(asked, os.environ), asked, Memory(memory_file(os.environ)))


def _results(run: Run, summary: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    from maskpilot.evals.loop_metrics import LOOP_METRICS
    from maskpilot.evals.metrics import METRICS
    from maskpilot.evals.notices import run_notices

    console = Console(highlight=False)
    table = Table("", "value", "95% interval", "samples")
    for name, official in summary.official.items():
        table.add_row(METRICS[name].title, *cells(official))
    table.add_section()
    for name, found in summary.loop.items():
        metric = LOOP_METRICS[name]
        table.add_row(metric.title, *cells(found, form=metric.form))
    console.print(table)
    for line in run_notices(run):
        console.print(line, markup=False)
    for outcome in run.failed[:LISTED]:
        say(f"failed: {outcome.score.sample}: {outcome.score.error}")
    console.print(f"report: {run.path / 'report.html'}", soft_wrap=True, markup=False)
