"""A group of seeds that are updated together, and the index streams that feed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm, View
from offbench.basis.policy import ObservingPolicy, not_finite
from offbench.basis.replay import Replayed
from offbench.basis.shapes import Array
from offbench.basis.sharing import bind, room
from offbench.basis.tf32 import tf32
from offbench.data.scaling import Scaling
from offbench.errors import OffbenchError
from offbench.nn.random import stream
from offbench.training.ahead import Ahead, Gathered
from offbench.training.compilation import Step

BLOCK = 100  # updates whose indices are drawn at a time; part of what makes a run reproducible


class Group:
    """Some of a run's seeds: their algorithm and its progress.

    The indices of update t of seed s are row t mod BLOCK of a block that depends on s and t div BLOCK alone, so they
    are the same in any group, in any process and after any interruption.
    """

    def __init__(
        self, algorithm: Algorithm, data: View | None, step: Step, replay: bool = False, coarse: bool = False
    ) -> None:
        """Without ``data`` a group only acts; with ``replay`` a GPU records each phase's update and replays it.

        With ``coarse`` a GPU takes the products of updates in TensorFloat-32.
        """
        self.algorithm, self.step, self._data, self._coarse = algorithm, step, data, coarse
        self._updates = [Replayed(self._update) if replay else self._update for _ in range(algorithm.period)]
        self.totals = torch.zeros(
            len(algorithm.metrics), len(algorithm.seeds), dtype=torch.float64, device=algorithm.device
        )
        self._block: tuple[int, Tensor] | None = None
        # Views of others' algorithms do not know of it.
        self.ahead = bool(getattr(data, "ahead", False))
        self._gathered: Ahead | None = None

    @property
    def data(self) -> View:
        """What it learns from."""
        assert self._data is not None, "a group that only acts learns from nothing"
        return self._data

    def advance(self, start: int, stop: int) -> None:
        """Make the updates [start, stop), adding their metrics to ``totals`` (metrics, seeds) on the device."""
        with tf32(self._coarse):
            self._advance(start, stop)

    def _advance(self, start: int, stop: int) -> None:
        for update in range(start, stop):
            self.algorithm.before(update, self.data)
            self.algorithm.phase = update % self.algorithm.period
            self._updates[self.algorithm.phase](self._rows(update))

    def _rows(self, update: int) -> Tensor:
        """Which rows (seeds, batch) an update learns from: of the data, or of what was gathered ahead."""
        if self.ahead:
            if self._gathered is None:
                self._gathered = Ahead(cast(Gathered, self.data), self.indices, BLOCK)
            return self._gathered.places(update)
        number, row = divmod(update, BLOCK)
        if self._block is None or self._block[0] != number:
            self._block = number, self.indices(number)
        return self._block[1][row]

    def _update(self, indices: Tensor) -> None:
        """Make the coming update on the rows ``indices`` (seeds, batch), adding its metrics to ``totals``."""
        self.totals += self.step(self.algorithm, self._gathered.view if self._gathered else self.data, indices)

    def indices(self, number: int) -> Tensor:
        """Rows of the data for each update of a block, (BLOCK, seeds, batch)."""
        shape = (BLOCK, self.algorithm.config.batch_size)
        drawn = [stream(seed, "indices", number).integers(len(self.data), size=shape) for seed in self.algorithm.seeds]
        indices = torch.from_numpy(np.stack(drawn, axis=1))
        return indices if self.ahead else indices.to(self.algorithm.device)

    def close(self) -> None:
        """End what gathers ahead."""
        if self._gathered is not None:
            self._gathered.close()
            self._gathered = None

    @property
    def room(self) -> int:
        """Bytes of memory that ``share`` needs."""
        return room(self._tensors())

    def share(self, memory: Tensor, offset: int, keep: bool) -> int:
        """Keep all that updates change in memory (bytes,) from ``offset`` on, where other processes see it.

        With ``keep`` this group's values go there, else it takes those that are there. Returns where they end.
        """
        return bind(self._tensors(), memory, offset, keep)

    def _tensors(self) -> list[Tensor]:
        return [*self.algorithm.state().values(), self.totals]


def halves(episodes: int) -> list[slice]:
    """The parts of an evaluation's episodes that a policy acts in together.

    They are what processes are given: two of each group, so that three groups keep two cores busy to the end.
    """
    middle = -(-episodes // 2)
    return [slice(0, middle), slice(middle, episodes)] if episodes >= LEAST_DIVIDED else [slice(0, episodes)]


LEAST_DIVIDED = 8


class GroupPolicy(ObservingPolicy):
    """The deterministic policies of several groups, acting for all their seeds in one call.

    Environments are ordered seeds first: seed 0 episode 0, seed 0 episode 1, ..., seed 1 episode 0, ... Each group acts
    by itself in each part of its episodes, so that its numbers are those that it has alone, to the last bit.
    """

    def __init__(self, algorithms: Sequence[Algorithm], scaling: Scaling, parts: Sequence[slice] = ()) -> None:
        """Act in ``parts`` of each seed's episodes, in all of them together if there are none."""
        self.algorithms, self.scaling = algorithms, scaling
        self.seeds = sum(len(algorithm.seeds) for algorithm in algorithms)
        self.parts = list(parts) or [slice(None)]
        self.acting = [[algorithm.acting() for _ in self.parts] for algorithm in algorithms]

    def act(self, observations: Array) -> Array:
        """Actions (seeds * episodes, action) for observations (seeds * episodes, observation)."""
        inputs = self._split(np.asarray(self.scaling.states(observations)), self.algorithms[0].dtype)
        with torch.no_grad():
            actions = [
                torch.cat([acting.act(next(inputs)) for acting in own], dim=1)
                if len(own) > 1
                else own[0].act(next(inputs))
                for own in self.acting
            ]
        chosen = torch.cat(actions).cpu().numpy()
        if not np.isfinite(chosen).all():
            seed, wrong = next(
                (seed, rows) for seed, rows in zip(self._seeds(), chosen, strict=True) if not np.isfinite(rows).all()
            )
            raise OffbenchError(f"the policy of seed {seed} gives actions that are not finite: {not_finite(wrong)}")
        return self.scaling.to_environment(chosen.reshape(-1, chosen.shape[-1]))

    def _seeds(self) -> list[int]:
        return [seed for algorithm in self.algorithms for seed in algorithm.seeds]

    def observe(self, rewards: Array) -> None:
        """Hear the rewards (seeds * episodes,) of the last actions."""
        inputs = self._split(rewards, self.algorithms[0].dtype)
        for own in self.acting:
            for acting in own:
                acting.observe(next(inputs))

    def reset(self, mask: Array) -> None:
        """Forget the past of the environments where mask (seeds * episodes,) is true."""
        inputs = self._split(mask, torch.bool)
        for own in self.acting:
            for acting in own:
                acting.reset(next(inputs))

    def _split(self, column: Array, dtype: torch.dtype) -> Iterator[Tensor]:
        """(seeds, episodes, ...) on the device for each part of each group."""
        rows = torch.from_numpy(column.reshape(self.seeds, -1, *column.shape[1:]))
        rows = rows.to(device=self.algorithms[0].device, dtype=dtype)
        for own in torch.split(rows, [len(algorithm.seeds) for algorithm in self.algorithms]):
            for part in self.parts:
                yield own[:, part].contiguous()
