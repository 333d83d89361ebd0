"""Scoring: all seeds and all episodes of an evaluation in one batch of environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float64

from offbench.basis.policy import Policy, tell
from offbench.basis.shapes import Array
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.evaluation.record import EvaluationRecord
from offbench.nn.random import stream


def environment_seeds(seed: int, evaluation: int, episodes: int) -> list[int]:
    """The (episodes,) distinct environment seeds of one evaluation of one run, fixed in advance.

    That of episode i depends on the run's seed and the number of the evaluation alone, and not on how many episodes
    there are, so every evaluation of a run meets fresh starts and the same one meets the same starts again.
    """
    # Drawn one after the other, so that more episodes go on where fewer end; spares stand in for numbers drawn twice.
    drawn = stream(seed, "environments", evaluation).integers(2**31, size=2 * episodes + 8)
    return list(dict.fromkeys(drawn.tolist()))[:episodes]


def played(
    simulator: Simulator, policy: Policy, seeds: Sequence[int]
) -> Iterator[tuple[Float64[Array, " environments"], Bool[Array, " environments"]]]:
    """Play one episode an environment: of each step the rewards, 0 where one has ended, and where one had not.

    Every episode is played once and whole, however long the others last: an environment that has ended waits for them.
    """
    observations = simulator.reset(seeds)
    policy.reset(np.ones(simulator.count, dtype=bool))
    ended = np.zeros(simulator.count, dtype=bool)
    while not ended.all():
        step = simulator.step(policy.act(observations))
        tell(policy, step.rewards)
        yield step.rewards, ~ended
        ended = step.terminations | step.truncations
        observations = step.observations


def returns(simulator: Simulator, policy: Policy, seeds: Sequence[int]) -> tuple[list[float], list[int]]:
    """Undiscounted returns and lengths of one episode an environment, each (environments,)."""
    totals = np.zeros(simulator.count)
    lengths = np.zeros(simulator.count, dtype=np.int64)
    for rewards, running in played(simulator, policy, seeds):
        totals += rewards
        lengths += running
    return totals.tolist(), lengths.tolist()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch act with one thread: the others spin while they wait for work, on the cores that simulators need."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Evaluator:
    """Evaluates the policies of several seeds in one task, again and again, on the same simulator.

    The policy acts for all of them at once: rows (seed 0 episode 0, seed 0 episode 1, ..., seed 1 episode 0, ...).
    """

    def __init__(self, task: Task, seeds: Sequence[int], episodes: int) -> None:
        """Make ``len(seeds) * episodes`` environments of ``task``."""
        self.task, self.seeds, self.episodes = task, tuple(seeds), episodes
        self.simulator = make_simulator(task, len(self.seeds) * episodes)

    def evaluate(self, policy: Policy, step: int, evaluation: int) -> list[EvaluationRecord]:
        """One record a seed, for the policies after ``step`` updates, on the starts of that evaluation."""
        starts = [environment_seeds(seed, evaluation, self.episodes) for seed in self.seeds]
        with one_torch_thread():
            totals, lengths = returns(self.simulator, policy, [start for own in starts for start in own])
        records = []
        for row, own in enumerate(starts):
            part = slice(row * self.episodes, (row + 1) * self.episodes)
            records.append(
                EvaluationRecord(step=step, environment_seeds=own, returns=totals[part], lengths=lengths[part])
            )
        return records

    def close(self) -> None:
        """Free the environments."""
        self.simulator.close()
