"""``train``: from names and numbers to a finished run, in Python as on the command line."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from offbench.algorithms import registry
from offbench.algorithms.limits import check_hyperparameters
from offbench.basis.code import package_digest
from offbench.basis.foreign import blamed, staying, told_where
from offbench.catalog.loading import load
from offbench.data.learned import Learned, whole
from offbench.data.trajectories import Trajectories
from offbench.environments.own_tasks import chosen_task, own
from offbench.environments.task import Task, first_error
from offbench.errors import OffbenchError, UnwritableError
from offbench.evaluation.tuning_record import TuningRecord
from offbench.training import execution
from offbench.training.checks import action_range, check_precision, device_of, observation_size
from offbench.training.crew import LostWorkerError
from offbench.training.finished import Run, standing
from offbench.training.fitting import Fits, Fitting, plain_config, plan_parts, refuse_options
from offbench.training.folder import RunFolder
from offbench.training.learner import action_size
from offbench.training.logs import Logs, chosen_logs
from offbench.training.loop import Training
from offbench.training.options import BESIDE, Options, check_names, parted, signed
from offbench.training.plan import Plan, ScalingPlan, differences, torch_dtype
from offbench.training.progress import Display
from offbench.training.remarks import recorded_task, remarks
from offbench.training.teams import obstacle, team
from offbench.training.views import check_requirements, check_sizes, check_spaces, completed, home_of, make_view
from offbench.training.work import Updates, make_groups


def train(algorithm: str | type, dataset: str | Path | Sequence[str | Path] | Learned, **settings: Any) -> Run:
    """Train ``algorithm`` on ``dataset`` with several seeds at once and score it in a task.

    A learner (`offbench.training.learner`) is fitted with each seed instead, and each is scored once.

    Args:
        algorithm: registered name, ``module:Class`` or the class itself, of ours or of anything that has ``fit``.
        dataset: dataset id, path of a file or of a folder of numbered files, a list of files, or the data themselves:
            trajectories, or what ``requires`` of the algorithm asks for, `SemiSupervised` or `PreferenceData`.
        **settings: fields of `offbench.training.options.Options` (task, seeds, steps, evaluate_every, episodes,
            checkpoint_every, output, resume, device, data_on, dtype, compile, group, workers, log, quiet), and fields
            of the algorithm's config that differ from defaults and preset. A task may also be an `offbench.Task`, and a
            log any callable, see `offbench.training.logs`. ``tuning`` says how the configuration was chosen, with the
            fields of `offbench.evaluation.tuning_record.TuningRecord`, which the records keep.

    Raises:
        OffbenchError: an unknown name, data that do not fit the algorithm or the task, a folder that is taken, a
            learner or a log that failed, or a learner that was given an option that only ours know
            (``evaluate_every``, ``checkpoint_every``, ``dtype``, ``compile``, ``group``).
        Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    with staying():  # a learner may go elsewhere; the folder of the run stays where it was named
        try:
            folder = _trained(algorithm, dataset, settings, Path.cwd())
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit of an algorithm, which would pass for success
            raise OffbenchError(f"{registry.name_of(algorithm)} ended the run by {told_where(error)}") from error
    return Run(folder, trust=True)


def _trained(algorithm: str | type, dataset: Any, settings: dict[str, Any], here: Path) -> Path:
    """The folder of a run once it is trained, as whoever is at ``here`` named it; see `train`."""
    name = registry.name_of(algorithm)
    found = registry.find(name)
    check_names(found)
    given = settings.get("task")
    options, changes = parted(settings)
    logs = Logs(chosen_logs(settings.get("log", ())))
    data: Learned = load(dataset) if isinstance(dataset, str | Path | list | tuple) else dataset
    main = whole(data)
    config = registry.configure(found, main.provenance.like or main.provenance.dataset, changes)
    if registry.is_algorithm(found):
        check_hyperparameters(config)
    chosen = given or main.provenance.task or recorded_task(main)
    task, tuning = chosen_task(chosen) if chosen else None, _tuning(settings.get(BESIDE), options)
    request = Request(name, found, config, data, task, options, logs, tuning)
    check_requirements(found, data)
    check_spaces(found, main)
    with blamed(f"the run of {name}"):
        plan, begin = _updates(request) if registry.is_algorithm(found) else _fits(request)
    named = options.output or default_folder(plan)
    folder = RunFolder(here / named)
    with _told_as(named, folder.path), folder.claimed(), blamed(f"the run of {name}"):
        going_on = _going_on(folder, plan, options)
        if going_on is not None and (damage := folder.go_on()):
            request.display(plan, 0).note(_named(damage, named, folder.path))
        if not (going_on and folder.manifest().progress.complete):
            with _kept(folder):
                begin(folder, going_on or plan, going_on is not None)
    return named


