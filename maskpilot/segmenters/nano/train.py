"""Train the small SAM 3 from nothing: python -m maskpilot.segmenters.nano.train --out runs/nano

Draws scenes, trains on them, and writes nano.safetensors and nano.json. Stopped and started again with the
same folder, it goes on where it was. On several CPU cores one process for each is fastest:
torchrun --nproc-per-node 2 -m maskpilot.segmenters.nano.train --out runs/nano
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import distributed

from maskpilot.errors import MaskpilotError, RunFolderError
from maskpilot.scenes import VOCABULARY
from maskpilot.segmenters.load import resolve_device
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.nano.training.checkpoint import export, start_from
from maskpilot.segmenters.nano.training.heads import TrainingHeads
from maskpilot.segmenters.nano.training.loop import Plan, train
from maskpilot.segmenters.nano.training.patches import see_principal_components
from maskpilot.segmenters.nano.training.pool import Pool, build_pool

__all__ = ["FIRST_SEED", "LARGE", "LAST_SEED", "SMALL", "run"]

SMALL = NanoConfig(
    resolution=288,
    vit_width=160,
    vit_depth=4,
    width=80,
    heads=2,
    feedforward=320,
    encoder_layers=2,
    decoder_layers=2,
    text_width=64,
    text_heads=2,
    text_layers=1,
    context_length=10,
)
"""What two CPU cores can train in hours."""

LARGE = NanoConfig(
    resolution=288, width=96, heads=4, feedforward=384, encoder_layers=3, decoder_layers=3, context_length=10
)
"""What a GPU can train in half an hour; still fast enough for inference on two CPU cores."""

GOING_ON = 0.5
"""Share of the curriculum that another run's weights have behind them."""
FIRST_SEED = 1_000_000
"""Of the scenes to train on; tests, demo and evaluation use seeds below or far above."""
LAST_SEED = 70_000_000
"""Where scenes to train on may begin at the latest: `nano.evaluate` begins at 90 million."""


def run(
    folder: Path,
    *,
    config: NanoConfig = SMALL,
    scenes: int = 16_000,
    plan: Plan,
    device: torch.device,
    workers: int = 1,
    start: Path | None = None,
    first_seed: int = FIRST_SEED,
) -> Path:
    """Do all of it in a folder, from nothing or from another run's checkpoint; returns the weights' path.

    Raises:
        RunFolderError: the folder, or the other run, holds what does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = not distributed.is_initialized() or distributed.get_rank() == 0
    done = folder / "pool" / "done"
    if first and not done.exists():
        build_pool(
            done.parent, first_seed=first_seed, count=scenes, resolution=config.resolution, workers=workers
        )
        done.touch()
    _wait_for_others()
    pool = Pool(done.parent)
    if pool.image.shape[1] != config.resolution:
        raise RunFolderError(
            f"{done.parent} holds scenes of {pool.image.shape[1]} pixels a side, and this run is for "
            f"{config.resolution}; choose another --out, or --resolution {pool.image.shape[1]}"
        )
    model = build_nano(config, VOCABULARY, seed=plan.seed, device=device)
    see_principal_components(model.backbone.vision_backbone.trunk.patch_embed.proj, pool)
    heads = TrainingHeads(config).to(device)
    if start:
        start_from(start, model, heads)
    with (folder / "log.jsonl").open("a") as file:

        def log(record: Mapping[str, float]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        weights = train(model, heads, config, pool, plan, checkpoint=folder / "model.pt", log=log)
    path = folder / "nano.safetensors"
    if first:
        export(path, weights.items(), config, VOCABULARY)
    _wait_for_others()
    return path


def _wait_for_others() -> None:
    if distributed.is_initialized():
        distributed.barrier()


def main(
    out: Annotated[Path, typer.Option(help="Folder for scenes, checkpoints, the log and the weights.")],
    minutes: Annotated[float, typer.Option(help="Of training, over all runs into this folder.")] = 180.0,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Go on from another run's model.pt, with the late part of the curriculum."
        ),
    ] = None,
    resolution: Annotated[int, typer.Option(help="Side of the squares that images become, in pixels.")] = 288,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    large: Annotated[bool, typer.Option(help="Train the larger model.")] = False,
    images: Annotated[int, typer.Option(help="Images of a step.")] = 10,
    prompts: Annotated[int, typer.Option(help="Prompts on each image of a step.")] = 5,
    scenes: Annotated[int, typer.Option(help="Scenes to draw; about 200 kB each.")] = 16_000,
    first_seed: Annotated[
        int,
        typer.Option(
            min=FIRST_SEED,
            max=LAST_SEED,
            help="Of the first scene: another run's scenes are no news to its weights.",
        ),
    ] = FIRST_SEED,
    seed: Annotated[int, typer.Option(help="Of weights and prompts.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw scenes; on a GPU also batches.")] = 2,
) -> None:
    """Train the small SAM 3 on procedural scenes."""
    torch.manual_seed(seed)
    place = resolve_device(device)
    if "WORLD_SIZE" in os.environ:
        torch.set_num_threads(1)
        distributed.init_process_group("gloo")
    on_gpu = place.type == "cuda"
    plan = Plan(
        minutes=minutes,
        done=GOING_ON if start else 0.0,
        images=images,
        prompts=prompts,
        rate=rate,
        seed=seed,
        workers=workers if on_gpu else 0,
    )
    try:
        path = run(
            out,
            config=replace(LARGE if large else SMALL, resolution=resolution),
            scenes=scenes,
            plan=plan,
            device=place,
            workers=workers,
            start=start,
            first_seed=first_seed,
        )
    except MaskpilotError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    typer.run(main)
