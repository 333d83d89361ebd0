"""Other people's algorithms: whatever has ``fit`` is trained and scored as ours are, one seed after the other.

    class Mine:
        def fit(self, data: Trajectories, task: Task | None, seed: int, budget: Budget) -> Policy: ...

It may be written in any framework. Named as ``module:Mine``, or by an entry point in the group
``offbench.algorithms``, it is given whole trajectories and gives a policy; the harness does the rest. If the class is a
dataclass, its fields are hyperparameters and flags. A class attribute ``requires`` names the columns that it learns
from, actions and rewards if there is none.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import math
import random
import time
from typing import Any, Protocol

import numpy as np
import torch

from offbench.algorithms import registry
from offbench.basis.policy import ObservingPolicy, Policy
from offbench.data.trajectories import Array, Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import write_record
from offbench.evaluation.rollout import Evaluator
from offbench.nn.random import stream
from offbench.training.folder import Plan, Progress, RunFolder, ScalingPlan
from offbench.training.loop import Interrupted, make_records
from offbench.training.progress import Display


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one call of fit may spend, and where.

    Attributes:
        steps: gradient updates, or whatever unit the method counts in.
        device: "cpu", "cuda" or "cuda:<number>", of which a method may make use.
    """

    steps: int
    device: str = "cpu"


class BarePolicy(Protocol):
    """The least that fit must return; ``reset(mask)`` and ``observe(rewards)`` are called as well if it has them."""

    def act(self, observations: Array) -> Any:
        """Actions (environments, action) for float32 observations (environments, observation), in their own units."""
        ...


class Learner(Protocol):
    """Somebody else's algorithm."""

    def fit(self, data: Trajectories, task: Task | None, seed: int, budget: Budget) -> BarePolicy:
        """Learn from ``data`` a policy for ``task``, where one is known; runs of other seeds are independent."""
        ...


class CheckedPolicy(ObservingPolicy):
    """A policy that fit returned. Each of its answers is checked, and an error says whose it is."""

    def __init__(self, policy: BarePolicy, name: str, action_size: int) -> None:
        """Check the actions of ``policy`` for their ``action_size``; 0 where that is not known."""
        self.policy, self.name, self.action_size = policy, name, action_size

    def act(self, observations: Array) -> Array:
        """Actions (environments, action), float32, for observations (environments, observation).

        Raises:
            OffbenchError: act failed, or its actions are no finite numbers of this shape.
        """
        # A copy: a policy may standardise what it is given in place, and a simulator may still need it.
        given = np.array(observations, dtype=np.float32)
        answer = self._call("act", given)
        try:
            with np.errstate(over="ignore"):  # what is too large for float32 is refused below
                actions = np.asarray(answer).astype(np.float32, casting="same_kind")
        except Exception as error:
            raise OffbenchError(
                f"the policy of {self.name} gave actions that are no NumPy array of numbers, but a "
                f"{type(answer).__name__} ({registry.cause(error)})"
            ) from error
        wanted = (len(given), self.action_size or (actions.shape[-1] if actions.ndim else 1))
        if actions.shape != wanted:
            raise OffbenchError(
                f"the policy of {self.name} gave actions of shape {actions.shape}; {wanted} would be right"
            )
        if not np.isfinite(actions).all():
            raise OffbenchError(f"the policy of {self.name} gave actions that are not finite")
        return actions

    def reset(self, mask: Array) -> None:
        """Tell the policy, if it listens, that episodes begin where mask (environments,) is true."""
        if hasattr(self.policy, "reset"):
            self._call("reset", mask)

    def observe(self, rewards: Array) -> None:
        """Tell the policy, if it listens, the rewards (environments,) of the last actions."""
        if hasattr(self.policy, "observe"):
            self._call("observe", rewards)

    def _call(self, method: str, argument: Array) -> Any:
        try:
            return getattr(self.policy, method)(argument)
        except Exception as error:
            raise OffbenchError(f"the policy of {self.name} failed in {method}: {registry.cause(error)}") from error


def fit(found: Any, config: Any, data: Trajectories, task: Task | None, seed: int, budget: Budget) -> Policy:
    """The policy that a learner fits with one seed.

    Args:
        found: the learner, as `registry.find` gives it.
        config: its hyperparameters, as `registry.configure` gives them.
        data: trajectories, in the environment's units.
        task: what the policy will be scored in, where that is known.
        seed: of the run.
        budget: what may be spent.

    Raises:
        OffbenchError: the learner failed, or what it returned has no ``act``.
    """
    name = registry.title(found)
    learner = _learner(found, config)
    # Many libraries draw from the global generators: a learner that forgets its seed then still depends on it alone.
    number = int(stream(seed, "fit").integers(2**32))
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    try:
        policy = learner.fit(data, task, seed, budget)
    except (Exception, SystemExit) as error:
        raise OffbenchError(f"{name} failed in fit with seed {seed}: {registry.cause(error)}") from error
    if inspect.isclass(policy) or not callable(getattr(policy, "act", None)):
        gave = f"the class {policy.__name__}" if inspect.isclass(policy) else type(policy).__name__
        raise OffbenchError(
            f"the fit of {name} gave {gave}; an object with act(observations) that gives actions would be right"
        )
    return CheckedPolicy(policy, name, action_size(data, task))


