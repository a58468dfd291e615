"""How long `import maskpilot` and `maskpilot --help` take, beside importing torch. Prints seconds and ratios.

Whole processes, the best of several runs each, taken in turn: the machine's noise only ever adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import maskpilot": [sys.executable, "-c", "import maskpilot"],
    "maskpilot --help": [sys.executable, "-m", "maskpilot", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    """Wall seconds of one run of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def measure(runs: int) -> dict[str, float]:
    """Best wall seconds of each command."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(runs):
        for name, command in COMMANDS.items():
            best[name] = min(best[name], seconds(command))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    best = measure(options.runs)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in best.items()}))
        return
    for name, value in best.items():
        print(f"{name:18} {value:6.3f} s   {value / best['import torch']:5.2f} x import torch")
    print("goals: import maskpilot under 0.25 s, maskpilot --help under 0.5 s, on 2 cores")


if __name__ == "__main__":
    main()