def _tuning(given: Mapping[str, Any] | TuningRecord | None, options: Options) -> TuningRecord | None:
    if given is None:
        return None
    try:
        tuning = given if isinstance(given, TuningRecord) else TuningRecord.model_validate(dict(given))
        for seed in options.chosen_seeds:
            tuning.check_seed(seed)
    except ValidationError as error:
        raise OffbenchError(f"tuning is no record of a tuning: {first_error(error)}") from error
    except ValueError as error:
        raise OffbenchError(str(error)) from error
    return tuning


@contextmanager
def _kept(folder: RunFolder) -> Iterator[None]:
    """Say where the run stands when something cannot be written or a worker is lost."""
    try:
        yield
    except (UnwritableError, LostWorkerError) as error:
        if not folder.exists:
            raise
        then = "run" if isinstance(error, LostWorkerError) else "once that can be written, run"
        raise OffbenchError(
            f"{error}; the run in {folder.path} {standing(folder.manifest())}: {then} the same command with --resume "
            "to go on"
        ) from error


@contextmanager
def _told_as(named: Path, path: Path) -> Iterator[None]:
    """Let messages name the folder of the run as its user did, not by the folders of this machine above it."""
    try:
        yield
    except (OffbenchError, KeyboardInterrupt) as error:
        error.args = (_named(str(error), named, path),) if error.args else ()
        raise


def _named(text: str, named: Path, path: Path) -> str:
    """A text in which the folder ``path`` is called ``named``."""
    return re.sub(re.escape(str(path)) + r"(?![\w.-])", lambda _: str(named), text)


train.__signature__ = signed(train)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Request:
    """What `train` was asked for, with names looked up."""

    algorithm: str
    found: Any
    config: Any
    data: Learned
    task: Task | None
    options: Options
    logs: Logs
    tuning: TuningRecord | None

    @property
    def main(self) -> Trajectories:
        """The trajectories that stand for the data."""
        return whole(self.data)

    @property
    def device(self) -> str:
        """Where updates run."""
        return device_of(self.options.device)

    def plan(self, **parts: Any) -> Plan:
        """The plan of the run, of what was asked for and of ``parts``, which depend on the kind of algorithm."""
        return Plan(
            algorithm=self.algorithm,
            algorithm_digest=registry.source_digest(self.found),
            code_digest=package_digest(),
            dataset=dataset_name(self.main),
            dataset_revision=self.main.provenance.revision,
            dataset_digest=self.data.digest,
            task=self.task.name if self.task else None,
            own_task=own(self.task),
            seeds=self.options.chosen_seeds,
            steps=self.options.steps,
            episodes=self.options.episodes,
            device=self.device,
            notes=remarks(self.main, self.task, self.algorithm, self.found),
            tuning=self.tuning,
            **parts,
        )

    def display(self, plan: Plan, first: int) -> Display:
        """What shows the progress of the run after its first ``first`` updates."""
        title = f"{self.algorithm} on {plan.dataset}"
        return Display(title, plan.steps, len(plan.seeds), first, self.options.quiet, plan.notes)


Begin = Callable[[RunFolder, Plan, bool], object]  # runs a plan in a folder, or goes on with it


