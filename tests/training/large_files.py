"""A run on a file as large as one wishes, in a process of its own, whose memory is measured, for test_large_data.

The file is sparse: its columns are holes, which take no room on the disk, but for the rows that a run with seed 0 draws
in its first 100 updates. These hold their own number.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

import offbench
from offbench.algorithms.iql import IQL
from offbench.basis.tensors import _header
from offbench.data.provenance import Provenance
from offbench.formats import native
from offbench.nn.random import stream

LENGTH, SIZE, ACTION = 5000, 90, 8  # steps of an episode, numbers of an observation and of an action
UPDATES = BATCH = 100
DIGEST = 64 * "0"
SEEN: list[np.ndarray] = []


class _Hole:
    """A column that is described and not there."""

    def __init__(self, kind: str, *shape: int) -> None:
        self.dtype, self.shape = np.dtype(kind), shape
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize


def drawn(episodes: int) -> np.ndarray:
    """The steps that seed 0 draws, (updates, batch)."""
    return stream(0, "indices", 0).integers(episodes * LENGTH, size=(UPDATES, BATCH))


def write(path: Path, episodes: int, digest: str) -> None:
    """A native file of so many episodes, in which the drawn steps hold their number, in two halves each."""
    steps = episodes * LENGTH
    columns = {
        "observations": _Hole("f4", steps + episodes, SIZE),
        "actions": _Hole("f4", steps, ACTION),
        "rewards": _Hole("f4", steps),
        "offsets": _Hole("i8", episodes + 1),
        "action_low": _Hole("f4", ACTION),
        "action_high": _Hole("f4", ACTION),
        "terminations": _Hole("?", steps),
        "truncations": _Hole("?", steps),
        "final_observations": _Hole("?", episodes),
    }
    origin = json.dumps(asdict(Provenance(dataset="large")))
    metadata = {"format": native.FORMAT, "version": native.VERSION, "digest": digest, "provenance": origin}
    header = _header({name: [column] for name, column in columns.items()}, metadata)  # type: ignore[arg-type, list-item]
    chosen = np.unique(drawn(episodes))
    sources = chosen + chosen // LENGTH
    marked = np.concatenate([halves(chosen), np.ones((len(chosen), 1), np.float32)], axis=1)
    written = {
        "offsets": (np.zeros(1, np.int64), np.arange(episodes + 1)[None] * LENGTH),
        "action_low": (np.zeros(1, np.int64), np.full((1, ACTION), -1, np.float32)),
        "action_high": (np.zeros(1, np.int64), np.full((1, ACTION), 1, np.float32)),
        "final_observations": (np.zeros(1, np.int64), np.ones((1, episodes), bool)),
        "observations": (sources, marked),
        "actions": (chosen, (chosen[:, None] % 2 - 0.5).astype(np.float32)),
        "rewards": (chosen, (chosen[:, None] % 7).astype(np.float32)),
    }
    place = len(header)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(place + sum(column.nbytes for column in columns.values()))
        for name, column in columns.items():
            width = column.nbytes // column.shape[0]
            for row, values in zip(*written.get(name, ((), ())), strict=True):
                file.seek(place + int(row) * width)
                file.write(values.tobytes())
            place += column.nbytes


def halves(numbers: np.ndarray) -> np.ndarray:
    """Numbers as pairs that float32 holds."""
    return np.stack([numbers // 2**16, numbers % 2**16], axis=-1).astype(np.float32)


class Recording(IQL):
    """IQL, which writes down what it learns from."""

    def update(self, batch):  # type: ignore[no-untyped-def]
        SEEN.append(np.concatenate([batch.observations[0], batch.actions[0], batch.rewards[0, :, None]], axis=-1))
        return super().update(batch)


def anonymous() -> int:
    """Bytes of this process that are in no file."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not say what is anonymous")


def watched(most: list[int], done: threading.Event) -> None:
    while not done.wait(0.02):
        most[0] = max(most[0], anonymous())


def main(path: Path, where: str, output: Path, in_memory: bool) -> None:
    """Train on the file and print what was seen, the most anonymous memory and the seconds, as JSON."""
    most, done, started = [0], threading.Event(), time.perf_counter()
    watch = threading.Thread(target=watched, args=(most, done), daemon=True)
    watch.start()
    data = offbench.load(path)
    if in_memory:
        columns = {name: np.array(column) for name, column in data.columns().items()}
        data = offbench.Trajectories(**columns, action_range=data.action_range, provenance=data.provenance)
    options = {"steps": UPDATES, "seeds": 1, "workers": 1, "compile": "never", "quiet": True}
    small = {"hidden": (8, 8), "batch_size": BATCH, "normalise_states": False, "reward_transform": "none"}
    offbench.train(Recording, data, data_on=where, output=output, **options, **small)
    done.set()
    watch.join()
    seen = np.stack(SEEN[-UPDATES:])
    np.save(output / "seen.npy", seen, allow_pickle=False)
    print(json.dumps({"anonymous": max(most[0], anonymous()), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4] == "memory")
