"""`maskpilot label`: a folder of images labeled with a set of classes, unattended."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskpilot.cli.console import INTERRUPTED, fail, print_json, say
from maskpilot.cli.engines import EngineName, at_work, read_listed
from maskpilot.cli.label_words import (
    outcome_record,
    print_json_survey,
    print_outcome,
    print_survey,
)
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
    refuse,
)

if TYPE_CHECKING:
    from maskpilot.agent.mllm.settings import MllmSettings
    from maskpilot.labeling.plan import Outcome, Plan
    from maskpilot.labeling.types import LabelClass

__all__ = ["label"]


class LabelPolicy(StrEnum):
    """Who labels."""

    mllm = "mllm"
    one_shot = "one_shot"


class WhenAsked(StrEnum):
    """When the model is asked."""

    always = "always"
    when_unsure = "when-unsure"


class OverlapName(StrEnum):
    """What becomes of pixels that two classes claim; spelled out so that --help needs no import."""

    keep = "keep"
    score = "score"
    order = "order"


IMAGES, LIMITS = "Which images", "Limits"
CLUSTER = "On a Ray cluster (docs/scaling.md)"
"""Panels of --help."""


def label(
    images: Annotated[Path, typer.Argument(help="A folder of images, with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; the same command goes on with it.")],
    classes: Annotated[
        Path | None, typer.Option(help="A YAML file of classes; see docs/labeling.md.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="One class, in place of --classes.")] = None,
    policy: Annotated[
        LabelPolicy | None, typer.Option(help="Who labels; mllm where a model is configured, else one_shot.")
    ] = None,
    mllm: Annotated[
        WhenAsked | None, typer.Option(help="when-unsure: one_shot first, the model where it is doubtful.")
    ] = None,
    overlap: Annotated[
        OverlapName, typer.Option(help="Of different classes: keep, or resolve by score or class order.")
    ] = OverlapName.keep,
    segmenter: SegmenterOption = SegmenterName.sam3,
    tools: Annotated[ToolSet, typer.Option(help="Tools on offer.")] = ToolSet.full,
    workers: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 4,
    max_rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of a session at most.", rich_help_panel=LIMITS)
    ] = 20,
    max_seconds: Annotated[
        float | None, typer.Option(help="Seconds of a session at most.", rich_help_panel=LIMITS)
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a session at most.", rich_help_panel=LIMITS)
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Cost of the whole run at most; needs prices.", rich_help_panel=LIMITS),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first N files at most.", rich_help_panel=IMAGES)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="N files, drawn by --seed.", rich_help_panel=IMAGES)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the sample; 0.", rich_help_panel=IMAGES)
    ] = None,
    skip_labeled: Annotated[
        Path | None, typer.Option(help="A COCO file; what it lists is left out.", rich_help_panel=IMAGES)
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="A COCO file; sessions begin with its masks.", rich_help_panel=IMAGES)
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Failed files too.", rich_help_panel=IMAGES)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Label nothing; say what it would take.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            min=0, help="Minutes to wait for a model that cannot be reached.", rich_help_panel=LIMITS
        ),
    ] = 60.0,
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
    max_megapixels: Annotated[
        float, typer.Option(help="Refuse larger images.", rich_help_panel=IMAGES)
    ] = 64.0,
    keep_sessions: Annotated[
        bool, typer.Option("--keep-sessions", help="Keep the logs of all sessions.")
    ] = False,
    engine: Annotated[
        EngineName, typer.Option(help="local: threads on this machine alone.", rich_help_panel=CLUSTER)
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option(help="The cluster; RAY_ADDRESS, else one on this machine.", rich_help_panel=CLUSTER),
    ] = None,
    segmenters: Annotated[
        int | None,
        typer.Option(min=1, help="Processes with a model; one for each GPU.", rich_help_panel=CLUSTER),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="A Parquet file or folder that lists the images of IMAGES.", rich_help_panel=CLUSTER
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Label a folder of images, unattended. The same command goes on where it ended."""
    from maskpilot.crew.progress import watch_on
    from maskpilot.errors import InvalidInput
    from maskpilot.labeling.about import check_folder
    from maskpilot.labeling.estimate import bounds, prospects
    from maskpilot.labeling.folder import scan
    from maskpilot.labeling.overlap import Overlap
    from maskpilot.labeling.plan import Plan
    from maskpilot.labeling.recipe import JobRecipe, SegmenterRecipe
    from maskpilot.labeling.runner import run_labeling, select
    from maskpilot.labeling.survey import survey
    from maskpilot.tools import TOOL_SETS

    if engine is EngineName.local and (address or segmenters or manifest):
        raise InvalidInput("--address, --segmenters and --manifest go with --engine ray")
    wanted = _classes(classes, query)
    _check_choice(sample=sample, seed=seed, dry_run=dry_run, overwrite=overwrite)
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
    _check(policy, mllm, asked, max_cost)
    _check_early(skip_labeled, start_from, max_cost=max_cost, max_megapixels=max_megapixels)
    budget = budget_of(max_rounds=max_rounds, max_seconds=max_seconds, max_tokens=max_tokens)
    listed = read_listed(manifest, images)
    found = scan(images, run=out) if listed is None else listed.found
    for problem in found.problems:
        say(problem)
    if dry_run:
        paths, left_out = select(found, skip_labeled=skip_labeled, sample=sample, seed=seed or 0, limit=limit)
        looked = survey(found.folder, paths, out, retry_failed=retry_failed, max_megapixels=max_megapixels)
        likely = prospects(looked.measured, looked.left, workers)
        if asked is not None and looked.size is not None:
            offered, always = TOOL_SETS[tools.value], mllm is not WhenAsked.when_unsure
            computed = bounds(asked, wanted, offered, looked.size, looked.left, max_tokens, always=always)
            likely = replace(likely, computed=computed)
        tell = print_json_survey if as_json else print_survey
        tell(looked, likely, left_out, classes=len(wanted))
        return
    recipe = JobRecipe(
        classes=wanted,
        asked=asked,
        when_unsure=mllm is WhenAsked.when_unsure,
        tools=TOOL_SETS[tools.value],
        budget=budget,
        overlap=Overlap(overlap.value),
    )
    # What is wrong with the endpoint's key, or with the run folder, is said before a model is loaded.
    recipe.pilots()
    check_folder(out, overwrite=overwrite)
    made = SegmenterRecipe(segmenter.value, checkpoint and checkpoint.absolute(), device)
    with at_work(engine, made, recipe, address, segmenters, listed) as (opened, does), watch_on() as watch:
        plan = Plan(
            images=images,
            job=recipe(opened),
            sample=sample,
            seed=seed or 0,
            limit=limit,
            workers=workers,
            skip_labeled=skip_labeled,
            start_from=start_from,
            retry_failed=retry_failed,
            max_cost=max_cost,
            patience=60.0 * patience,
            max_megapixels=max_megapixels,
            keep_sessions=keep_sessions,
        )
        told = _notices(plan)
        outcome = run_labeling(plan, out, overwrite=overwrite, found=found, watch=watch, engine=does)
    if as_json:
        print_json(outcome_record(outcome, told))
    else:
        print_outcome(outcome, told)
    _leave(outcome)


