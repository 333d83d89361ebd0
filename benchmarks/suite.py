"""How long the tests take, by themselves and beside two busy processes, in turns.

Each round runs what ``make test`` runs after the lint and prints one line: the load of the last minute before it began,
the wall clock, the processor time of all its processes, and pytest's last line. A round whose tests fail counts for
nothing, and the script ends with an error.

    python benchmarks/suite.py --rounds 3
    python benchmarks/suite.py --select tests/nn    # instead of all tests and notebooks
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from _busy import busy

ROOT = Path(__file__).resolve().parents[1]
BUSY = 2  # processes that compute beside the tests


@dataclass(frozen=True)
class Round:
    """One run of the tests: seconds of wall clock and of processor time in user and system mode, children included."""

    wall: float
    user: float
    system: float
    failed: bool
    summary: str


def run(select: str | None) -> Round:
    """Run the tests with what is installed; nothing is installed anew."""
    command = ["make", "--silent", "--old-file=.venv/.installed", "suite", *([f"SELECT={select}"] if select else [])]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    lines = done.stdout.strip().splitlines() or ["no output"]
    if done.returncode:
        print(*lines[-40:], sep="\n")
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return Round(wall, user, system, done.returncode != 0, lines[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="of each kind")
    parser.add_argument("--select", help="arguments for pytest in place of all tests and notebooks")
    arguments = parser.parse_args()
    rounds: dict[int, list[Round]] = {0: [], BUSY: []}
    print("beside | load before | wall s | user s | system s | processor min |")
    for _ in range(arguments.rounds):
        for count, done in rounds.items():
            load = os.getloadavg()[0]
            with busy(count):
                one = run(arguments.select)
            done.append(one)
            row = f"{load:11.2f} | {one.wall:6.0f} | {one.user:6.0f} | {one.system:8.0f}"
            print(f"{count:6} | {row} | {(one.user + one.system) / 60:13.1f} | {one.summary}", flush=True)
    alone, shared = (statistics.median(one.wall for one in done) for done in rounds.values())
    times = shared / alone
    print(f"median wall clock: {alone:.0f} s alone, {shared:.0f} s beside {BUSY} busy processes, {times:.2f} times")
    return any(one.failed for done in rounds.values() for one in done)


if __name__ == "__main__":
    sys.exit(main())
