"""Seconds to load many run records: as records, as a data frame, and as a data frame again from the index.

python benchmarks/records.py [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from synthetic_records import make_curves

import offbench
from offbench.evaluation.record_files import read_records, write_record

SEEDS = 20


def make(folder: Path, count: int) -> None:
    """Records of 21 evaluations with 10 episodes each, some 10 kB a file."""
    with mock.patch("os.fsync"):  # they need not outlive a crash
        for run in range(count // SEEDS):
            for record in make_curves("method", f"d4rl/dataset-{run}-v2", final=40, seeds=SEEDS):
                write_record(record, folder / str(run) / f"seed-{record.seed}.json")


def seconds(what: str, call: Callable[[], object]) -> None:
    """Print what a call takes."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, of the processor {time.process_time() - processor:.1f} s")


def main(count: int) -> None:
    """Make records in a temporary folder, and load them."""
    with tempfile.TemporaryDirectory() as name, mock.patch.dict("os.environ", OFFBENCH_CACHE=f"{name}/cache"):
        runs = Path(name, "runs")
        make(runs, count)
        print(f"{count} records")
        seconds("read_records", lambda: read_records([runs]))
        seconds("offbench.records, first", lambda: offbench.records(runs))
        seconds("offbench.records, again", lambda: offbench.records(runs))
        seconds('offbench.records(per="evaluation"), again', lambda: offbench.records(runs, per="evaluation"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
