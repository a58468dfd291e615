"""One self-contained page about sessions: every round's overlay, calls and result.

Queries and the words of models are data: they are shown as text, and the page's content security policy
lets nothing run and nothing load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from maskpilot.report.document import document
from maskpilot.report.markup import Markup, join, tag
from maskpilot.report.session import banners, session_section, title_of
from maskpilot.trajectory import Trajectory
from maskpilot.types import ImageRef

__all__ = ["render_report"]

CSS = Path(__file__).with_name("report.css")


def render_report(
    trajectories: Sequence[Trajectory], load_image: Callable[[ImageRef], Image.Image | None]
) -> str:
    """The page, as HTML.

    Args:
        trajectories: sessions, in the order in which they are shown.
        load_image: gives the image of a session as upright RGB, or None where it is gone.
    """
    heading = "maskpilot report"
    notices = dict.fromkeys(notice for trajectory in trajectories for notice in banners(trajectory.setup))
    sections = [
        session_section(number, trajectory, load_image(trajectory.setup.image))
        for number, trajectory in enumerate(trajectories, start=1)
    ]
    body = tag(
        "body",
        tag("header", tag("h1", heading), join(tag("p", notice, class_="banner") for notice in notices)),
        _overview(trajectories) if len(trajectories) > 1 else None,
        tag("main", *(sections or [tag("p", "No sessions.")])),
    )
    return document(heading, body, style=CSS.read_text(encoding="utf-8"))


def _overview(trajectories: Sequence[Trajectory]) -> Markup:
    rows = []
    for number, trajectory in enumerate(trajectories, start=1):
        ending = trajectory.ending
        rows.append(
            tag(
                "tr",
                tag("td", str(number), class_="number"),
                tag("td", tag("a", title_of(trajectory), href=f"#session-{number}", dir="auto")),
                tag("td", ending.verdict.value if ending else "—"),
                tag("td", ending.stop.value if ending else "killed"),
                tag("td", str(len(trajectory.steps)), class_="number"),
                tag("td", str(len(trajectory.result)), class_="number"),
                tag("td", f"{ending.seconds:.1f}" if ending else "—", class_="number"),
            )
        )
    names = ("#", "Query", "Verdict", "Stop", "Rounds", "Masks", "Seconds")
    table = tag("table", tag("tr", *(tag("th", name, scope="col") for name in names)), *rows)
    return tag("nav", tag("h2", f"{len(trajectories)} sessions"), tag("div", table, class_="wide"))
