"""`python -m tests.cassettes.record`: play the sessions against llama.cpp and write the cassettes anew."""

from __future__ import annotations

import sys

from tests.cassettes.player import FOLDER, cassette
from tests.cassettes.serve import llama_server
from tests.cassettes.sessions import SESSIONS, check, play


def main() -> None:
    with llama_server() as url:
        for name in SESSIONS:
            (FOLDER / f"{name}.yaml").unlink(missing_ok=True)
            with cassette(name, record=True):
                check(play(name, url))
            sys.stdout.write(f"{name}: {(FOLDER / f'{name}.yaml').stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
