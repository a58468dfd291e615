"""The engine of one machine: threads around one segmenter, which batches what arrives together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from maskpilot.crew.ahead import ahead
from maskpilot.crew.threads import shared, work
from maskpilot.labeling.labeler import Labeler
from maskpilot.labeling.part import Part
from maskpilot.labeling.reading import Reader

__all__ = ["local"]

READERS, DEPTH = 4, 8
"""Threads that read ahead, and images that they have ready at most."""

GRACE = 10.0
"""Seconds for what is in flight after Ctrl-C."""


def local(part: Part) -> None:
    """Label files with `plan.workers` threads, and others that read ahead of them. See `Engine`."""
    plan, books = part.plan, part.books
    reader = Reader(part.folder, books.files, books.labeled, books.failed, plan.max_megapixels)
    labeler = Labeler(plan.job, part.start, part.logs, part.control, part.outage, puts_off=True)
    _label(part, part.paths, reader, labeler)
    put_off = labeler.second_turn()
    if put_off and not part.control.stopped:
        _label(part, put_off, reader, labeler)


def _label(part: Part, paths: Sequence[str], reader: Reader, labeler: Labeler) -> None:
    with closing(ahead(paths, reader, threads=READERS, depth=DEPTH)) as files:
        work(
            shared(files),
            labeler,
            part.take,
            workers=min(part.plan.workers, len(paths)),
            control=part.control,
            note=part.watch.note,
            grace=GRACE,
        )
    if labeler.ended_run is not None:
        raise labeler.ended_run
