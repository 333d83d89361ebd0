"""Finished runs: their records, scores and policies, and scoring them again."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm, Sizes
from offbench.basis.cores import default_workers
from offbench.basis.foreign import blamed
from offbench.environments.own_tasks import chosen_task
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, RunRecord
from offbench.evaluation.record_files import read_records
from offbench.training.checks import check_count
from offbench.training.export import write_onnx
from offbench.training.folder import RunFolder
from offbench.training.group import Group, GroupPolicy, halves
from offbench.training.manifest import Manifest
from offbench.training.plan import Plan, config_of, torch_dtype
from offbench.training.records import make_records
from offbench.training.remarks import recorded_environment, task_remarks
from offbench.training.scoring import played
from offbench.training.teams import team
from offbench.training.views import check_sizes
from offbench.training.work import Updates, make_groups


class Run:
    """A finished run: records, scores and policies.

    Attributes:
        folder: where it lies.
        records: one RunRecord a seed.
    """

    def __init__(self, folder: str | Path, trust: bool = False) -> None:
        """Open the run in ``folder``.

        Args:
            folder: of the run.
            trust: whether its policies may be made where their algorithm has no registered name, but is named in the
                folder as ``module:Class``: that imports the module, and so runs whatever code it holds.

        Raises:
            OffbenchError: the folder holds no run, or one that is not complete.
        """
        folder = Path(folder).expanduser()
        self.folder, self.trust = folder, trust
        self._files = RunFolder(folder)
        self.manifest = self._files.manifest()
        if not self.manifest.progress.complete:
            raise OffbenchError(f"the run in {folder} {standing(self.manifest)}; finish it with --resume first")
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
            OffbenchError: no policies were kept, there is no such seed, the checkpoint is damaged, or it takes code
                that is not trusted.
        """
        self.check_kept()
        plan = self.manifest.plan
        chosen = plan.seeds if seed is None else [seed]
        if not set(chosen) <= set(plan.seeds):
            raise OffbenchError(f"the run in {self.folder} has no seed {seed}; it has {plan.seeds}")
        found = self._found()
        config = config_of(found, with_target(plan, target).config)
        sizes = Sizes(plan.observation_size, plan.action_size)
        algorithm = found(config, sizes, chosen, plan.steps, "cpu", torch_dtype(plan.dtype))
        rows = [plan.seeds.index(s) for s in chosen]
        self._restore(algorithm, self._files.state(self.manifest), rows)
        return GroupPolicy([algorithm], plan.scaling.scaling())

    def groups(self, plan: Plan) -> list[Group]:
        """The policies as ``plan`` groups them, a plan of this run that may differ in how it is scored.

        Raises:
            OffbenchError: see `policy`.
        """
        self.check_kept()
        found = self._found()
        groups = make_groups(found, config_of(found, plan.config), plan, None, compiled=False)
        state = self._files.state(self.manifest)
        for group in groups:
            self._restore(group.algorithm, state, [plan.seeds.index(seed) for seed in group.algorithm.seeds])
        return groups

    def _found(self) -> type[Algorithm]:
        """The algorithm; warns where its source has changed."""
        plan = self.manifest.plan
        if ":" in plan.algorithm and not self.trust:
            raise OffbenchError(
                f"the run in {self.folder} names the algorithm {plan.algorithm}: to act, its module would be imported, "
                "which runs whatever code that holds; allow it with --trust (trust=True in Python)"
            )
        found = registry.algorithm(plan.algorithm)
        if registry.source_digest(found) != plan.algorithm_digest:
            warnings.warn(
                f"the source of {plan.algorithm} has changed since the run in {self.folder} was made; its policies may "
                "act otherwise than they were scored",
                stacklevel=3,
            )
        return found

    def _restore(self, algorithm: Algorithm, state: dict[str, torch.Tensor], rows: list[int]) -> None:
        """The rows of the checkpoint that belong to the algorithm's seeds."""
        try:
            algorithm.restore({name: value[rows] if value.dim() else value for name, value in state.items()})
        except ValueError as error:
            raise OffbenchError(
                f"the checkpoint in {self.folder} does not fit {self.manifest.plan.algorithm}: {error}"
            ) from error

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