def _updates(request: Request) -> tuple[Plan, Begin]:
    """Plan and run of one of our algorithms, whose seeds are updated together."""
    found, data, task, options = request.found, request.data, request.task, request.options
    check_precision(options.dtype, request.device)
    config = completed(request.config, request.main, task)
    home = home_of(options.data_on, data, request.device)
    bounds, dtype = action_range(request.main, task), torch_dtype(options.dtype)
    view = make_view(found, config, data, bounds, request.device, dtype, home)
    cost = execution.measured(found, config, view, options, request.device)
    parts = {
        "config": json.loads(json.dumps(dataclasses.asdict(config))),  # as JSON would give it back: tuples are lists
        "observation_size": view.observation_size,
        "action_size": view.action_size,
        "transforms": view.transforms,
        "scaling": ScalingPlan.of(view.scaling),
        "evaluate_every": options.evaluate_every or max(1, options.steps // 10),
        "log_every": max(1, options.steps // 100),
        "dtype": options.dtype,
    }
    whole = request.plan(compiled=False, group_size=1, **parts)

    def draft(compiled: bool, size: int) -> Plan:
        return whole.model_copy(update={"compiled": compiled, "group_size": size})

    def begin(folder: RunFolder, plan: Plan, resumed: bool) -> None:
        step = folder.manifest().progress.step if resumed else 0
        display = request.display(plan, step)
        workers = _workers(execution.workers_for(plan, cost, step, options), request, config, plan, display)
        groups = make_groups(found, config, plan, view, plan.compiled and not workers)
        work = Updates(plan, groups, task)
        with team(workers, work, plan, task, groups, data, folder) as doing:
            every = options.checkpoint_every or max(1, plan.steps // 20)
            training = Training(plan, work, doing, folder, every, display, request.logs)
            if resumed:
                training.resume()
            training.run()

    return execution.chosen(draft, cost, options, request.device), begin


def _fits(request: Request) -> tuple[Plan, Begin]:
    """Plan and run of a learner, whose seeds are fitted one by one."""
    found, config, data, task, options = request.found, request.config, request.data, request.task, request.options
    given = {name: getattr(options, name) is not None for name in ("evaluate_every", "checkpoint_every", "group")}
    given |= {"dtype": options.dtype != "float32", "compile": options.compile != "auto"}
    given |= {"data_on": options.data_on != "auto"}
    refuse_options(request.algorithm, given)
    if task is not None:
        check_sizes(task, observation_size(request.main), action_size(request.main, task), "the dataset")
    plan = request.plan(config=plain_config(found, config), **plan_parts(request.main, task, options.steps))

    def begin(folder: RunFolder, plan: Plan, resumed: bool) -> None:
        done = len(folder.manifest().progress.evaluations) if resumed else 0
        display = request.display(plan, plan.steps * done // len(plan.seeds))
        workers = _workers(execution.fitting_workers(plan, done, options), request, config, plan, display)
        fits = Fits(plan, found, config, data, task)
        with team(workers, fits, plan, task, data=data, folder=folder) as doing:
            fitting = Fitting(plan, task, doing, folder, display, request.logs)
            if resumed:
                fitting.resume()
            fitting.run()

    return plan, begin


def _workers(wanted: int, request: Request, config: Any, plan: Plan, display: Display) -> int:
    """``wanted``, or none where workers could not import the algorithm, which is said."""
    reason = obstacle(request.found, config, plan) if wanted else None
    if reason is not None:
        display.note(f"one process trains all seeds: {reason}")
    return 0 if reason else wanted


def default_folder(plan: Plan) -> Path:
    """``runs/<algorithm>-<dataset>-<digest>``, the digest telling different settings apart."""
    name = f"{plan.algorithm}-{Path(plan.dataset).stem if plan.dataset.endswith('.hdf5') else plan.dataset}"
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return Path("runs") / f"{plain}-{plan.settings_digest[:8]}"


def _going_on(folder: RunFolder, plan: Plan, options: Options) -> Plan | None:
    """The plan of the run in the folder that is gone on with, which keeps its groups; None where there is none."""
    if not folder.exists:
        return None
    manifest = folder.manifest()
    if not options.resume:
        raise OffbenchError(
            f"a run in {folder.path} {standing(manifest)}; give --resume to go on with it or --output for another "
            "folder"
        )
    changed = differences(manifest.plan, plan)
    if changed:
        raise OffbenchError(f"the run in {folder.path} cannot go on as another: {'; '.join(changed)}")
    return execution.going_on(manifest.plan, plan, options)


def dataset_name(data: Trajectories) -> str:
    """Id of the dataset, or name of the file: a record holds no folder of this machine."""
    name = data.provenance.dataset or "trajectories"
    return Path(name).name if Path(name).is_absolute() or Path(name).exists() else name
