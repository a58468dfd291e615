"""`python -m benchmarks`: every benchmark, one process each, so that none warms or burdens another."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("startup", "overlay_speed", "prompt_tokens", "labeling", "sam3_speed")
"""The quick ones first; labeling takes some minutes, the last 6 GB and some minutes."""


def main() -> None:
    """Run all; the exit code is that of the first that failed."""
    codes = []
    for name in BENCHMARKS:
        print(f"==> {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    sys.exit(next((code for code in codes if code), 0))


if __name__ == "__main__":
    main()
