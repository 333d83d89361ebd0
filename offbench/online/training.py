"""Training a behaviour online, with checkpoints to go on from and a rung of its ladder every few thousand updates."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from offbench.algorithms.base import Sizes
from offbench.basis.compiler import can_compile, keep_memory
from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.basis.policy import Policy
from offbench.basis.shapes import Array
from offbench.basis.tensors import map_tensors
from offbench.behaviours.ladder import Measured, Rung, write_rung
from offbench.data.transitions import Batch
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task, task
from offbench.errors import OffbenchError
from offbench.evaluation.rollout import one_torch_thread, returns
from offbench.nn.random import stream
from offbench.online.sac import SAC, SACConfig
from offbench.training.compilation import update_step

BLOCK = 100  # updates whose indices are drawn at a time
WORTH_COMPILING = 20_000  # updates
_KIND, _VERSION, _CONTENT = "offbench-behaviour-training", "1", "a behaviour's training"


@dataclass(frozen=True)
class Plan:
    """How a behaviour is trained.

    Attributes:
        task: name of the task.
        seed: of everything that is drawn.
        updates: of the policy, in all.
        transitions_per_update: environment steps between two updates.
        environments: stepped together.
        random_transitions: taken with uniformly random actions before the first update.
        capacity: transitions that are remembered.
        rung_every: updates from one rung of the ladder to the next.
        rung_episodes: episodes that score a rung on the way.
        checkpoint_every: updates from one checkpoint to the next.
        config: SAC's hyperparameters.
    """

    task: str
    seed: int = 0
    updates: int = 1_000_000
    transitions_per_update: int = 4
    environments: int = 16
    random_transitions: int = 10_000
    capacity: int = 1_000_000
    rung_every: int = 5_000
    rung_episodes: int = 5
    checkpoint_every: int = 50_000
    config: SACConfig = field(default_factory=SACConfig)


def finished_rungs(folder: Path) -> tuple[dict[str, Any], list[Rung]]:
    """The plan and the rungs of a training's last checkpoint.

    Raises:
        DataError: there is none, or it is damaged.
    """
    _, metadata = map_tensors(folder / "checkpoint.safetensors", _KIND, _VERSION, _CONTENT)
    plan: dict[str, Any] = json.loads(metadata["plan"])
    return plan, [Rung.model_validate(rung) for rung in json.loads(metadata["progress"])["rungs"]]


class Replay:
    """The last transitions, one packed row each: s, a, r, s', termination."""

    def __init__(self, sizes: Sizes, capacity: int) -> None:
        self.sizes, self.capacity = sizes, capacity
        self.rows = torch.zeros(capacity, 2 * sizes.observation + sizes.action + 2)
        self.seen = 0

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, rows: Array) -> None:
        """Remember ``rows`` (transitions, columns), forgetting the oldest."""
        places = (self.seen + np.arange(len(rows))) % self.capacity
        self.rows[torch.from_numpy(places)] = torch.from_numpy(rows)
        self.seen += len(rows)

    def batch(self, indices: Tensor) -> Batch:
        """The transitions at ``indices`` (seeds, batch)."""
        rows, size, first = self.rows[indices], self.sizes.observation, self.sizes.observation + self.sizes.action
        return Batch(
            rows[..., :size],
            rows[..., size:first],
            rows[..., first],
            rows[..., first + 1 : first + 1 + size],
            rows[..., -1],
        )


class Explorer(Policy):
    """The policy as it is now, sampling, for collection and for scoring rungs."""

    def __init__(self, learner: SAC, low: Array, high: Array, generator: np.random.Generator) -> None:
        self.learner, self.low, self.high, self.generator = learner, low, high, generator

    def units(self, observations: Array) -> Array:
        """Sampled actions (environments, action) in [-1, 1]."""
        noise = self.generator.standard_normal((1, len(observations), len(self.low)), dtype=np.float32)
        inputs = torch.from_numpy(observations[None].astype(np.float32))
        with torch.no_grad():
            actor = self.learner.networks["actor"]
            actions: Array = self.learner.actor.sample(actor, inputs, torch.from_numpy(noise))[0][0].numpy()
        return actions

    def act(self, observations: Array) -> Array:
        """The same in the environment's units."""
        return to_bounds(self.units(observations), self.low, self.high)

    def reset(self, mask: Array) -> None:
        """Nothing to forget."""


