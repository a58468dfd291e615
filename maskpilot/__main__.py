"""The command `maskpilot`, and `python -m maskpilot`.

Nothing else is imported before Ctrl-C is waited for: the command line itself takes some tenths of a second.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C ends it in a word, whenever it comes.

    Raises:
        SystemExit: always.
    """
    try:
        from maskpilot.cli import main as command_line  # noqa: PLC0415 (see above)

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
