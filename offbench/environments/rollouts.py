"""Recording what a policy does in a simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offbench.data.policy import Policy
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import Simulator


def record(simulator: Simulator, policy: Policy, seeds: Sequence[int]) -> Trajectories:
    """One episode an environment, each from its own seed, until the last of them has ended.

    Observations and rewards keep the simulator's precision; actions are stored as the simulator applied them, clipped
    to the bounds, float32.
    """
    observations = [simulator.reset(seeds)]
    policy.reset(np.ones(simulator.count, dtype=bool))
    actions, rewards = [], []
    lengths = np.zeros(simulator.count, dtype=np.int64)
    ended = np.zeros(simulator.count, dtype=bool)
    while not ended.all():
        action = np.asarray(policy.act(observations[-1]))
        step = simulator.step(action)
        lengths += ~ended
        ended = step.terminations | step.truncations
        observations.append(step.observations)
        actions.append(np.clip(action, simulator.action_low, simulator.action_high).astype(np.float32))
        rewards.append(step.rewards)

    def columns(rows: list[np.ndarray], extra: int) -> np.ndarray:
        """(time, environments, ...) to the flat column of all episodes, each cut at its end."""
        stacked = np.stack(rows, axis=1)
        return np.concatenate([stacked[i, : length + extra] for i, length in enumerate(lengths)])

    last = np.cumsum(lengths) - 1
    terminations = np.zeros(int(lengths.sum()), dtype=bool)
    terminations[last] = step.terminations
    truncations = np.zeros_like(terminations)
    truncations[last] = step.truncations
    return Trajectories(
        observations=columns(observations, 1),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        terminations=terminations,
        truncations=truncations,
        actions=columns(actions, 0),
        rewards=columns(rewards, 0),
        action_range=(simulator.action_low, simulator.action_high),
    )
