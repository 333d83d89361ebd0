"""``train`` and ``Run``: from names and numbers to a finished run, in Python as on the command line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from offbench.training.export import write_onnx
from offbench.training.fitting import Fitting, action_size, plain_config, plan_parts, refuse_options
from offbench.training.folder import Manifest, Plan, Precision, RunFolder, ScalingPlan, differences, torch_dtype
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
            raise OffbenchError(f"the run in {folder} {_standing(self.manifest)}; finish it with --resume first")
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

        Warns where the algorithm's source is no longer the one that was trained.

        Raises:
            OffbenchError: no policies were kept, there is no such seed, or the checkpoint is damaged.
        """
        self.check_kept()
        plan = self.manifest.plan
        chosen = plan.seeds if seed is None else [seed]
        if not set(chosen) <= set(plan.seeds):
            raise OffbenchError(f"the run in {self.folder} has no seed {seed}; it has {plan.seeds}")
        found = registry.algorithm(plan.algorithm)
        if registry.source_digest(found) != plan.algorithm_digest:
            warnings.warn(
                f"the source of {plan.algorithm} has changed since the run in {self.folder} was made; its policies may "
                "act otherwise than they were scored",
                stacklevel=2,
            )
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

    def write_onnx(self, path: str | Path, seed: int, target: float | None = None) -> None:
        """Write the policy of one seed as an ONNX file; see `offbench.training.export`.

        Raises:
            OffbenchError: see `policy` and `offbench.training.export.write_onnx`.
        """
        policy = self.policy(seed, target)
        write_onnx(policy.algorithms[0], policy.scaling, Path(path))

    def check_kept(self) -> None:
        """Refuse a run whose policies a learner's fit made, with an OffbenchError."""
        if self.manifest.checkpoint is None:
            raise OffbenchError(
                f"the run in {self.folder} has no policies: those that the fit of {self.manifest.plan.algorithm} made "
                "are not kept; train again with more episodes"
            )


