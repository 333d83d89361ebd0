"""Recording what a policy does in a simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from offbench.basis.policy import Policy, tell
from offbench.basis.shapes import Array
from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Trajectories
from offbench.environments.protocol import ExactSimulator, Simulator
from offbench.errors import OffbenchError


def record(simulator: Simulator, policy: Policy, seeds: Sequence[int], states: bool = False) -> Trajectories:
    """One episode an environment, each from its own seed, until the last of them has ended.

    Observations and rewards keep the simulator's precision; actions are stored as the simulator applied them, clipped
    to the bounds, float32. With ``states`` the simulator's own are kept as extras, float64, T+1 rows an episode.

    Raises:
        OffbenchError: ``states`` of a simulator that cannot give them.
    """
    if states and not isinstance(simulator, ExactSimulator):
        raise OffbenchError("this simulator cannot give its states; record its episodes without them")
    observations = [simulator.reset(seeds)]
    kept: list[dict[str, Array]] = []

    def keep() -> None:
        if states and isinstance(simulator, ExactSimulator):
            kept.append(simulator.states())

    keep()
    policy.reset(np.ones(simulator.count, dtype=bool))
    actions, rewards = [], []
    lengths = np.zeros(simulator.count, dtype=np.int64)
    ended = np.zeros(simulator.count, dtype=bool)
    while not ended.all():
        action = np.asarray(policy.act(observations[-1]))
        step = simulator.step(action)
        tell(policy, step.rewards)
        lengths += ~ended
        ended = step.terminations | step.truncations
        observations.append(step.observations)
        keep()
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
        extras={name: columns([each[name] for each in kept], 1) for name in (kept[0] if kept else ())},
        action_range=(simulator.action_low, simulator.action_high),
    )


def record_transitions(
    simulator: Simulator,
    acting: Callable[[list[int]], Policy],
    transitions: int,
    seed: Sequence[int],
    progress: Callable[[int], None] = lambda done: None,
    states: bool = False,
) -> Trajectories:
    """Whole episodes until there are at least ``transitions`` steps, in the order of their seeds and not of their ends.

    More transitions of the same seed begin with the same episodes, as long as the simulator has as many environments.

    Args:
        simulator: whose environments are stepped together.
        acting: makes the policy of one batch of episodes from the (environments,) seeds of its noise.
        transitions: least number of steps.
        seed: of starts and noise.
        progress: hears of steps done.
        states: whether the simulator's own are kept, as `record` says; they change nothing else.
    """
    starts, noises = (np.random.default_rng([*seed, purpose]) for purpose in range(2))
    parts: list[Trajectories] = []
    done = 0
    while done < transitions:
        policy = acting(noises.integers(2**31, size=simulator.count).tolist())
        part = in_float32(record(simulator, policy, starts.integers(2**31, size=simulator.count).tolist(), states))
        parts.append(part)
        done += part.steps
        progress(min(done, transitions))
    every = concatenate(parts)
    # Whoever ends first is not an episode like any other, so none is left out for ending late.
    return every[: int(np.searchsorted(every.offsets[1:], transitions)) + 1]


def in_float32(trajectories: Trajectories) -> Trajectories:
    """The same with observations and rewards in float32, as datasets hold them; extras keep their dtypes."""
    assert trajectories.rewards is not None
    return replace(
        trajectories,
        observations=trajectories.observations.astype(np.float32),
        rewards=trajectories.rewards.astype(np.float32),
    )
