"""Every example on the page of preferences runs, in order, and prints what the page says."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "docs" / "preferences.md"


def write_files(folder: Path) -> None:
    """Small files with the names and the layout of published ones."""
    rng = np.random.default_rng(0)
    pairs = {f"obs_{side}": rng.random((100, 100, 11)) for side in (1, 2)}
    pairs |= {f"action_{side}": rng.random((100, 100, 3)) for side in (1, 2)} | {"label": np.repeat([0, 0.5], 50)}
    np.savez(folder / "num100_human_train.npz", **pairs)
    np.savez(folder / "num100_human_eval.npz", **{name: column[90:] for name, column in pairs.items()})
    with h5py.File(folder / "hopper_medium_expert-v2.hdf5", "w") as file:
        file["observations"] = rng.standard_normal((900, 11)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (900, 3)).astype(np.float32)
        file["rewards"] = rng.standard_normal(900).astype(np.float32)
        file["terminals"], file["timeouts"] = np.zeros(900, dtype=bool), np.arange(900) % 300 == 299
    contents = {
        "hopper-medium-expert-v2/label_human": [0, 1, -1],
        "hopper-medium-expert-v2/indices_num100": np.array([0, 310, 620, 5]),
        "hopper-medium-expert-v2/indices_2_num100": np.array([150, 199, 700, 5]),
    }
    for prefix, key, labels in (("human", "a", [0, 1, -1]), ("fake", "b", [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])):
        rest = f"_domain_mujoco_env_halfcheetah-medium-v2_num_3_len_200_{key}.pkl"
        contents[f"halfcheetah-medium-v2/{prefix}_label{rest}"] = np.array(labels)
        contents |= {f"halfcheetah-medium-v2/indices_{side}{rest}": np.array([1, 2, 3]) * side for side in (1, 2)}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content, 4))


def test_preferences(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    code = "\n".join(blocks)
    promised = re.findall(r"print\(.*\)  # (.*)", code)
    assert len(promised) == 12
    write_files(tmp_path)
    environment = {**os.environ, "OFFBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(PAGE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised
