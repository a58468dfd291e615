"""`maskpilot export`: labels of a run as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from maskpilot.cli.console import Every, print_json, printable, say
from maskpilot.cli.options import JsonOption
from maskpilot.wording import counted

__all__ = ["export"]

NOTICES = {
    "instances_not_sure": ("instance", "left out: not sure"),
    "images_not_asked_for": ("image", "left out: nothing to look at"),
    "doubtful": ("answer", "doubtful: the image may hold more of that class than is exported"),
    "images_not_labeled": ("image", "missing: could not be labeled"),
    "images_moved": ("file", "gone: exported from others with the same content"),
    "renamed": ("image", "called something else here: names.json"),
    "turned": ("image", "stored lying (EXIF): labels fit the upright image, so readers must turn it"),
    "symbolic_links": ("image", "linked by symbolic links, since hard ones were refused"),
}
"""What is told of an account where the figure is not 0: what it counts, and what about it."""


class FormatName(StrEnum):
    """The formats that `maskpilot.labeling.export` knows; spelled out so that --help needs no import."""

    coco = "coco"
    coco_polygon = "coco-polygon"
    yolo_seg = "yolo-seg"
    labelme = "labelme"
    masks = "masks"
    label_studio = "label-studio"
    cvat = "cvat"
    parquet = "parquet"


class OnlyName(StrEnum):
    """Which labels."""

    all = "all"
    sure = "sure"
    review = "review"


class ImagesName(StrEnum):
    """What becomes of the image files."""

    copy = "copy"
    link = "link"
    reference = "reference"


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run of label.")],
    form: Annotated[
        FormatName, typer.Option("--format", help="What is written; docs/export.md has a table.")
    ],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the data set.")],
    only: Annotated[
        OnlyName, typer.Option(help="sure: labels that nothing speaks against; review: images to look at.")
    ] = OnlyName.all,
    val: Annotated[
        float, typer.Option(help="Share of images for validation, by content; 0: no split.")
    ] = 0.0,
    images: Annotated[ImagesName, typer.Option(help="What becomes of the image files.")] = ImagesName.copy,
    image_folder: Annotated[
        Path | None, typer.Option(help="Where the images are now, if they moved.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Pixels by which polygons may be off, for fewer corners.")
    ] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export in this folder.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a data set of a run's labels, and tell what a reader of it gets back."""
    from maskpilot.labeling.export.formats import find_format
    from maskpilot.labeling.export.order import Only, Order
    from maskpilot.labeling.export.pictures import Images
    from maskpilot.labeling.export.run import export as work

    order = Order(
        run,
        out,
        find_format(form.value),
        only=Only(only.value),
        val=val,
        images=Images(images.value),
        image_folder=image_folder,
        tolerance=tolerance,
        overwrite=overwrite,
    )
    account = work(order, watch=Every("images exported"))
    if as_json:
        print_json({**account, "out": str(out)})
    else:
        _print(account, out)


def _print(account: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    loss = account["loss"]
    table = Table("class", "instances", "written", "lost", "changed", "mean IoU", "lowest IoU")
    for name, part in loss["classes"].items():
        table.add_row(Text(_one_line(name)), *_cells(part))
    if len(loss["classes"]) > 1:
        table.add_section()
        table.add_row("all", *_cells(loss))
    console = Console(highlight=False)
    console.print(table)
    for line in _lines(account):
        console.print(Text(line), soft_wrap=True)
    for row in account["first_problems"][:5]:
        kept = "exported all the same" if row["exported"] else "left out"
        say(f"{_one_line(row['image'])}: {row['problem']}; {kept}")
    if account["problems"] > 5:
        say(f"{account['problems'] - 5} more in {out / 'problems.jsonl'}")
    console.print(Text(f"{out}: {account['format']}; export.json has this account"), soft_wrap=True)


def _cells(part: dict[str, Any]) -> list[str]:
    counts = [str(part[name]) for name in ("instances", "written", "lost", "changed")]
    shares = ["" if part[name] is None else f"{part[name]:.4f}" for name in ("mean_iou", "lowest_iou")]
    return counts + shares


def _lines(account: dict[str, Any]) -> Iterator[str]:
    """What a person should know beside the table."""
    splits = ", ".join(f"{count} {split}" for split, count in account["splits"].items())
    split = f" ({splits})" if splits else ""
    yield f"{counted(account['pictures'], 'image')}{split}, {account['negatives']:,} without labels"
    if account["loss"]["changed"] or account["loss"]["lost"]:
        yield f"{account['format']}: {account['limits']}"
    counts = {**account, "doubtful": sum(account["doubtful"].values())}
    for name, (noun, words) in NOTICES.items():
        if counts[name]:
            yield f"{counted(counts[name], noun)} {words}"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))[:80]