def evaluate(
    run: str | Path | Run,
    *,
    episodes: int = 100,
    task: str | Path | Task | None = None,
    target: float | None = None,
    workers: int | None = None,
    trust: bool = False,
) -> list[RunRecord]:
    """Score the final policies of a finished run on starts that its training never met.

    Args:
        run: the run, or its folder.
        episodes: episodes of each seed.
        task: name of the task, path of a TOML file, or the task itself; the run's own if None.
        target: return that the policies are asked for, if they are asked for one; the run's own if None.
        workers: processes that share the episodes; if None, one a core for policies with a memory, where there is
            enough to do, and else this one alone, whose physics has a thread a core. They change no result.
        trust: whether the module of an algorithm that has no registered name may be imported, which runs its code.

    Returns:
        The run's records, one a seed, with this evaluation in place of those of the training, and with the target in
        their config.

    Raises:
        OffbenchError: no finished run there, or one without policies, no task known, a task of other shapes, code that
            is not trusted, or a target for policies that are not asked for one.
    """
    for name, value in (("episodes", episodes), ("workers", workers)):
        check_count(name, value)
    opened = run if isinstance(run, Run) else Run(Path(run), trust)
    run = opened.folder
    opened.check_kept()
    plan = with_target(opened.manifest.plan, target)
    found = chosen_task(task) if task else plan.whole_task
    if found is None:
        raise OffbenchError(f"the run in {run} was trained without a task; name one with --task")
    check_sizes(found, plan.observation_size, plan.action_size, f"the run in {run}")
    # A seed acts by itself, so that its returns are the same whoever plays them.
    notes = list(plan.notes)
    if task:
        notes += [note for note in task_remarks(found, _recorded(plan)) if note not in notes]
    scored = {"episodes": episodes, "group_size": 1, "device": "cpu", "compiled": False, "notes": notes}
    plan = plan.model_copy(update=scored)
    with blamed(f"the evaluation of {plan.algorithm}"):
        evaluations = _played(opened, plan, found, workers)
    progress = opened.manifest.progress.model_copy(update={"evaluations": [[one] for one in evaluations]})
    return make_records(plan, progress, found)


def _played(opened: Run, plan: Plan, task: Task, workers: int | None) -> list[EvaluationRecord]:
    """The episodes of the plan, which differs from that of the run in how it is scored."""
    groups = opened.groups(plan)
    work = Updates(plan, groups, task)
    count = _players(plan, work, task, workers)
    with team(count, work, plan, task, groups) as doing:
        if count:
            return played(doing, plan, AFTER_TRAINING, plan.steps)
        return work.evaluate(AFTER_TRAINING, plan.steps)


def _recorded(plan: Plan) -> str:
    """Id of the environment that the data of a run were recorded in, as far as its plan says; else that of its task."""
    said = recorded_environment([note.removeprefix("data: ") for note in plan.notes])
    return said or (plan.whole_task.environment if plan.whole_task else "")


def _players(plan: Plan, work: Updates, task: Task, workers: int | None) -> int:
    """Processes beside this one that an evaluation is worth; 0 where this one does it, see `scoring.scored`."""
    count = min(workers or default_workers(), len(plan.seeds) * len(halves(plan.episodes)))
    steps = len(plan.seeds) * plan.episodes * task.episode_limit
    return count if count > 1 and (workers or (work.has_memory and steps > WORTH_STARTING)) else 0


# Environment steps above which it pays to start processes for policies with a memory: about ten seconds of acting.
WORTH_STARTING = 20_000

AFTER_TRAINING = 1_000_000  # number of the evaluations made by ``evaluate``, above any of a training


def with_target(plan: Plan, target: float | None) -> Plan:
    """The plan with another return that policies are asked for in evaluations; itself if ``target`` is None.

    Raises:
        OffbenchError: the algorithm's policies are not asked for a return, or this one is not finite.
    """
    if target is None:
        return plan
    if not math.isfinite(target):
        raise OffbenchError(f"target must be finite, not {target}")
    if "evaluation_target" not in plan.config:
        raise OffbenchError(f"policies of {plan.algorithm} are not asked for a return; leave the target out")
    return plan.model_copy(update={"config": plan.config | {"evaluation_target": float(target)}})


def standing(manifest: Manifest) -> str:
    """How far a run has come, in words."""
    progress = manifest.progress
    if progress.complete:
        return "finished"
    if manifest.checkpoint is None:
        return f"has {len(progress.evaluations)} of {len(manifest.plan.seeds)} seeds"
    return f"stands at step {progress.step}"
