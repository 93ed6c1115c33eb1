"""Seconds until `inkfire --help` and `inkfire judge --help` have answered, against importing pydantic, same run.

    python benchmarks/bench_startup.py [repeats]

Prints the median of each (7 repeats, taken in turns) and its ratio to a process that only imports pydantic, which any
command with strict settings needs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import pydantic": ["-c", "import pydantic"],
    "inkfire --help": ["-m", "inkfire", "--help"],
    "inkfire judge --help": ["-m", "inkfire", "judge", "--help"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds(arguments)  # the first one compiles, and fills the file cache
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    peer = statistics.median(taken["import pydantic"])
    for name, values in taken.items():
        median = statistics.median(values)
        print(f"{name:22} {median:.3f} s  ({min(values):.3f} to {max(values):.3f})  ratio {median / peer:.2f}")


if __name__ == "__main__":
    main()
