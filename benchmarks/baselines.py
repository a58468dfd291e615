"""Baselines on drawn scenes: one shot and simulated annotators, each with fewer and with more tools.

    python -m benchmarks.baselines --segmenter nano

Prints the tables of docs/results.md. Every number is simulated: the scenes are drawn, and the annotator is a
program that sees the ground truth. Runs lie under --out and are gone on with when it is called again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from maskpilot.agent import OracleErrors
from maskpilot.crew.progress import watch_on
from maskpilot.evals.datasets import open_dataset
from maskpilot.evals.pilots import Pilot, one_shot, oracle
from maskpilot.evals.plan import Plan
from maskpilot.evals.report import write_report
from maskpilot.evals.run import Run
from maskpilot.evals.runner import run_eval
from maskpilot.evals.statistics import Estimate
from maskpilot.evals.summary import Summary, summarise
from maskpilot.runfolder import versions
from maskpilot.segmenters import SEGMENTERS, load_segmenter
from maskpilot.tools import TOOL_SETS

RATES = (0.0, 0.1, 0.2, 0.3, 0.4)


def pilots(seed: int) -> Iterator[tuple[str, str, Pilot]]:
    """(name of the folder, title, pilot) of each row."""
    yield "one-shot", "one shot", one_shot()
    for rate in RATES:
        title = f"oracle, {rate:.0%} errors" if rate else "oracle"
        yield f"oracle-{rate:.0%}".rstrip("%"), title, oracle(OracleErrors.at_rate(rate), seed=seed)


def evaluate(plan: Plan, path: Path) -> tuple[Run, Summary]:
    """One run, or what is left of it."""
    sys.stderr.write(f"{path}\n")
    with watch_on() as watch:
        run = run_eval(plan, path, resume=True, watch=watch)
    summary = summarise(run)
    write_report(run, summary, plan.dataset)
    if not run.complete:
        raise SystemExit(f"{path}: stopped; call this again to go on")
    return run, summary


def share(found: Estimate | None) -> str:
    """A value in percent with its interval."""
    if found is None:
        return "—"
    if found.low is None or found.high is None:
        return f"{100 * found.value:.1f}"
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def number(found: Estimate | None) -> str:
    """A plain mean."""
    return "—" if found is None else f"{found.value:.2f}"


def table(names: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [names, tuple("---" for _ in names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Run what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--segmenter", choices=tuple(SEGMENTERS), default="nano")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tools", nargs="+", choices=tuple(TOOL_SETS), default=list(TOOL_SETS))
    parser.add_argument("--out", type=Path, default=Path("runs/baselines"))
    options = parser.parse_args()
    dataset = open_dataset("scenes", count=options.count, seed=options.seed)
    segmenter = load_segmenter(options.segmenter, checkpoint=options.checkpoint, device=options.device)
    found: dict[tuple[str, str], Summary] = {}
    runs: list[Run] = []
    with closing(segmenter):
        for folder, title, pilot in pilots(options.seed):
            for tools in options.tools:
                plan = Plan(
                    dataset,
                    segmenter,
                    pilot,
                    tools=TOOL_SETS[tools],
                    workers=options.workers,
                    seed=options.seed,
                    pictures=False,
                )
                run, found[title, tools] = evaluate(
                    plan, options.out / options.segmenter / f"{folder}-{tools}"
                )
                runs.append(run)
    print_tables(found, runs[0], options.tools)


def print_tables(found: Mapping[tuple[str, str], Summary], run: Run, tools: list[str]) -> None:
    """Print everything on stdout."""
    titles = list(dict.fromkeys(title for title, _ in found))
    about, facts = run.settings, versions()
    print(
        f"SIMULATED. {about['dataset']['samples']} drawn scenes, one query each, none of them photographs; "
        "the annotator is a program that sees the ground truth.\n"
        f"Segmenter {about['segmenter']['name']}, maskpilot {facts['maskpilot']} at {facts.get('git', '?')}, "
        f"seed {about['seed']}. In brackets: 95% intervals, clustered by image.\n"
    )
    print("Mean IoU, in percent\n")
    rows = [[title, *(share(found[title, one].loop.get("iou")) for one in tools)] for title in titles]
    print(table(("policy", *tools), rows))
    print("\nGain over one shot on the same samples, in points of IoU\n")
    piloted = [title for title in titles if title != "one shot"]
    rows = [[title, *(share(found[title, one].loop.get("gain")) for one in tools)] for title in piloted]
    print(table(("policy", *tools), rows))
    last = tools[-1]
    print(f"\nThe loop with the tools `{last}`\n")
    names = (
        "policy",
        "made worse %",
        "by over a point %",
        "stop regret, points",
        "too early %",
        "too late %",
        "rounds",
    )
    rows = [
        [
            title,
            *(
                share(found[title, last].loop.get(name))
                for name in ("made_worse", "worse_by_a_point", "regret", "too_early", "too_late")
            ),
            number(found[title, last].loop.get("rounds")),
        ]
        for title in piloted
    ]
    print(table(names, rows))


if __name__ == "__main__":
    main()
