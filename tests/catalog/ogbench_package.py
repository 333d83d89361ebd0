"""What the package ogbench says of its single tasks; runs where that is installed, in an environment of its own.

    python -m venv /tmp/ogbench && /tmp/ogbench/bin/pip install ogbench
    /tmp/ogbench/bin/python tests/catalog/ogbench_package.py targets datasets/ogbench/targets.json
    /tmp/ogbench/bin/python tests/catalog/ogbench_package.py labels STATES.npz LABELS.npz

``targets`` writes the five tasks of every environment. ``labels`` reads ``<environment>/qpos`` and, where it has some,
``<environment>/button_states``, and writes ``<environment>/task<n>/rewards`` and ``masks`` as the package labels them.
"""

from __future__ import annotations

import json
import sys

import gymnasium
import numpy as np
import ogbench  # noqa: F401  registers the environments
from ogbench.relabel_utils import relabel_dataset

MAZES = [f"{kind}-{size}" for kind in ("pointmaze", "antmaze") for size in ("medium", "large", "giant", "teleport")]
MAZES += [f"humanoidmaze-{size}" for size in ("medium", "large", "giant")]
SOCCER = ["antsoccer-arena", "antsoccer-medium"]
HANDS = [f"cube-{count}" for count in ("single", "double", "triple", "quadruple")] + ["scene"]
HANDS += [f"puzzle-{size}" for size in ("3x3", "4x4", "4x5", "4x6")]


def make(environment: str, task: int) -> gymnasium.Env:
    made = gymnasium.make(f"{environment}-singletask-task{task}-v0")
    made.reset(seed=0)
    return made


def targets(environment: str, task: int) -> dict[str, object]:
    plain = make(environment, task).unwrapped
    if environment in MAZES + SOCCER:
        found = {"xy": [float(x) for x in plain.cur_goal_xy], "tolerance": float(plain._goal_tol)}
        return found | ({"xy_start": 15} if environment in SOCCER else {})
    found = {}
    if environment.startswith(("cube", "scene")):
        found["cubes"] = plain._data.mocap_pos.astype(float).tolist()
    if environment.startswith(("scene", "puzzle")):
        found["buttons"] = [int(state) for state in plain._target_button_states]
    if environment == "scene":
        found |= {"drawer": float(plain._target_drawer_pos), "window": float(plain._target_window_pos)}
    return found


def write_targets(path: str) -> None:
    every = {f"{name}-v0": [targets(name, task) for task in range(1, 6)] for name in MAZES + SOCCER + HANDS}
    lines = [
        f" {json.dumps(name)}: [\n" + ",\n".join(f"  {json.dumps(one)}" for one in tasks) + "\n ]"
        for name, tasks in every.items()
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def write_labels(states: str, path: str) -> None:
    stored, labels = np.load(states), {}
    for environment in sorted({name.split("/")[0] for name in stored}):
        for task in range(1, 6):
            data = {part: stored[f"{environment}/{part}"] for part in ("qpos", "button_states")
                    if f"{environment}/{part}" in stored}  # fmt: skip
            name = environment.removesuffix("-v0")
            relabel_dataset(f"{name}-singletask-task{task}-v0", make(name, task), data)
            labels |= {f"{environment}/task{task}/{part}": data[part] for part in ("rewards", "masks")}
    np.savez(path, **labels)


if __name__ == "__main__":
    {"targets": write_targets, "labels": write_labels}[sys.argv[1]](*sys.argv[2:])
