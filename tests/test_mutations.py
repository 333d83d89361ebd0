"""Damaged and malicious files: each is read as a valid dataset or refused with an OffbenchError.

None may crash the process, take more than 5 seconds or 2 GiB, or run code. The slow tests read 10,000, the fast ones
the first 2,100 of them, in processes of their own, see mutation_worker.py; one is reproduced by
``python tests/mutation_worker.py KIND SEED 1 FOLDER``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("mutation_worker.py")
KINDS = ("hdf5", "npz", "native", "pickle", "card", "episodes", "folder")
GIBIBYTE = 2**30


def read_mutated(kind: str, first: int, count: int, folder: Path) -> dict[str, int]:
    """What became of the files of these seeds: how many were read, how many refused."""
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", WORKER, kind, str(first), str(count), folder],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    lines = process.stdout.splitlines()
    if process.returncode != 0:
        last = lines[-1] if lines else "none"
        name = signal.Signals(-process.returncode).name if process.returncode < 0 else process.returncode
        pytest.fail(f"the worker ended with {name} at seed {last} of {kind}: {process.stderr[-2000:]}")
    report = json.loads(lines[-1])
    assert report["guilty"] == []
    assert report["peak"] < 2 * GIBIBYTE
    assert report["slowest"] < 5
    assert sum(report["outcomes"].values()) == count
    return report["outcomes"]


@pytest.mark.parametrize("total", [2_100, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_of_each_kind(kind: str, total: int, tmp_path: Path) -> None:
    outcomes = read_mutated(kind, 0, total // len(KINDS), tmp_path)
    # Both happen often, so that neither the mutations nor the readers are trivial.
    assert min(outcomes["read"], outcomes["refused"]) > total / 200