def _leave(outcome: Outcome) -> None:
    """With the exit code that the outcome calls for."""
    from maskpilot.labeling.plan import Ended

    if outcome.ended is Ended.interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.ended is Ended.unreachable:
        fail("the model could not be reached; the same command goes on")
    if outcome.ended is Ended.only_failures:
        fail("too many images in a row failed; the same command goes on")
    if outcome.failed and not outcome.done:
        fail("no image was labeled")


def _classes(path: Path | None, query: str | None) -> tuple[LabelClass, ...]:
    from maskpilot.errors import InvalidInput
    from maskpilot.labeling.classes import class_of_query, read_classes

    if (path is None) == (query is None):
        raise InvalidInput("say what to label: either --classes FILE or --query TEXT")
    return read_classes(path) if path is not None else (class_of_query(query or ""),)


def _check_choice(*, sample: int | None, seed: int | None, dry_run: bool, overwrite: bool) -> None:
    """See that options on what is to be labeled have an effect."""
    from maskpilot.errors import InvalidInput

    if dry_run and overwrite:
        raise InvalidInput(
            "--dry-run says what the run in --out still takes, --overwrite begins it anew: give one of them, "
            "or --dry-run with another --out"
        )
    if sample is None:
        refuse({"seed": seed}, "draws the --sample; --limit takes the first files")


def _check(
    policy: LabelPolicy | None, mllm: WhenAsked | None, asked: MllmSettings | None, max_cost: float | None
) -> None:
    """See that the options go together."""
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE
    from maskpilot.errors import InvalidInput

    if policy is LabelPolicy.mllm and asked is None:
        raise InvalidInput(f"--policy mllm: {HOW_TO_CONFIGURE}")
    if mllm is not None and policy is LabelPolicy.one_shot:
        raise InvalidInput("--mllm goes with --policy mllm: one_shot alone asks no model")
    if mllm is not None and asked is None:
        raise InvalidInput(f"--mllm: {HOW_TO_CONFIGURE}")
    if max_cost is not None and (asked is None or asked.prices is None):
        raise InvalidInput(
            "--max-cost needs a model and prices: --price-in and --price-out, per million tokens"
        )
    if policy is None and asked is None:
        hint_at_models()


def _check_early(*files: Path | None, **numbers: float | None) -> None:
    """See what a run would refuse only once the segmenter is loaded."""
    from maskpilot.errors import InvalidInput

    for path in files:
        if path is not None and not path.is_file():
            raise InvalidInput(f"{path}: no such file; expected COCO instances (JSON)")
    for name, value in numbers.items():
        if value is not None and not value > 0:
            option = name.replace("_", "-")
            raise InvalidInput(f"--{option}: expected a positive number, got {value:g}")


def _notices(plan: Plan) -> tuple[str, ...]:
    """What a reader must know before believing the labels."""
    from maskpilot.report.session import notices

    segmenter = plan.job.segmenter
    return notices(plan.job.first.settings, {"name": segmenter.name, **segmenter.provenance})
