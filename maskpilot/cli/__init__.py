"""The command line. It parses, reports and sets exit codes; the work is done elsewhere.

Exit codes: 0 done, 1 a failure (its cause on stderr), 2 wrong usage, 130 interrupted. With --json, stdout
holds one JSON object and nothing else. Every module here imports what its command needs when it runs, so
that --help stays quick.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Annotated, Any, TextIO, cast

import typer
from typer.core import TyperGroup

from maskpilot import __version__
from maskpilot.cli.compare import compare
from maskpilot.cli.console import INTERRUPTED, Unfailing, fail, forget, say, tell_log
from maskpilot.cli.demo import demo
from maskpilot.cli.doctor import doctor
from maskpilot.cli.evaluate import evaluate
from maskpilot.cli.export import export
from maskpilot.cli.label import label
from maskpilot.cli.refine import refine, replay
from maskpilot.cli.score import datasets, score

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """The commands, of which Ctrl-C is told: typer makes an exit code of it without a word."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _ctrl_c_told():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        with _ctrl_c_told():
            return super().invoke(ctx)


@contextmanager
def _ctrl_c_told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A multimodal LLM pilots SAM 3: it looks at the masks and prompts again until they are right.",
)
for command in (refine, label, export, demo, replay, doctor, datasets, score, compare):
    app.command()(command)
app.command("eval")(evaluate)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what maskpilot raises on purpose becomes a message and an exit code.

    Args:
        arguments: in place of the process's own.

    Raises:
        SystemExit: always.
    """
    with redirect_stderr(cast(TextIO, Unfailing(sys.stderr))):
        _told(arguments)


def _told(arguments: Sequence[str] | None) -> None:
    from maskpilot.errors import InvalidInput, MaskpilotError

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the name of a class must not end a summary halfway
    try:
        _run(arguments)
    except InvalidInput as error:
        fail(str(error), code=2)
    except MaskpilotError as error:
        fail(str(error))
    except BrokenPipeError:  # who reads the output has seen enough
        forget(sys.stdout)
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is not None:
            # A path of the user's that is too long, or in a folder that may not be looked into.
            fail(f"{error.filename}: {error.strerror}")
        if error.errno != errno.ENOSPC:
            raise
        forget(sys.stdout)
        fail(f"the output cannot be written: {error.strerror}")


def _run(arguments: Sequence[str] | None) -> None:
    """Run a command until what it prints is written: a disk may turn out to be full only then."""
    try:
        app(arguments)
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell on stderr why things are done.")
    ] = False,
) -> None:
    tell_log(verbose=verbose)
    if version:
        sys.stdout.write(f"maskpilot {__version__}\n")
        raise typer.Exit
