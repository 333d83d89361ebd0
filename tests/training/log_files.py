"""What the logs of a run hold, read by others than those that wrote it."""

from __future__ import annotations

import csv
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

Rows = dict[tuple[int, int], dict[str, float]]  # by step and seed


def csv_rows(folder: Path) -> Rows:
    """``metrics.csv``; no row may stand in it twice."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    found = {
        (int(line.pop("step")), int(line.pop("seed"))): {name: float(cell) for name, cell in line.items() if cell}
        for line in lines
    }
    assert len(found) == len(lines)
    return found


def tensorboard_rows(folder: Path) -> Rows:
    """What TensorBoard's own reader finds; no step may come twice in a curve."""
    found: Rows = {}
    for place in sorted((folder / "tensorboard").iterdir()):
        seed = int(place.name.removeprefix("seed-"))
        reader = EventAccumulator(str(place), size_guidance={"scalars": 0}).Reload()
        for name in reader.Tags()["scalars"]:
            for event in reader.Scalars(name):
                row = found.setdefault((event.step, seed), {})
                assert name not in row
                row[name] = event.value
    return found


def wandb_files(folder: Path) -> list[Path]:
    """Those of Weights & Biases, from the oldest to the newest."""
    return sorted((folder / "wandb").glob("offline-run-*/*.wandb"))


def wandb_rows(file: Path) -> tuple[Rows, wandb_internal_pb2.RunRecord, int]:
    """Rows, what their run was told of ours, and its exit code, of one file of Weights & Biases that is finished."""
    rows, run, code = {}, None, None
    for record in _finished(file):
        which = record.WhichOneof("record_type")
        if which == "run":
            run = record.run
        elif which == "exit":
            code = record.exit.exit_code
        elif which == "history":
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = items.pop("_step", record.history.step.num)
            values = {name: value for name, value in items.items() if not name.startswith("_")}
            assert run is not None
            place = step, int(run.run_id.rpartition("-")[2])
            assert place not in rows
            rows[place] = values
    assert run is not None
    assert code is not None
    return rows, run, code


def _finished(file: Path) -> list[wandb_internal_pb2.Record]:
    """All records; a process of theirs writes them, and is not done yet when a run says that it is finished."""
    for _ in range(1000):
        found = list(_records(file.read_bytes())) if file.stat().st_size else []
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        time.sleep(0.01)
    raise AssertionError(f"{file} has no end")


def _records(content: bytes) -> Iterator[wandb_internal_pb2.Record]:
    """The records of a file: after seven bytes, pieces in blocks of 32 KiB, each with checksum, length and kind."""
    assert content[:4] == b":W&B"
    place, block, parts = 7, 32768, b""
    while place + 7 <= len(content):
        left = block - place % block
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        piece = content[place + 7 : place + 7 + length]
        place += 7 + length
        parts = piece if kind in (1, 2) else parts + piece
        if kind in (1, 4) and len(piece) == length:
            yield wandb_internal_pb2.Record.FromString(parts)


def single(rows: Rows) -> Rows:
    """Rows in single precision, which is TensorBoard's."""
    return {place: {name: float(np.float32(value)) for name, value in row.items()} for place, row in rows.items()}
