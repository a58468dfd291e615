"""`maskpilot datasets` and `maskpilot score`: no model, no segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maskpilot.cli.console import Every, print_json, printable, say
from maskpilot.cli.options import JsonOption, refuse
from maskpilot.wording import counted

__all__ = ["datasets", "score"]

SplitOption = Annotated[str | None, typer.Option(help="As the data set calls it; its default otherwise.")]
PathOption = Annotated[Path | None, typer.Option(help="The data set's folder; scenes needs none.")]


def datasets(
    name: Annotated[str | None, typer.Argument(help="Check this one at --path; list all without it.")] = None,
    path: PathOption = None,
    split: SplitOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Read every image and mask instead of a sample of 20.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the data sets, or check that one is complete."""
    from maskpilot.evals import commands

    if name is None:
        checks = {"path": path, "split": split, "everything": everything or None}
        refuse(checks, "without the NAME of a data set all are listed; name the one to check")
        listed = commands.list_datasets()
        if as_json:
            print_json({"datasets": listed})
        else:
            _print_list(listed)
        return
    record = commands.check_dataset(name, path, split=split, everything=everything)
    if as_json:
        print_json(record)
    else:
        _print_check(record)
    if record["faults"]:
        raise typer.Exit(1)


def score(
    dataset: Annotated[str, typer.Argument(help="One of `maskpilot datasets`.")],
    predictions: Annotated[
        Path,
        typer.Option(
            help="COCO results, exported instances or SA-Co predictions (JSON), or a folder of SAMPLE.png."
        ),
    ],
    path: PathOption = None,
    split: SplitOption = None,
    threshold: Annotated[
        float, typer.Option(help="Predictions that score below count for AP alone.", min=0.0, max=1.0)
    ] = 0.5,
    boundary: Annotated[bool, typer.Option("--boundary", help="Also boundary IoU; slow.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of scenes; 0.", min=0)] = None,
    count: Annotated[int | None, typer.Option(help="How many scenes.", min=1)] = None,
    as_json: JsonOption = False,
) -> None:
    """Score predictions that any system made."""
    from maskpilot.evals import commands

    if dataset != "scenes":
        refuse({"seed": seed}, "draws scenes, of other data sets there is nothing to draw; leave it out")
    record = commands.score_predictions(
        dataset,
        path,
        predictions,
        split=split,
        threshold=threshold,
        boundary=boundary,
        seed=seed or 0,
        count=count,
        watch=Every("samples scored"),
    )
    if as_json:
        print_json(record)
    else:
        _print_scores(record)


def _print_list(listed: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for about in listed:
        console.print(Text(about["name"], style="bold"))
        facts = {**about, "splits": ", ".join(about["splits"]), "metrics": ", ".join(about["metrics"])}
        for name in ("summary", "splits", "metrics", "licence", "home"):
            if facts[name]:
                console.print(Text(f"  {name:8} {facts[name]}"), soft_wrap=True)
    console.print("maskpilot datasets NAME --path DIR checks one; docs/datasets.md has their layouts.")


def _print_check(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for name, value in record["dataset"].items():
        console.print(Text(f"{name}: {value}"))
    console.print(f"{counted(record['samples'], 'sample')} on {counted(record['images'], 'image')}")
    for one in record["first"]:
        query = " ".join(one["query"].split())[:80]
        console.print(Text(printable(f"sample {one['sample']}, image {one['image_id']}: {query}")))
    for tag, values in record["tags"].items():
        console.print(Text(f"{tag}: " + ", ".join(f"{value} {count}" for value, count in values.items())))
    for fault in record["faults"]:
        say(f"fault: {fault}")
    faults, samples = counted(len(record["faults"]), "fault"), counted(record["looked_at"], "sample")
    console.print(f"{faults} in {samples} looked at")


def _print_scores(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from maskpilot.evals.metrics import METRICS

    table = Table("metric", "value", "95% interval")
    for name, found in record["metrics"].items():
        if found is None:
            table.add_row(METRICS[name].title, "undefined", "")
            continue
        interval = "" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"
        table.add_row(METRICS[name].title, f"{found['value']:.4f}", interval)
    console = Console(highlight=False)
    facts = record["dataset"]
    named = f"{facts['name']} {facts['split']}" if "split" in facts else facts["name"]
    console.print(Text(f"{named}: {counted(record['samples'], 'sample')}"))
    if "simulated" in facts:
        console.print(Text(f"simulated: {facts['simulated']}"))
    console.print(table)
    for tag, groups in record["metrics_by_tag"].items():
        for value, group in groups.items():
            found = [(METRICS[name].title, one) for name, one in group["metrics"].items() if one is not None]
            figures = ", ".join(f"{title} {one['value']:.4f}" for title, one in found)
            line = f"{tag} {value}, {counted(group['samples'], 'sample')}: {figures}"
            console.print(Text(printable(line)), soft_wrap=True)
    if record["without_predictions"]:
        samples = counted(record["without_predictions"], "sample")
        console.print(f"{samples} without a prediction: scored as nothing found")
    if record["below_threshold"]:
        below = counted(record["below_threshold"], "prediction")
        console.print(f"{below} scored below {record['threshold']:g}: in no number but AP (--threshold)")
    for name, count in record["left_out"].items():
        console.print(f"left out: {count:,} ({name})")
