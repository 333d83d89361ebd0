"""A group of seeds that are updated together, and the index streams that feed them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, View
from offbench.basis.policy import ObservingPolicy
from offbench.data.scaling import Scaling
from offbench.data.trajectories import Array
from offbench.nn.random import stream
from offbench.training.compilation import Step

BLOCK = 100  # updates whose indices are drawn at a time; part of what makes a run reproducible


class Group:
    """Some of a run's seeds: their algorithm and its progress.

    The indices of update t of seed s are row t mod BLOCK of a block that depends on s and t div BLOCK alone, so they
    are the same in any group and after any interruption.
    """

    def __init__(self, algorithm: Algorithm, data: View, step: Step) -> None:
        self.algorithm, self.data, self.step = algorithm, data, step
        self.totals = torch.zeros(
            len(algorithm.metrics), len(algorithm.seeds), dtype=torch.float64, device=algorithm.device
        )
        self._block: tuple[int, Tensor] | None = None

    def advance(self, start: int, stop: int) -> None:
        """Make the updates [start, stop), adding their metrics to ``totals`` (metrics, seeds) on the device."""
        for update in range(start, stop):
            number, row = divmod(update, BLOCK)
            if self._block is None or self._block[0] != number:
                self._block = number, self.indices(number)
            self.algorithm.phase = update % self.algorithm.period
            self.totals += self.step(self.algorithm, self.data, self._block[1][row])

    def indices(self, number: int) -> Tensor:
        """Rows of the data for each update of a block, (BLOCK, seeds, batch)."""
        shape = (BLOCK, self.algorithm.config.batch_size)
        drawn = [stream(seed, "indices", number).integers(len(self.data), size=shape) for seed in self.algorithm.seeds]
        return torch.from_numpy(np.stack(drawn, axis=1)).to(self.algorithm.device)


class GroupPolicy(ObservingPolicy):
    """The deterministic policies of several groups, acting for all their seeds in one call.

    Environments are ordered seeds first: seed 0 episode 0, seed 0 episode 1, ..., seed 1 episode 0, ...
    """

    def __init__(self, algorithms: Sequence[Algorithm], scaling: Scaling) -> None:
        self.algorithms, self.scaling = algorithms, scaling
        self.sizes = [len(algorithm.seeds) for algorithm in algorithms]
        self.seeds = sum(self.sizes)
        self.parts = [algorithm.acting() for algorithm in algorithms]

    def act(self, observations: Array) -> Array:
        """Actions (seeds * episodes, action) for observations (seeds * episodes, observation)."""
        inputs = self._split(np.asarray(self.scaling.states(observations)), self.algorithms[0].dtype)
        with torch.no_grad():
            actions = torch.cat([part.act(own) for part, own in zip(self.parts, inputs, strict=True)])
        return self.scaling.to_environment(actions.flatten(0, 1).cpu().numpy())

    def observe(self, rewards: Array) -> None:
        """Hear the rewards (seeds * episodes,) of the last actions."""
        for part, own in zip(self.parts, self._split(rewards, self.algorithms[0].dtype), strict=True):
            part.observe(own)

    def reset(self, mask: Array) -> None:
        """Forget the past of the environments where mask (seeds * episodes,) is true."""
        for part, own in zip(self.parts, self._split(mask, torch.bool), strict=True):
            part.reset(own)

    def _split(self, column: Array, dtype: torch.dtype) -> Sequence[Tensor]:
        """(seeds, episodes, ...) on the device for each group of seeds."""
        rows = torch.from_numpy(column.reshape(self.seeds, -1, *column.shape[1:]))
        return torch.split(rows.to(device=self.algorithms[0].device, dtype=dtype), self.sizes)
