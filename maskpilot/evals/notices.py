"""What a reader must know before believing a run's numbers; every output says it."""

from __future__ import annotations

from maskpilot.evals.run import Run
from maskpilot.report.session import notices
from maskpilot.wording import counted

__all__ = ["run_notices"]


def run_notices(run: Run) -> list[str]:
    """What was simulated, who saw the truth, what is missing; one sentence each."""
    settings = run.settings
    found = list(notices(settings["policy"], settings["segmenter"]))
    if settings["sees_truth"]:
        found.append("The policy sees the ground truth: these numbers are no result of a model.")
    if simulated := run.about.get("facts", {}).get("simulated"):
        found.append(f"Simulated data: {simulated}.")
    absent = run.about.get("facts", {}).get("negatives per image", "all")
    if "ap" in settings["dataset"]["metrics"] and absent != "all":
        found.append(
            f"AP is over the classes asked for, of absent ones {absent} an image: it is not COCO's AP."
        )
    if not run.complete:
        found.append(f"Unfinished: {len(run.outcomes)} of {counted(run.total, 'sample')} so far.")
    if run.failed:
        unknown = sum(outcome.worst is None for outcome in run.failed)
        how = "in none of the means"
        if run.failures_as_zero:
            how = "counted as the worst answer"
            how += f", but for {unknown} whose truth is not known" if unknown else ""
        found.append(f"{len(run.failed)} of {counted(len(run.outcomes), 'sample')} failed: {how}.")
    return found