def to_bounds(units: Array, low: Array, high: Array) -> Array:
    """Actions in [-1, 1] as actions between the bounds."""
    scaled: Array = low + (units + 1) * (high - low) / 2
    return scaled


class Collector:
    """Environments that are stepped on and on; those of one simulator start anew when all of them have ended."""

    def __init__(self, simulators: list[Simulator], seed: int) -> None:
        self.simulators, self.seed = simulators, seed
        self.episodes = [0] * len(simulators)
        self.observations = [self._reset(i) for i in range(len(simulators))]

    def _reset(self, which: int) -> Array:
        simulator = self.simulators[which]
        drawn = stream(self.seed, "starts", which, self.episodes[which]).integers(2**31, size=simulator.count)
        self.episodes[which] += 1
        self.live = getattr(self, "live", [np.ones(s.count, dtype=bool) for s in self.simulators])
        self.live[which] = np.ones(simulator.count, dtype=bool)
        return simulator.reset(drawn.tolist())

    def step(self, choose: Callable[[Array], Array]) -> Array:
        """Step every live environment once by ``choose(observations)`` in [-1, 1]: rows (transitions, columns)."""
        units = choose(np.concatenate(self.observations))
        rows, first = [], 0
        for i, simulator in enumerate(self.simulators):
            own, before, live = units[first : first + simulator.count], self.observations[i], self.live[i]
            first += simulator.count
            after = simulator.step(to_bounds(own, simulator.action_low, simulator.action_high))
            parts = [before, own, after.rewards[:, None], after.observations, after.terminations[:, None]]
            rows.append(np.concatenate(parts, axis=1)[live].astype(np.float32))
            self.live[i] = ~(after.terminations | after.truncations)
            self.observations[i] = after.observations if self.live[i].any() else self._reset(i)
        return np.concatenate(rows)


