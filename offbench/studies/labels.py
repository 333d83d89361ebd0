"""What labels ask for: the same learners on comparisons by return, by regret, by factors, and by a teacher who errs.

Sources: Hejna et al. 2024 (CPL, arXiv 2310.13639), whose preferences are by regret; Bukharin et al. 2023 (HERON, arXiv
2308.16772), whose factors stand in order of importance; Coste et al. 2024 (arXiv 2310.02743), whose ensembles are to
mend labels of which a quarter is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from offbench.basis.shapes import Array
from offbench.catalog.loading import load
from offbench.data.preferences import Preferences
from offbench.data.supervision import compare
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.formats import preferences as files
from offbench.labelling.asking import ask
from offbench.labelling.heron import PENDULUM, heron
from offbench.nn.adam import Adam
from offbench.nn.gradients import gradient
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.random import stream
from offbench.studies.comparison import Comparison, Method

DATASET = "offbench/pendulum/swingup-v0"
PAIRS, LENGTH = 500, 50
DISCOUNT, UNKNOWN = 0.98, 60  # of the value; of so many last steps of an episode the return is cut off
TEXT = (
    "Comparisons of segments of 50 steps of the pendulum, in the place of its rewards. By return, the segment of the "
    "larger sum of rewards is preferred; by regret, the one of the larger sum of advantages r + gamma V(s') - V(s), "
    "with V the value of the data's own policy, fitted to what its episodes return; by HERON, the one that is better "
    "by the first factor of upright, slow, gentle that tells them apart, or in the reverse order; by return with a "
    "quarter of 200 labels turned round. The learners differ in what they take labels to say."
)
_SIZES: Mapping[str, Any] = {"hidden": (128, 128), "learning_rate": 1e-3}
_CLONES: Mapping[str, Any] = {**_SIZES, "normalise_states": True, "batch_size": 16}
_OPPO: Mapping[str, Any] = {
    "steps": 1500, "embedding": 32, "layers": 2, "dropout": 0.0, "learning_rate": 1e-3, "code_learning_rate": 1e-2,
    "warmup": 50, "batch_size": 32,
}  # fmt: skip
_IQL = "iql,hidden=[64,64],learning_rate=0.001"
_LONGER = 6000  # updates of IQL, whose policy waits for its values: after 2,000 it is behind cloning


def comparison(output: Path) -> Comparison:
    """The methods, those of labels from files with the files of the folder."""
    by_return = f"preferences={PAIRS}x{LENGTH}"

    def of(name: str) -> str:
        return f"labels={output / name}.offbench"

    def ensemble(name: str, aggregate: str) -> Method:
        settings = {"learner": _IQL, "members": 5, "aggregate": aggregate, "steps": _LONGER}
        return Method(f"IQL, wrong labels, {name}", "reward_model", settings, split=of("wrong"))

    one = {"learner": _IQL, "steps": _LONGER}
    methods = (
        Method("BC, all actions", "bc", _SIZES),
        Method("IQL, true rewards", "iql", {"hidden": (64, 64), "learning_rate": 1e-3, "steps": _LONGER}),
        Method("IPL", "ipl", {**_SIZES, "normalise_states": True, "segment_steps": 26}, split=by_return),
        Method("SFT", "cpl", {**_CLONES, "objective": "sft"}, split=by_return),
        Method("CPL", "cpl", _CLONES, split=by_return),
        Method("CPL(BC)", "cpl", {**_CLONES, "bc_coefficient": 1.0, "contrastive_bias": 1.0}, split=by_return),
        Method(
            "CPL-KL",
            "cpl",
            {**_CLONES, "objective": "cpl_kl", "alpha": 0.2, "contrastive_bias": 0.75, "rate_factor": 0.1},
            split=by_return,
        ),
        Method("CPL, labels by regret", "cpl", _CLONES, split=of("regret")),
        Method("OPPO", "oppo", _OPPO, split=by_return),
        Method("IQL, HERON's labels", "reward_model", one, split=of("heron")),
        Method("IQL, HERON's labels in reverse order", "reward_model", one, split=of("heron-reversed")),
        Method("IQL, wrong labels, one model", "reward_model", one, split=of("wrong")),
        ensemble("mean of 5", "mean"),
        ensemble("UWO of 5", "uwo"),
        ensemble("WCO of 5", "wco"),
    )
    return Comparison("What labels ask for", TEXT, DATASET, methods, range(5), steps=2000, episodes=20, evaluations=5)


def write_labels(output: Path, say: Callable[[str], None]) -> None:
    """Make those files of labels that are not in the folder."""
    data: Trajectories = load(DATASET)
    makers: dict[str, Callable[[], Preferences]] = {
        "regret": lambda: by_regret(data, compare(data, PAIRS, LENGTH).preferences, say),
        "heron": lambda: ask(data, heron(data, PENDULUM, length=LENGTH), PAIRS, LENGTH),
        "heron-reversed": lambda: ask(data, heron(data, PENDULUM[::-1], length=LENGTH), PAIRS, LENGTH),
        "wrong": lambda: Preferences.from_teacher(data, Teacher(mistakes=0.25), 200, LENGTH),
    }
    for name, make in makers.items():
        path = output / f"{name}.offbench"
        if not path.exists():
            files.save(make(), path)
            say(f"labels: {path}")


def by_regret(data: Trajectories, pairs: Preferences, say: Callable[[str], None] = lambda line: None) -> Preferences:
    """The pairs, whose starts are known, with labels by the sum of advantages."""
    assert data.rewards is not None
    value = fitted_value(data)
    sums: list[Float64[Array, " pairs"]] = []
    for side in (pairs.first, pairs.second):
        assert side.starts is not None
        rewards = data.rewards[side.starts[:, None] + np.arange(pairs.length - 1)]
        sums.append(advantages(rewards, value(side.observations)).sum(1))
    labels = (sums[1] > sums[0]).astype(np.float32)
    say(f"labels by regret agree with those by return on {np.mean(labels == pairs.labels):.0%} of the pairs")
    return replace(pairs, labels=labels)


def advantages(
    rewards: Float[Array, "pairs steps"], values: Float[Array, "pairs states"]
) -> Float64[Array, "pairs steps"]:
    """r + gamma V(s') - V(s) of each step; ``values`` are of the states acted from and of the one after."""
    made: Float64[Array, "pairs steps"] = rewards + DISCOUNT * values[:, 1:] - values[:, :-1]
    return made


def fitted_value(data: Trajectories) -> Callable[[Array], Float64[Array, "pairs states"]]:
    """V of the policy that made the data: a network fitted to the discounted returns of their steps."""
    first = [np.arange(start, stop - UNKNOWN) for start, stop in pairwise(data.offsets.tolist())]
    steps = np.concatenate(first)
    states, returns = torch.tensor(data.observations[data.sources[steps]]), discounted(data)[steps]
    targets = torch.tensor((returns - returns.mean()) / returns.std(), dtype=torch.float32)
    network = MLP(states.shape[1], (128, 128), 1)
    parameters: Parameters = {name: value.float() for name, value in network.initialise([0], "value").items()}
    adam, draw = Adam(parameters, 1e-3), stream(0, "rows of the value")
    for _ in range(3000):
        rows = torch.from_numpy(draw.integers(len(states), size=512))

        def loss(trained: Parameters, rows: torch.Tensor = rows) -> torch.Tensor:
            return ((network(trained, states[rows].unsqueeze(0))[0, :, 0] - targets[rows]) ** 2).mean()

        found, _ = gradient(loss, parameters)
        adam.update(parameters, found)

    def value(observations: Array) -> Float64[Array, "pairs states"]:
        flat = torch.tensor(observations).flatten(0, 1).unsqueeze(0)
        with torch.no_grad():
            made = network(parameters, flat)[0, :, 0].double().numpy()
        scaled: Float64[Array, "pairs states"] = returns.mean() + returns.std() * made.reshape(observations.shape[:2])
        return scaled

    return value


def discounted(data: Trajectories) -> Float64[Array, " steps"]:
    """The discounted return from each step on, to the end of its episode."""
    assert data.rewards is not None
    returns = np.array(data.rewards, dtype=np.float64)
    last = np.zeros(data.steps + 1, dtype=bool)
    last[data.offsets[1:] - 1] = True
    for step in range(data.steps - 2, -1, -1):
        if not last[step]:
            returns[step] += DISCOUNT * returns[step + 1]
    return returns
