"""`maskpilot doctor`: what is missing here, and what a model can do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskpilot.cli.console import print_json
from maskpilot.cli.model import (
    ApiOption,
    BaseUrlOption,
    CallStyleOption,
    ConfigOption,
    CoordsOption,
    KeyOption,
    ModelOption,
    mllm_settings,
)
from maskpilot.cli.options import CheckpointOption, JsonOption, SegmenterName, SegmenterOption

if TYPE_CHECKING:
    from maskpilot.agent.mllm.settings import MllmSettings
    from maskpilot.doctor import Found, Row

__all__ = ["doctor"]


def doctor(
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    api_key_env: KeyOption = None,
    api: ApiOption = None,
    coords: CoordsOption = None,
    call_style: CallStyleOption = None,
    config: ConfigOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at this machine alone.")] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Remember how the model counts and calls tools, for later runs.")
    ] = False,
    max_seconds: Annotated[float, typer.Option(min=1, help="For all requests to the model.")] = 300.0,
    segmenter: SegmenterOption = SegmenterName.sam3,
    checkpoint: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine and a model's endpoint: a table, each row ok or with its fix."""
    from maskpilot.agent.mllm.endpoint import SHORTEST_SECRET
    from maskpilot.doctor import Health, examine_machine
    from maskpilot.errors import InvalidInput

    if offline and store:
        raise InvalidInput("--store remembers how a model answers, --offline asks none: give one of them")
    rows = list(examine_machine(segmenter.value, checkpoint, Path.cwd()))
    settings, found, stored = None, None, False
    try:
        settings = mllm_settings(
            config,
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            api=api,
            coords=coords,
            call_style=call_style,
        )
        found = _found(settings, max_seconds) if settings is not None and not offline else None
    except InvalidInput as error:
        rows += _unusable(str(error))
    else:
        rows += _endpoint_rows(found, offline=offline)
        if store and found is not None and settings is not None:
            stored = _store(settings, found)
    ok = all(row.health is not Health.failed for row in rows)
    key = os.environ.get(settings.api_key_env if settings else "OPENAI_API_KEY", "").strip()
    key = key if len(key) >= SHORTEST_SECRET else ""
    if as_json:
        print_json(_hidden(_record(ok, rows, settings, found, stored=stored), key))
    else:
        _print(rows, stored=stored, key=key)
    raise typer.Exit(0 if ok else 1)


def _found(settings: MllmSettings, seconds: float) -> Found:
    """Raises:
    InvalidInput: there is no key, or an address of no use.
    """
    from maskpilot.agent.mllm.connect import connect
    from maskpilot.agent.mllm.memory import Memory, memory_file
    from maskpilot.doctor import examine_endpoint

    with connect(settings, os.environ) as wire:
        return examine_endpoint(settings, wire, Memory(memory_file(os.environ)), seconds=seconds)


def _endpoint_rows(found: Found | None, *, offline: bool) -> tuple[Row, ...]:
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE
    from maskpilot.doctor import CHECKS, Health, skipped

    if found is not None:
        return found.rows
    if offline:
        return skipped(CHECKS, "--offline")
    missing = _configuration(Health.failed, "no model is configured", HOW_TO_CONFIGURE.partition(": ")[2])
    return (missing, *skipped(CHECKS, "no model is configured"))


def _unusable(why: str) -> tuple[Row, ...]:
    from maskpilot.doctor import CHECKS, Health, skipped

    failed = _configuration(Health.failed, why, "see docs/endpoints for what can be set, and where")
    return (failed, *skipped(CHECKS, "the configuration cannot be used"))


def _configuration(health: Any, detail: str, fix: str) -> Row:
    from maskpilot.doctor import Row

    return Row("configuration", health, detail, fix)


def _store(settings: MllmSettings, found: Found) -> bool:
    """Remember what was found; whether there was anything to remember."""
    from maskpilot.agent.mllm.memory import Memory, memory_file

    memory = Memory(memory_file(os.environ))
    if found.convention is not None:
        memory.remember_convention(settings.key, found.convention)
    if found.styles:
        memory.remember_style(settings.key, found.styles[0], "the doctor found it to work")
    return found.convention is not None or bool(found.styles)


def _record(
    ok: bool, rows: list[Row], settings: MllmSettings | None, found: Found | None, *, stored: bool
) -> dict[str, Any]:
    from maskpilot.agent.mllm.endpoint import shown_url

    ranking = found.ranking if found else None
    return {
        "ok": ok,
        "rows": [
            {"check": row.check, "health": row.health.value, "detail": row.detail, "fix": row.fix}
            for row in rows
        ],
        "model": settings.model if settings else None,
        "base_url": shown_url(settings.base_url) if settings and settings.base_url else None,
        "call_styles": [style.value for style in found.styles] if found else [],
        "coords": found.convention.name if found and found.convention else None,
        "iou": {score.convention.name: round(score.iou, 4) for score in ranking.scores} if ranking else {},
        "stored": stored,
    }


def _hidden(value: Any, key: str) -> Any:
    """Without the key, wherever an endpoint may have said it."""
    if isinstance(value, str):
        return value.replace(key, "[key]") if key else value
    if isinstance(value, dict):
        return {name: _hidden(one, key) for name, one in value.items()}
    return [_hidden(one, key) for one in value] if isinstance(value, list) else value


def _print(rows: list[Row], *, stored: bool, key: str) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    colours = {"ok": "green", "note": "yellow", "failed": "bold red", "skipped": "dim"}
    # Folded, not cut: a path is of use only whole.
    table = Table("check", "", Column("what was found, and what to do", overflow="fold"))
    for row in rows:
        said = Text(_hidden(row.detail, key))
        if row.fix:
            said.append(f"\nfix: {_hidden(row.fix, key)}", "italic")
        table.add_row(row.check, Text(row.health.value, colours[row.health.value]), said)
    console = Console(highlight=False)
    console.print(table)
    if stored:
        console.print("Remembered for later runs, where no option says otherwise.")
