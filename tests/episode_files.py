"""A dataset as files of the formats that keep episodes apart: robomimic, d3rlpy's dumps, LeRobot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet

from offbench.data.trajectories import Trajectories

LENGTHS = [3, 12, 2, 4, 5, 2, 3, 2, 2, 2, 4]  # more than ten, so that "demo_10" must not follow "demo_1"


def whole() -> Trajectories:
    """Episodes by turns terminated and truncated, with two entries of the observation: (T + 1, 2) and (T + 1, 1)."""
    rng, offsets = np.random.default_rng(0), np.concatenate([[0], np.cumsum(LENGTHS)])
    terminations, truncations = np.zeros((2, offsets[-1]), dtype=bool)
    terminations[offsets[1::2] - 1], truncations[offsets[2::2] - 1] = True, True
    return Trajectories(
        rng.standard_normal((offsets[-1] + len(LENGTHS), 3)).astype(np.float32),
        offsets,
        terminations,
        truncations,
        rng.uniform(-1, 1, (offsets[-1], 2)).astype(np.float32),
        rng.standard_normal(offsets[-1]).astype(np.float32),
        extras={"states": rng.standard_normal((offsets[-1], 4))},
    )


def robomimic(path: Path, **changes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for number, one in enumerate(whole()):
            columns = {
                "obs/eef": one.observations[:-1, :2],
                "obs/joint": one.observations[:-1, 2],
                "obs/camera": np.zeros((one.steps, 4, 4, 3), np.uint8),
                "next_obs/eef": one.observations[1:, :2],
                "next_obs/joint": one.observations[1:, 2],
                "actions": one.actions,
                "rewards": one.rewards,
                "dones": one.terminations.astype(np.int64),
                "states": one.extras["states"],
            } | changes
            for name, column in columns.items():
                if column is not None:
                    file[f"data/demo_{number}/{name}"] = column
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift"})
        file["mask/train"] = [b"demo_0"]
    return path


def d3rlpy(path: Path, **changes: Any) -> Path:
    t = whole()
    with h5py.File(path, "w") as file:
        columns: dict[str, Any] = {"columns": ["observations", "actions"], "num_episodes": len(t), "version": "2.1"}
        for number, one in enumerate(t):
            columns |= {f"observations_{number}": one.observations[:-1], f"actions_{number}": one.actions}
            columns |= {f"rewards_{number}": one.rewards[:, None], f"terminated_{number}": bool(one.terminations[-1])}
        for name, column in (columns | changes).items():
            if column is not None:
                file[name] = column
    return path


def lerobot(folder: Path, files: int = 1, **changes: Any) -> Path:
    t = whole()
    frames = {
        "observation.state": t.observations[t.sources][:, :2].tolist(),
        "observation.effort": t.observations[t.sources][:, 2:].tolist(),
        "action": t.actions.tolist(),
        "next.reward": t.rewards,
        "next.done": t.terminations,
        "timestamp": np.arange(t.steps) / 10,
        "frame_index": np.concatenate([np.arange(n) for n in t.lengths]),
        "episode_index": np.repeat(np.arange(len(t)), t.lengths),
        "task": ["lift"] * t.steps,
    } | changes
    table = pyarrow.table({name: column for name, column in frames.items() if column is not None})
    (folder / "meta").mkdir(parents=True)
    features = {"observation.images.top": {"dtype": "video"}, "action": {"dtype": "float32"}}
    (folder / "meta" / "info.json").write_text(json.dumps({"codebase_version": "v3.0", "features": features}))
    size = -(-t.steps // files)
    for number in range(files):
        path = folder / "data" / "chunk-000" / f"file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(table.slice(number * size, size), path)
    return folder
