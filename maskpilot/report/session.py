"""One session of the report: its facts, its rounds, its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from maskpilot.agent.policy import model_of
from maskpilot.report.markup import Markup, join, tag
from maskpilot.report.parts import facts, instance_table, words
from maskpilot.report.pictures import data_uri, result_picture
from maskpilot.report.rounds import round_card
from maskpilot.trajectory import Changes, Ending, Setup, Trajectory, best_step
from maskpilot.types import Instance, Usage
from maskpilot.wording import counted

__all__ = ["banners", "notices", "session_section", "title_of"]

TITLE = 120


def banners(setup: Setup) -> tuple[str, ...]:
    """What a reader must know before believing a session's result; see `notices`."""
    return notices(setup.policy, setup.segmenter)


def notices(policy: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader must know before believing a number: what was simulated, and what was never trained.

    Args:
        policy: what a run records of its policy.
        about: what it records of its segmenter.
    """
    found = []
    segmenter = str(about.get("name", ""))
    weights = str(about.get("weights", ""))
    if segmenter == "untrained" or weights.startswith("untrained"):
        found.append("Untrained segmenter: its weights are random numbers, so the masks mean nothing.")
    elif segmenter == "nano":
        found.append("Small segmenter: SAM 3's architecture, trained on drawn scenes alone.")
    elif about.get("simulated") or "test double" in str(about.get("segmenter", "")):
        found.append("Simulated segmenter: a test double, not a model.")
    if policy.get("simulated"):
        name = str(policy.get("name", "policy"))[:60]
        found.append(f"Simulated policy: “{name}” is a program, not a model that looks at pictures.")
    return tuple(found)


def title_of(trajectory: Trajectory) -> str:
    """The query, cut to a line."""
    line = " ".join(trajectory.setup.query.split())
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"


def session_section(number: int, trajectory: Trajectory, image: Image.Image | None) -> Markup:
    """A session as a section of the page; without its image it has no pictures."""
    start = trajectory.setup.start
    best = trajectory.ending.best if trajectory.ending else best_step(trajectory.steps, start)
    rounds = [
        round_card(trajectory.steps, index, image, is_result=index == best, start=start)
        for index in range(len(trajectory.steps))
    ]
    return tag(
        "section",
        _header(trajectory),
        tag("p", "The image is missing from the run folder.", class_="error") if image is None else None,
        _start(start, image) if start else None,
        *rounds,
        _result(trajectory, best, image),
        id=f"session-{number}",
    )


def _header(trajectory: Trajectory) -> Markup:
    setup, ending = trajectory.setup, trajectory.ending
    usage = ending.usage if ending else trajectory.usage
    title = title_of(trajectory)
    about = {
        "Verdict": ending.verdict.value if ending else "—",
        "Stop": ending.stop.value if ending else "killed before its end",
        "Rounds": str(len(trajectory.steps)),
        "Masks": str(len(trajectory.result)),
        "Seconds": f"{ending.seconds:.1f}" if ending else None,
        "Policy": " · ".join(filter(None, (_name(setup.policy), model_of(setup.policy)))),
        "Segmenter": _name(setup.segmenter),
        "Tokens": _tokens(usage),
        "Cost": None if usage.cost is None else f"{usage.cost:.4g}",
        "Image": f"{setup.image.name} ({setup.image.width} × {setup.image.height} px)",
        "Created": setup.created or None,
    }
    provenance = json.dumps(_provenance(setup), indent=1, ensure_ascii=False, default=repr)
    return tag(
        "header",
        tag("h2", tag("bdi", title)),
        None if title == setup.query else tag("div", words(setup.query)),
        facts(about),
        tag("details", tag("summary", "Provenance"), tag("pre", provenance)),
        class_="session",
    )


def _start(start: Sequence[Instance], image: Image.Image | None) -> Markup:
    """What was there before the first round."""
    ids = tuple(one.id for one in start)
    figure = None
    if image is not None:
        picture = result_picture(image, start, locked=ids)
        figure = tag("figure", tag("img", src=data_uri(picture), alt="masks at the start"))
    says = [tag("p", "These masks were there before the session."), instance_table(start, Changes(), ids)]
    return tag(
        "article",
        tag("h3", "Start"),
        tag("div", figure, tag("div", *says), class_="round"),
        class_="card",
    )


def _result(trajectory: Trajectory, best: int | None, image: Image.Image | None) -> Markup:
    ending = trajectory.ending
    killed = tag("p", "The session was killed before its end.", class_="error")
    says = [_ending(ending) if ending else killed]
    if best is None and not trajectory.result:
        says.append(tag("p", "The result is empty."))
    else:
        where = "before the first round" if best is None else f"after round {best + 1}"
        says.append(tag("p", f"The result is what was shown {where}."))
        says.append(instance_table(trajectory.result, Changes(), ()) or tag("p", "No masks.", class_="quiet"))
    figure = None
    if image is not None:
        picture = result_picture(image, trajectory.result)
        figure = tag("figure", tag("img", src=data_uri(picture), alt="result"))
    body = tag("div", figure, tag("div", *says), class_="round")
    return tag("article", tag("h3", "Result"), body, class_="card result")


def _ending(ending: Ending) -> Markup:
    return join(
        [
            tag("p", "Verdict ", tag("b", ending.verdict.value), ", stop ", tag("b", ending.stop.value)),
            tag("blockquote", words(ending.reason)) if ending.reason.strip() else None,
            tag("div", words(ending.error), class_="error") if ending.error else None,
        ]
    )


def _name(about: Mapping[str, Any]) -> str:
    return str(about.get("name") or "")


def _tokens(usage: Usage) -> str | None:
    if not usage.tokens:
        return None
    return f"{usage.prompt_tokens} in, {usage.completion_tokens} out, {counted(usage.calls, 'request')}"


def _provenance(setup: Setup) -> dict[str, object]:
    return {
        "policy": dict(setup.policy),
        "segmenter": dict(setup.segmenter),
        "versions": dict(setup.versions),
        "tools": list(setup.tools),
        "image_sha256": setup.image.sha256,
    }
