"""Data larger than memory: a file of 200 GB trains, within 4 GiB of memory, on just the rows that its seed draws."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import large_files
import numpy as np
import pytest
from large_files import ACTION, DIGEST, LENGTH, SIZE, drawn, halves, write

from offbench.basis.known import keep_known

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what memory is anonymous")
MOST = 4 * 2**30  # bytes
A_STEP = 4 * (SIZE + ACTION + 1) + 2  # bytes


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def episodes_of(size: float) -> int:
    """Episodes of a file of ``size`` bytes."""
    return int(size / (A_STEP * LENGTH)) + 1


def trained(path: Path, where: str, memory: str = "mapped") -> tuple[np.ndarray, dict[str, float]]:
    """(what the updates learned from, what the process took)."""
    output = path.parent / f"run-{where}-{memory}"
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, large_files.__file__, str(path), where, str(output), memory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(output / "seen.npy"), json.loads(done.stdout.splitlines()[-1])


def check_seen(seen: np.ndarray, episodes: int) -> None:
    steps = drawn(episodes)
    assert np.array_equal(seen[..., :2], halves(steps))
    assert (seen[..., 2] == 1).all()
    assert np.array_equal(seen[..., SIZE], steps % 2 - 0.5)
    assert np.array_equal(seen[..., -1], steps % 7)


def test_a_file_of_200_gb_trains_on_the_rows_that_its_seed_draws(tmp_path: Path) -> None:
    path, episodes = tmp_path / "large.offbench", episodes_of(200e9)
    write(path, episodes, DIGEST)
    assert path.stat().st_size >= 200e9
    assert 512 * path.stat().st_blocks < 1e9  # of which few are on the disk
    keep_known(path, DIGEST)  # to read it through takes minutes: the next test does, with a smaller one
    seen, took = trained(path, "host")
    check_seen(seen, episodes)
    assert took["anonymous"] < MOST


@pytest.mark.slow
def test_reading_a_large_file_through_takes_no_memory_either(tmp_path: Path) -> None:
    path, episodes = tmp_path / "large.offbench", episodes_of(10e9)
    write(path, episodes, DIGEST)
    with pytest.raises(AssertionError, match="does not have the recorded digest"):
        trained(path, "host")
    write(path, episodes, _digest(path))
    seen, took = trained(path, "host")
    check_seen(seen, episodes)
    assert took["anonymous"] < MOST / 2
    assert trained(path, "host")[1]["seconds"] < took["seconds"] / 2  # for the second time it is not read through


@pytest.mark.slow
def test_batches_of_a_file_of_2_gb_are_those_of_data_in_memory(tmp_path: Path) -> None:
    path, episodes = tmp_path / "large.offbench", episodes_of(2e9)
    write(path, episodes, DIGEST)
    keep_known(path, DIGEST)
    seen = [trained(path, *how)[0] for how in (("host",), ("device",), ("device", "memory"))]
    check_seen(seen[0], episodes)
    assert all(np.array_equal(seen[0], other) for other in seen[1:])


def _digest(path: Path) -> str:
    from offbench.basis.tensors import map_tensors
    from offbench.data.digest import digest_of
    from offbench.formats import native

    return digest_of(map_tensors(path, native.FORMAT, native.VERSION, "trajectories")[0])
