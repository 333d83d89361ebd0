"""CPL on labels by return and by regret: the same 500 pairs of the pendulum, told by one and by the other.

By return the segment of the larger sum of rewards is preferred. By regret it is that of the larger sum of advantages
r + gamma V(s') - V(s), where V is the discounted return of the data's own policy, fitted to what its episodes returned;
of the last 60 steps of an episode that is unknown, and they are left out of the fit.

    OMP_NUM_THREADS=1 python benchmarks/regret.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import offbench
from offbench.data.preference_data import PreferenceData
from offbench.data.supervision import compare

DATASET, DISCOUNT, UNKNOWN, LENGTH = "offbench/pendulum/swingup-v0", 0.98, 60, 50
FLAGS = {"hidden": (128, 128), "learning_rate": 1e-3, "normalise_states": True, "batch_size": 16}


def discounted(data: offbench.Trajectories) -> np.ndarray:
    """The discounted return from each step on, to the end of its episode."""
    returns = np.array(data.rewards, dtype=np.float64)
    for step in range(data.steps - 2, -1, -1):
        if step + 1 not in data.offsets:
            returns[step] += DISCOUNT * returns[step + 1]
    return returns


def fitted_values(data: offbench.Trajectories) -> Callable[[np.ndarray], np.ndarray]:
    """V of the data's own policy, a network of two hidden layers."""
    torch.manual_seed(0)
    steps = np.concatenate([np.arange(first, last - UNKNOWN) for first, last in pairwise(data.offsets)])
    episodes = np.searchsorted(data.offsets, steps, side="right") - 1
    states = torch.tensor(data.observations[steps + episodes])
    returns = torch.tensor(discounted(data)[steps], dtype=torch.float32)
    layers = [torch.nn.Linear(3, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(128, 1), torch.nn.Flatten(0))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(3000):
        rows = torch.randint(len(states), (512,))
        loss = ((network(states[rows]) - (returns[rows] - returns.mean()) / returns.std()) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    spread = float(returns.std())  # the mean cancels but for (1 - gamma) of it, the same for all segments
    return lambda s: spread * network(torch.tensor(s).flatten(0, 1)).detach().numpy().reshape(s.shape[:2])


def main(folder: Path) -> None:
    """Train CPL on both, and print scores."""
    data = offbench.load(DATASET)
    told = compare(data, pairs=500, length=LENGTH)
    value, sums = fitted_values(data), []
    for side in (told.preferences.first, told.preferences.second):
        rewards = data.rewards[side.starts[:, None] + np.arange(LENGTH - 1)]
        v = value(np.array(side.observations))
        sums.append((rewards + DISCOUNT * v[:, 1:] - v[:, :-1]).sum(1))
    labels = (sums[1] > sums[0]).astype(np.float32)
    print(f"labels agree on {(labels == told.preferences.labels).mean():.0%} of the pairs")
    regret = PreferenceData(told.trajectories, replace(told.preferences, labels=labels))
    for name, given in (("return", told), ("regret", regret)):
        options = {"task": "pendulum", "seeds": 5, "steps": 2000, "episodes": 20, "evaluate_every": 400}
        print(name, offbench.train("cpl", given, output=folder / name, **options, **FLAGS))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
