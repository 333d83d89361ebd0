"""``train``: from names and numbers to a finished run, in Python as on the command line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from offbench.algorithms import registry
from offbench.catalog.loading import load
from offbench.data.scaling import Scaling
from offbench.data.trajectories import Array, Trajectories
from offbench.environments.task import Task
from offbench.environments.task import task as find_task
from offbench.errors import DataError, OffbenchError
from offbench.evaluation.record import digest_of
from offbench.training.compilation import Compile
from offbench.training.finished import Run, standing
from offbench.training.fitting import Fitting, action_size, plain_config, plan_parts, refuse_options
from offbench.training.folder import Plan, Precision, RunFolder, ScalingPlan, differences, torch_dtype
from offbench.training.loop import Training, build_groups, choose_execution
from offbench.training.progress import Display
from offbench.training.views import check_requirements, check_sizes, completed, make_view


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
        check_sizes(task, _observation_size(data), action_size(data, task), "the dataset")
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
    low, high = check_sizes(task, _observation_size(data), size, "the dataset")
    return low, high


def _observation_size(data: Trajectories) -> int:
    """Numbers in one observation; 0 where it is no vector, which fits no task."""
    return data.observations.shape[1] if data.observations.ndim == 2 else 0


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
            f"a run in {folder.path} {standing(manifest)}; give --resume to go on with it or --output for another "
            "folder"
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


def _scaling_plan(scaling: Scaling) -> ScalingPlan:
    return ScalingPlan(
        mean=scaling.mean.tolist(),
        std=scaling.std.tolist(),
        low=scaling.low.tolist(),
        high=scaling.high.tolist(),
        reward_scale=scaling.reward_scale,
        reward_shift=scaling.reward_shift,
    )
