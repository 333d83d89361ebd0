"""``train`` and ``Run``: from names and numbers to a finished run, in Python as on the command line."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm, Sizes
from offbench.catalog.loading import load
from offbench.data.trajectories import Array, Trajectories
from offbench.data.transitions import Scaling
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.environments.task import task as find_task
from offbench.errors import DataError, OffbenchError
from offbench.evaluation.record import RunRecord, digest_of, read_records
from offbench.evaluation.rollout import Evaluator
from offbench.training.compilation import Compile
from offbench.training.folder import Plan, Precision, RunFolder, ScalingPlan, differences, torch_dtype
from offbench.training.group import GroupPolicy
from offbench.training.loop import Training, build_groups, choose_execution, make_records
from offbench.training.progress import Display
from offbench.training.views import check_requirements, completed, make_view


class Run:
    """A finished run: records, scores and policies.

    Attributes:
        folder: where it lies.
        records: one RunRecord a seed.
    """

    def __init__(self, folder: Path) -> None:
        """Open the run in ``folder``.

        Raises:
            OffbenchError: the folder holds no run, or one that is not complete.
        """
        self.folder = folder
        self._files = RunFolder(folder)
        self.manifest = self._files.manifest()
        if not self.manifest.progress.complete:
            step = self.manifest.progress.step
            raise OffbenchError(f"the run in {folder} stands at step {step}; finish it with --resume first")
        self.records: list[RunRecord] = read_records(
            [folder / f"seed-{seed}.json" for seed in self.manifest.plan.seeds]
        )

    @property
    def scores(self) -> list[float]:
        """Mean score of the last evaluation, one a seed."""
        return [record.final_score for record in self.records]

    def policy(self, seed: int | None = None, target: float | None = None) -> GroupPolicy:
        """The deterministic policy of one seed, or of all seeds in turn (see GroupPolicy).

        One that is asked for a return is asked for ``target``, or for the config's ``evaluation_target`` if that is
        None. It has a memory: ``reset(mask)`` begins episodes, and ``observe(rewards)`` follows each step.
        """
        plan = self.manifest.plan
        chosen = plan.seeds if seed is None else [seed]
        if not set(chosen) <= set(plan.seeds):
            raise OffbenchError(f"the run in {self.folder} has no seed {seed}; it has {plan.seeds}")
        found = registry.algorithm(plan.algorithm)
        config = _config(found, with_target(plan, target).config)
        sizes = Sizes(plan.observation_size, plan.action_size)
        algorithm = found(config, sizes, chosen, plan.steps, "cpu", torch_dtype(plan.dtype))
        rows = [plan.seeds.index(s) for s in chosen]
        state = {k: v[rows] if v.dim() else v for k, v in self._files.state(self.manifest).items()}
        try:
            algorithm.restore(state)
        except ValueError as error:
            raise OffbenchError(f"the checkpoint in {self.folder} does not fit {plan.algorithm}: {error}") from error
        scaling = plan.scaling
        mean, std, low, high = (np.array(v, np.float32) for v in (scaling.mean, scaling.std, scaling.low, scaling.high))
        return GroupPolicy([algorithm], Scaling(mean, std, low, high, scaling.reward_scale, scaling.reward_shift))


def train(
    algorithm: str,
    dataset: str | Path | Trajectories,
    *,
    task: str | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int = 100_000,
    evaluate_every: int | None = None,
    episodes: int = 20,
    checkpoint_every: int | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    dtype: Precision = "float32",
    compile: Compile = "auto",
    group: int | None = None,
    quiet: bool = False,
    **hyperparameters: Any,
) -> Run:
    """Train ``algorithm`` on ``dataset`` with several seeds at once and score it in ``task``.

    Args:
        algorithm: registered name or ``module:Class``.
        dataset: dataset id, path of a file, or trajectories.
        task: name of the task to score in; the dataset's own if None.
        seeds: how many seeds (0, 1, ...), or which.
        steps: gradient updates of each seed.
        evaluate_every: updates between evaluations; a tenth of ``steps`` if None. The last update is always evaluated.
        episodes: episodes of each seed in one evaluation.
        checkpoint_every: updates between checkpoints; a twentieth of ``steps`` if None.
        output: the run's folder; ``runs/<algorithm>-<dataset>-<digest>`` if None.
        resume: go on with an interrupted run; a finished one is returned as it is.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        dtype: of parameters and data; "mixed" is float32 with the hidden layers' products in bfloat16.
        compile: "auto" where it pays, "always" or "never".
        group: seeds updated together; chosen for the machine if None.
        quiet: show no progress.
        **hyperparameters: fields of the algorithm's config that differ from defaults and preset.

    Raises:
        OffbenchError: an unknown name, data that do not fit the algorithm or the task, a folder that is taken.
        Interrupted: Ctrl-C; a checkpoint has been written.
    """
    found = registry.algorithm(algorithm)
    data = dataset if isinstance(dataset, Trajectories) else load(dataset)
    if not isinstance(data, Trajectories):
        raise DataError(f"{dataset} is a split into {type(data).__name__}; {algorithm} learns from whole trajectories")
    config = registry.configure(found, data.provenance.dataset, hyperparameters)
    _check_hyperparameters(config)
    chosen = task or data.provenance.task
    scored = find_task(chosen) if chosen else None
    where = _device(device)
    check_requirements(found, data)
    config = completed(config, data, scored.episode_limit if scored else None)
    view = make_view(found, config, data, _action_range(data, scored), where, torch_dtype(dtype))
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    _check_numbers(numbers, steps, episodes, evaluate_every, checkpoint_every, group)
    compiled, size = choose_execution(found, config, view, len(numbers), steps, compile, where)
    plan = Plan(
        algorithm=algorithm,
        algorithm_digest=registry.source_digest(found),
        config=_plain(config),
        dataset=_name(data),
        dataset_revision=data.provenance.revision,
        dataset_digest=data.digest,
        observation_size=view.observation_size,
        action_size=view.action_size,
        transforms=view.transforms,
        scaling=_scaling_plan(view.scaling),
        task=scored.name if scored else None,
        seeds=numbers,
        steps=steps,
        evaluate_every=evaluate_every or max(1, steps // 10),
        episodes=episodes,
        log_every=max(1, steps // 100),
        dtype=dtype,
        compiled=compiled,
        group_size=min(group or size, len(numbers)),
        device=where,
    )
    folder = RunFolder(Path(output) if output else default_folder(plan))
    with folder.claimed():
        resumed = _check_folder(folder, plan, resume)
        if resumed and folder.manifest().progress.complete:
            return Run(folder.path)
        groups = build_groups(found, config, view, plan)
        first = folder.manifest().progress.step if resumed else 0
        display = Display(f"{algorithm} on {plan.dataset}", steps, len(numbers), first=first, quiet=quiet)
        training = Training(plan, groups, scored, folder, checkpoint_every or max(1, steps // 20), display)
        if resumed:
            training.resume()
        training.run()
        return Run(folder.path)


def evaluate(
    run: str | Path, *, episodes: int = 100, task: str | None = None, target: float | None = None
) -> list[RunRecord]:
    """Score the final policies of a finished run on starts that its training never met.

    Args:
        run: the run's folder.
        episodes: episodes of each seed.
        task: name of the task; the run's own if None.
        target: return that the policies are asked for, if they are asked for one; the run's own if None.

    Returns:
        The run's records, one a seed, with this evaluation in place of those of the training, and with the target in
        their config.

    Raises:
        OffbenchError: no finished run there, no task known, a task of other shapes, or a target for policies that are
            not asked for one.
    """
    if episodes < 1:
        raise OffbenchError(f"episodes must be at least 1, not {episodes}")
    opened = Run(Path(run))
    plan = with_target(opened.manifest.plan, target)
    chosen = task or plan.task
    if chosen is None:
        raise OffbenchError(f"the run in {run} was trained without a task; name one with --task")
    found = find_task(chosen)
    _check_shapes(found, plan.observation_size, plan.action_size, f"the run in {run}")
    evaluator = Evaluator(found, plan.seeds, episodes)
    evaluations = evaluator.evaluate(opened.policy(target=target), plan.steps, AFTER_TRAINING)
    evaluator.close()
    progress = opened.manifest.progress.model_copy(update={"evaluations": [[one] for one in evaluations]})
    return make_records(plan, progress, found)


AFTER_TRAINING = 1_000_000  # number of the evaluations made by ``evaluate``, above any of a training


def with_target(plan: Plan, target: float | None) -> Plan:
    """The plan with another return that policies are asked for in evaluations; itself if ``target`` is None.

    Raises:
        OffbenchError: the algorithm's policies are not asked for a return.
    """
    if target is None:
        return plan
    if "evaluation_target" not in plan.config:
        raise OffbenchError(f"policies of {plan.algorithm} are not asked for a return; leave the target out")
    return plan.model_copy(update={"config": plan.config | {"evaluation_target": float(target)}})


def default_folder(plan: Plan) -> Path:
    """``runs/<algorithm>-<dataset>-<digest>``, the digest telling different settings apart."""
    settings = plan.model_dump(exclude={"group_size", "device", "compiled"}, mode="json")
    name = f"{plan.algorithm}-{Path(plan.dataset).stem if plan.dataset.endswith('.hdf5') else plan.dataset}"
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return Path("runs") / f"{plain}-{digest_of(settings)[:8]}"


# -------------------------------------------------------------------- checks and small conversions


def _action_range(data: Trajectories, task: Task | None) -> tuple[Array, Array] | None:
    """The task's, once the data were found to fit it."""
    if task is None:
        return None
    size = data.observations.shape[1] if data.observations.ndim == 2 else 0
    low, high = _check_shapes(task, size, 0 if data.actions is None else data.actions.shape[1], "the dataset")
    return low, high