class BehaviourTraining:
    """One behaviour in training; ``folder`` holds checkpoint.safetensors and the rungs."""

    def __init__(self, plan: Plan, folder: Path, report: Callable[[str], None]) -> None:
        self.plan, self.folder, self.report = plan, folder, report
        self.task: Task = task(plan.task)
        groups = max(1, plan.environments // 4)
        self.simulators = [make_simulator(self.task, plan.environments // groups) for _ in range(groups)]
        self.scorer = make_simulator(self.task, plan.rung_episodes)
        self.low, self.high = self.scorer.action_low, self.scorer.action_high
        sizes = Sizes(self.scorer.observation_size, len(self.low))
        # The products of hidden layers in bfloat16 double the rate on a processor that has them, at the same returns.
        self.learner = SAC(plan.config, sizes, [plan.seed], plan.updates, mixed_precision=True)
        self.replay = Replay(sizes, plan.capacity)
        self.updates, self.seconds = 0, 0.0
        self.rungs: list[Rung] = []
        worth = plan.updates >= WORTH_COMPILING and can_compile("auto", torch.device("cpu"))
        self._step = update_step(SAC, compiled=worth)

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.folder / "checkpoint.safetensors"

    def run(self) -> list[Rung]:
        """Train to the end, from the folder's checkpoint if there is one; all rungs.

        Episodes that were under way when a training was interrupted are not gone on with: new ones are begun.

        Raises:
            OffbenchError: the folder belongs to another plan, or somebody else trains in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        keep_memory()
        with one_torch_thread(), locked(self.folder / "training", wait=False):
            if self.checkpoint.exists():
                self._restore()
            collector = Collector(self.simulators, self.plan.seed + 7919 * self.updates)
            due = 0.0
            while self.updates < self.plan.updates:
                started = time.perf_counter()
                due += len(self._collect(collector)) / self.plan.transitions_per_update
                while due >= 1 and self.updates < self.plan.updates:
                    self._update()
                    due -= 1
                    if self.updates % self.plan.rung_every == 0:
                        self.seconds += time.perf_counter() - started
                        self._rung()
                        started = time.perf_counter()
                    if self.updates % self.plan.checkpoint_every == 0 or self.updates == self.plan.updates:
                        self._save()
                self.seconds += time.perf_counter() - started
        return self.rungs

    def _collect(self, collector: Collector) -> Array:
        generator = stream(self.plan.seed, "explore", self.replay.seen)
        if self.replay.seen < self.plan.random_transitions:
            rows = collector.step(lambda o: generator.uniform(-1, 1, (len(o), len(self.low))))
            self.replay.add(rows)
            return rows[:0]
        rows = collector.step(Explorer(self.learner, self.low, self.high, generator).units)
        self.replay.add(rows)
        return rows

    def _update(self) -> None:
        number, row = divmod(self.updates, BLOCK)
        if row == 0 or not hasattr(self, "_shares"):
            shape = (BLOCK, 1, self.plan.config.batch_size)
            self._shares = torch.from_numpy(stream(self.plan.seed, "indices", number).random(shape))
        indices = (self._shares[row] * len(self.replay)).long()
        self._step(self.learner, self.replay, indices)  # type: ignore[arg-type]
        self.updates += 1

    def _rung(self) -> None:
        """Keep the policy as it is and score it."""
        seeds = stream(self.plan.seed, "rung", self.updates).integers(2**31, size=self.plan.rung_episodes).tolist()
        explorer = Explorer(self.learner, self.low, self.high, stream(self.plan.seed, "acting", self.updates))
        scores, lengths = returns(self.scorer, explorer, seeds)
        if not np.isfinite(scores).all() or not all(
            v.isfinite().all() for v in self.learner.networks["actor"].values()
        ):
            raise OffbenchError(f"training {self.plan.task} diverged before update {self.updates}; lower learning_rate")
        name = f"rung-{self.updates:07d}"
        actor = {key: value[0].numpy() for key, value in self.learner.networks["actor"].items()}
        write_rung(self.folder / f"{name}.safetensors", actor, self.plan.task)
        sampled = Measured.of(scores, lengths)
        self.rungs.append(Rung(name=name, updates=self.updates, transitions=self.replay.seen, sampled=sampled))
        rate = self.updates / max(self.seconds, 1e-9)
        alpha = float(self.learner.networks["temperature"]["log"].exp())
        self.report(
            f"{self.plan.task}: update {self.updates}, {self.replay.seen} transitions, return {sampled.mean:.0f} "
            f"+- {sampled.standard_error:.0f}, length {sampled.length:.0f}, temperature {alpha:.4f}, "
            f"{rate:.0f} updates/s"
        )

    # ---------------------------------------------------------------- checkpoints

    def _save(self) -> None:
        tensors = {f"learner/{name}": value for name, value in self.learner.state().items()}
        tensors["replay"] = self.replay.rows[: len(self.replay)]
        progress = {
            "updates": self.updates,
            "seen": self.replay.seen,
            "seconds": self.seconds,
            "rungs": [rung.model_dump() for rung in self.rungs],
        }
        metadata = {
            "format": _KIND,
            "version": _VERSION,
            "plan": json.dumps(asdict(self.plan)),
            "progress": json.dumps(progress),
        }
        with atomic(self.checkpoint) as temporary:
            safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)

    def _restore(self) -> None:
        columns, metadata = map_tensors(self.checkpoint, _KIND, _VERSION, _CONTENT)
        plan: dict[str, Any] = json.loads(metadata["plan"])
        own = json.loads(json.dumps(asdict(self.plan)))
        if plan | {"updates": 0} != own | {"updates": 0}:
            changed = sorted(key for key in own if own[key] != plan.get(key))
            raise OffbenchError(f"{self.checkpoint} was trained with another {', '.join(changed)}; name another folder")
        progress = json.loads(metadata["progress"])
        learner = {k.removeprefix("learner/"): torch.tensor(v) for k, v in columns.items() if k.startswith("learner/")}
        self.learner.restore(learner)
        self.replay.rows[: len(columns["replay"])] = torch.tensor(columns["replay"])
        self.replay.seen, self.updates, self.seconds = progress["seen"], progress["updates"], progress["seconds"]
        self.rungs = [Rung.model_validate(rung) for rung in progress["rungs"]]