def _learner(found: Any, config: Any) -> Any:
    """A learner for one seed: what fit leaves in it, a list in a field included, must not reach the next."""
    if not inspect.isclass(found):
        return found
    try:
        return copy.deepcopy(config) if dataclasses.is_dataclass(found) else found()
    except Exception as error:
        raise OffbenchError(
            f"{registry.title(found)} cannot be made anew for each seed ({registry.cause(error)}); a class without "
            "arguments, or a dataclass of plain values, would be right"
        ) from error


def action_size(data: Trajectories, task: Task | None) -> int:
    """Numbers in one action, by the data or else by the task; 0 where neither says."""
    if data.actions is not None:
        return int(data.actions.shape[1])
    if task is None:
        return 0
    simulator = make_simulator(task, 1)
    try:
        return len(simulator.action_low)
    finally:
        simulator.close()


class Fitting:
    """One run of a learner in progress: its seeds are fitted, scored and saved one after the other."""

    def __init__(
        self,
        plan: Plan,
        found: Any,
        config: Any,
        data: Trajectories,
        task: Task | None,
        folder: RunFolder,
        display: Display,
    ) -> None:
        self.plan, self.found, self.config, self.data, self.task = plan, found, config, data, task
        self.folder, self.display = folder, display
        self.progress = Progress(evaluations=[], losses=[], totals=[])

    def resume(self) -> None:
        """Go on after the seeds that the folder has."""
        self.progress = self.folder.manifest().progress

    def run(self) -> list[RunRecord]:
        """Fit the seeds that are left and write one record a seed.

        Raises:
            OffbenchError: a seed failed; those before it are saved.
            Interrupted: Ctrl-C; the seeds that were done are saved.
        """
        self.folder.write(self.plan, self.progress)  # an unwritable folder is noticed now, not after the first seed
        try:
            with self.display:
                for seed in self.plan.seeds[len(self.progress.evaluations) :]:
                    self._fit(seed)
            return self._finish()
        except KeyboardInterrupt:
            done = len(self.folder.manifest().progress.evaluations)
            raise Interrupted(
                f"interrupted; the run is saved in {self.folder.path} ({done} of {len(self.plan.seeds)} seeds): "
                "run the same command with --resume to go on"
            ) from None

    def _fit(self, seed: int) -> None:
        """Fit and score one seed, and save that it is done."""
        plan, progress = self.plan, self.progress
        started = time.perf_counter()
        policy = fit(self.found, self.config, self.data, self.task, seed, Budget(plan.steps, plan.device))
        fitted = time.perf_counter()
        evaluations = []
        if self.task is not None:
            evaluator = Evaluator(self.task, [seed], plan.episodes)
            try:
                evaluations = evaluator.evaluate(policy, plan.steps, 0)
            finally:
                evaluator.close()
        progress.wall_seconds += fitted - started
        progress.evaluation_seconds += time.perf_counter() - fitted
        progress.evaluations.append(evaluations)
        progress.losses.append([])
        progress.step = plan.steps * len(progress.evaluations) // len(plan.seeds)
        self.folder.write(plan, progress)
        self._show()

    def _show(self) -> None:
        self.display.update(self.progress.step)
        if self.task is not None:
            task = self.task
            scores = [float(task.score(one[-1].returns).mean()) for one in self.progress.evaluations]
            self.display.scored(self.plan.steps, scores)

    def _finish(self) -> list[RunRecord]:
        records = make_records(self.plan, self.progress, self.task)
        for record in records:
            write_record(record, self.folder.path / f"seed-{record.seed}.json")
        # Last, so that a run that calls itself complete has its records.
        self.progress.complete = True
        self.folder.write(self.plan, self.progress)
        return records


# -------------------------------------------------------------------- what a run of a learner is


def plan_parts(data: Trajectories, task: Task | None, steps: int) -> dict[str, Any]:
    """Those parts of a plan in which learners do not differ: nothing is scaled, compiled, grouped or logged."""
    states, actions = int(np.prod(data.observations.shape[1:])), action_size(data, task)
    scaling = ScalingPlan(
        mean=[0.0] * states,
        std=[1.0] * states,
        low=[-1.0] * actions,
        high=[1.0] * actions,
        reward_scale=1.0,
        reward_shift=0.0,
    )
    return {
        "observation_size": states,
        "action_size": actions,
        "transforms": [],
        "scaling": scaling,
        "evaluate_every": steps,
        "log_every": steps,
        "dtype": "float32",
        "compiled": False,
        "group_size": 1,
    }


def plain_config(found: Any, config: Any) -> dict[str, Any]:
    """The hyperparameters of a learner as JSON would give them back.

    Raises:
        OffbenchError: one of them is nothing that a record can hold.
    """
    plain = {}
    for field in registry.hyperparameters(found):
        value = getattr(config, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise OffbenchError(f"{field.name} must be finite, not {value}")
        try:
            plain[field.name] = json.loads(json.dumps(value, default=dataclasses.asdict, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise OffbenchError(
                f"the field {field.name} of {registry.title(found)} is a {type(value).__name__}, which a record cannot "
                "hold; numbers, texts, truth values, None, and lists of them can be hyperparameters"
            ) from error
    return plain


def refuse_options(name: str, given: dict[str, bool]) -> None:
    """Refuse those options that were given and that only our algorithms know, with an OffbenchError."""
    refused = [option for option, was_given in given.items() if was_given]
    if refused:
        raise OffbenchError(
            f"{name} is trained by one call of its fit a seed, which knows no {' and no '.join(refused)}; leave it out"
        )