def _check_shapes(task: Task, observation: int, action: int, name: str) -> tuple[Any, Any]:
    """The task's action range, once observation and action sizes were found to agree with it."""
    simulator = make_simulator(task, 1)
    try:
        wanted = simulator.observation_size, len(simulator.action_low)
        if wanted != (observation, action):
            raise DataError(
                f"{name} has observations of {observation} and actions of {action} numbers, but the task "
                f"{task.name} has {wanted[0]} and {wanted[1]}; name the task that the data come from"
            )
        return simulator.action_low, simulator.action_high
    finally:
        simulator.close()


def _check_numbers(
    seeds: list[int],
    steps: int,
    episodes: int,
    evaluate_every: int | None,
    checkpoint_every: int | None,
    group: int | None,
) -> None:
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise OffbenchError(f"seeds must be different non-negative numbers and at least one, not {seeds}")
    numbers = {"steps": steps, "episodes": episodes, "evaluate_every": evaluate_every}
    numbers |= {"checkpoint_every": checkpoint_every, "group": group}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise OffbenchError(f"{name} must be at least 1, not {value}")


def _check_hyperparameters(config: Any) -> None:
    """Refuse what no algorithm can mean: numbers that are not finite, and batches or layers of nothing."""
    for name, value in dataclasses.asdict(config).items():
        parts = value if isinstance(value, list | tuple) else [value]
        if not all(math.isfinite(part) for part in parts if isinstance(part, float)):
            raise OffbenchError(f"{name} must be finite, not {value}")
        if name in ("batch_size", "hidden") and any(part < 1 for part in parts):
            raise OffbenchError(f"{name} must be at least 1, not {value}")


