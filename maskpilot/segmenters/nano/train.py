"""Train the small SAM 3 from nothing: python -m maskpilot.segmenters.nano.train --out runs/nano

Draws scenes, trains the image encoder on them, then the whole model, and writes nano.safetensors and
nano.json. Stopped and started again with the same folder, it goes on where it was. Needs scipy:
pip install 'maskpilot[train]'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer

from maskpilot.scenes import VOCABULARY
from maskpilot.segmenters.load import resolve_device
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.nano.training.checkpoint import export, read_checkpoint, write_checkpoint
from maskpilot.segmenters.nano.training.heads import TrainingHeads
from maskpilot.segmenters.nano.training.loop import Plan, train
from maskpilot.segmenters.nano.training.pool import Pool, build_pool
from maskpilot.segmenters.nano.training.pretrain import pretrain, see_principal_components

__all__ = ["SHIPPED", "run"]

SHIPPED = NanoConfig(
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
"""Dimensions of the model that comes with the package."""

FIRST_SEED = 1_000_000
"""Of the scenes to train on; tests, demo and evaluation use seeds below or far above."""


def run(
    folder: Path,
    *,
    config: NanoConfig = SHIPPED,
    scenes: int = 16_000,
    pretrain_minutes: float = 30.0,
    plan: Plan,
    device: torch.device,
    workers: int = 1,
) -> Path:
    """Do all of it in a folder; returns the path of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "pool" / "done"
    if not done.exists():
        build_pool(
            done.parent, first_seed=FIRST_SEED, count=scenes, resolution=config.resolution, workers=workers
        )
        done.touch()
    pool = Pool(done.parent)
    model = build_nano(config, VOCABULARY, seed=plan.seed, device=device)
    heads = TrainingHeads(config).to(device)
    with (folder / "log.jsonl").open("a") as file:

        def log(record: Mapping[str, float]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        if state := read_checkpoint(folder / "encoder.pt"):
            model.load_state_dict(state["model"])
            heads.load_state_dict(state["heads"])
        else:
            see_principal_components(model.backbone.vision_backbone.trunk.patch_embed.proj, pool)
            pretrain(model, heads, config, pool, minutes=pretrain_minutes, seed=plan.seed, log=log)
            state = {"model": model.state_dict(), "heads": heads.state_dict()}
            write_checkpoint(folder / "encoder.pt", state)
        weights = train(model, heads, config, pool, plan, checkpoint=folder / "model.pt", log=log)
    path = folder / "nano.safetensors"
    export(path, weights.items(), config, VOCABULARY)
    return path


def main(
    out: Annotated[Path, typer.Option(help="Folder for scenes, checkpoints, the log and the weights.")],
    minutes: Annotated[float, typer.Option(help="Of training the whole model.")] = 120.0,
    pretrain_minutes: Annotated[
        float, typer.Option(help="Of training the image encoder before that.")
    ] = 30.0,
    scenes: Annotated[int, typer.Option(help="Scenes to draw; about 200 kB each.")] = 16_000,
    seed: Annotated[int, typer.Option(help="Of weights, scenes and prompts.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw scenes.")] = 2,
) -> None:
    """Train the small SAM 3 on procedural scenes."""
    torch.manual_seed(seed)
    path = run(
        out,
        scenes=scenes,
        pretrain_minutes=pretrain_minutes,
        plan=Plan(minutes=minutes, seed=seed),
        device=resolve_device(device),
        workers=workers,
    )
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    typer.run(main)