def train(
    algorithm: str | type,
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

    A learner (`offbench.training.fitting`) is fitted with one seed after the other instead, and each is scored once.

    Args:
        algorithm: registered name, ``module:Class`` or the class itself, of ours or of anything that has ``fit``.
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
        OffbenchError: an unknown name, data that do not fit the algorithm or the task, a folder that is taken, a
            learner that failed, or was given an option that only ours know (``evaluate_every``, ``checkpoint_every``,
            ``dtype``, ``compile``, ``group``).
        Interrupted: Ctrl-C; a checkpoint has been written.
    """
    name = registry.name_of(algorithm)
    found = registry.find(name)
    check_names(found)
    data = dataset if isinstance(dataset, Trajectories) else load(dataset)
    if not isinstance(data, Trajectories):
        raise DataError(f"{dataset} is a split into {type(data).__name__}; {name} learns from whole trajectories")
    config = registry.configure(found, data.provenance.dataset, hyperparameters)
    if registry.is_algorithm(found):
        _check_hyperparameters(config)
    chosen = task or data.provenance.task
    request = Request(
        algorithm=name,
        found=found,
        config=config,
        data=data,
        task=find_task(chosen) if chosen else None,
        seeds=list(range(seeds)) if isinstance(seeds, int) else list(seeds),
        steps=steps,
        evaluate_every=evaluate_every,
        episodes=episodes,
        checkpoint_every=checkpoint_every,
        device=_device(device),
        dtype=dtype,
        compile=compile,
        group=group,
        quiet=quiet,
    )
    check_requirements(found, data)
    plan, begin = _updates(request) if registry.is_algorithm(found) else _fits(request)
    folder = RunFolder(Path(output) if output else default_folder(plan))
    with folder.claimed():
        resumed = _check_folder(folder, plan, resume)
        if not (resumed and folder.manifest().progress.complete):
            training = begin(folder, folder.manifest().progress.step if resumed else 0)
            if resumed:
                training.resume()
            training.run()
        return Run(folder.path)


@dataclass(frozen=True)
class Request:
    """What `train` was asked for, with names looked up; its fields are those of `train`."""

    algorithm: str
    found: Any
    config: Any
    data: Trajectories
    task: Task | None
    seeds: list[int]
    steps: int
    evaluate_every: int | None
    episodes: int
    checkpoint_every: int | None
    device: str
    dtype: Precision
    compile: Compile
    group: int | None
    quiet: bool

    def plan(self, **parts: Any) -> Plan:
        """The plan of the run, of what was asked for and of ``parts``, which depend on the kind of algorithm."""
        return Plan(
            algorithm=self.algorithm,
            algorithm_digest=registry.source_digest(self.found),
            dataset=_name(self.data),
            dataset_revision=self.data.provenance.revision,
            dataset_digest=self.data.digest,
            task=self.task.name if self.task else None,
            seeds=self.seeds,
            steps=self.steps,
            episodes=self.episodes,
            device=self.device,
            **parts,
        )

    def display(self, plan: Plan, first: int) -> Display:
        """What shows the progress of the run after its first ``first`` updates."""
        title = f"{self.algorithm} on {plan.dataset}"
        return Display(title, self.steps, len(self.seeds), first=first, quiet=self.quiet)


Begin = Callable[[RunFolder, int], Training | Fitting]  # of a folder and the updates that it has


def _updates(request: Request) -> tuple[Plan, Begin]:
    """Plan and beginning of a run of one of our algorithms, whose seeds are updated together."""
    found, data, task = request.found, request.data, request.task
    config = completed(request.config, data, task.episode_limit if task else None)
    view = make_view(found, config, data, _action_range(data, task), request.device, torch_dtype(request.dtype))
    _check_numbers(request)
    count, steps = len(request.seeds), request.steps
    compiled, size = choose_execution(found, config, view, count, steps, request.compile, request.device)
    plan = request.plan(
        config=_plain(config),
        observation_size=view.observation_size,
        action_size=view.action_size,
        transforms=view.transforms,
        scaling=_scaling_plan(view.scaling),
        evaluate_every=request.evaluate_every or max(1, steps // 10),
        log_every=max(1, steps // 100),
        dtype=request.dtype,
        compiled=compiled,
        group_size=min(request.group or size, count),
    )

    def begin(folder: RunFolder, first: int) -> Training:
        groups = build_groups(found, config, view, plan)
        checkpoint_every = request.checkpoint_every or max(1, steps // 20)
        return Training(plan, groups, task, folder, checkpoint_every, request.display(plan, first))

    return plan, begin


def _fits(request: Request) -> tuple[Plan, Begin]:
    """Plan and beginning of a run of a learner, whose seeds are fitted one after the other."""
    found, config, data, task = request.found, request.config, request.data, request.task
    given = {name: getattr(request, name) is not None for name in ("evaluate_every", "checkpoint_every", "group")}
    given |= {"dtype": request.dtype != "float32", "compile": request.compile != "auto"}
    refuse_options(request.algorithm, given)
    if task is not None:
        _check_shapes(task, _observation_size(data), action_size(data, task), "the dataset")
    _check_numbers(request)
    plan = request.plan(config=plain_config(found, config), **plan_parts(data, task, request.steps))

    def begin(folder: RunFolder, first: int) -> Fitting:
        return Fitting(plan, found, config, data, task, folder, request.display(plan, first))

    return plan, begin


def check_names(found: Any) -> None:
    """Refuse hyperparameters that are called as an option of `train` or of its command, with an OffbenchError."""
    taken = {*inspect.signature(train).parameters, "first_seed"}
    for field in registry.hyperparameters(found):
        if field.name in taken:
            raise OffbenchError(
                f"the field {field.name} of {registry.title(found)} is called as an option of train; give it another "
                "name (steps and device are in the budget that fit is given)"
            )


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
        OffbenchError: no finished run there, or one without policies, no task known, a task of other shapes, or a
            target for policies that are not asked for one.
    """
    if episodes < 1:
        raise OffbenchError(f"episodes must be at least 1, not {episodes}")
    opened = Run(Path(run))
    opened.check_kept()
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
    size = 0 if data.actions is None else data.actions.shape[1]
    low, high = _check_shapes(task, _observation_size(data), size, "the dataset")
    return low, high


def _observation_size(data: Trajectories) -> int:
    """Numbers in one observation; 0 where it is no vector, which fits no task."""
    return data.observations.shape[1] if data.observations.ndim == 2 else 0


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


def _check_numbers(request: Request) -> None:
    seeds = request.seeds
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise OffbenchError(f"seeds must be different non-negative numbers and at least one, not {seeds}")
    for name in ("steps", "episodes", "evaluate_every", "checkpoint_every", "group"):
        value = getattr(request, name)
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
        raise OffbenchError(
            f"a run in {folder.path} {_standing(manifest)}; give --resume to go on with it or --output for another "
            "folder"
        )
    changed = differences(manifest.plan, plan)
    if changed:
        raise OffbenchError(f"the run in {folder.path} cannot go on as another: {'; '.join(changed)}")
    return True


def _standing(manifest: Manifest) -> str:
    """How far a run has come, in words."""
    progress = manifest.progress
    if progress.complete:
        return "finished"
    if manifest.checkpoint is None:
        return f"has {len(progress.evaluations)} of {len(manifest.plan.seeds)} seeds"
    return f"stands at step {progress.step}"


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