def _check_folder(folder: RunFolder, plan: Plan, resume: bool) -> bool:
    """Whether there is a run to go on with in the folder."""
    if not folder.exists:
        return False
    manifest = folder.manifest()
    if not resume:
        state = "finished" if manifest.progress.complete else f"stands at step {manifest.progress.step}"
        raise OffbenchError(
            f"a run in {folder.path} {state}; give --resume to go on with it or --output for another folder"
        )
    changed = differences(manifest.plan, plan)
    if changed:
        raise OffbenchError(f"the run in {folder.path} cannot go on as another: {'; '.join(changed)}")
    return True


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise OffbenchError(f"there is no device {name!r}; use cpu, cuda, cuda:<number> or auto")
    count = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    if kind == "cuda" and count == 0:
        raise OffbenchError(f"the device {name} was asked for and this machine has no usable GPU; use cpu or auto")
    if number and int(number) >= count:
        raise OffbenchError(f"the device {name} was asked for and this machine has {count} GPUs, cuda:0 the first")
    return name


def _name(data: Trajectories) -> str:
    """Id of the dataset, or name of the file: a record holds no folder of this machine."""
    name = data.provenance.dataset or "trajectories"
    return Path(name).name if Path(name).is_absolute() or Path(name).exists() else name


def _plain(config: Any) -> dict[str, Any]:
    """A config as JSON would give it back: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def _config(found: type[Algorithm], plain: dict[str, Any]) -> Any:
    return found.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def _scaling_plan(scaling: Scaling) -> ScalingPlan:
    return ScalingPlan(
        mean=scaling.mean.tolist(),
        std=scaling.std.tolist(),
        low=scaling.low.tolist(),
        high=scaling.high.tolist(),
        reward_scale=scaling.reward_scale,
        reward_shift=scaling.reward_shift,
    )
