"""Finished runs: their records, scores and policies, and scoring them again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm, Sizes
from offbench.data.scaling import Scaling
from offbench.environments.task import task as find_task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records
from offbench.evaluation.rollout import Evaluator
from offbench.training.export import write_onnx
from offbench.training.folder import Manifest, Plan, RunFolder, torch_dtype
from offbench.training.group import GroupPolicy
from offbench.training.loop import make_records
from offbench.training.views import check_sizes


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
    check_sizes(found, plan.observation_size, plan.action_size, f"the run in {run}")
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


def standing(manifest: Manifest) -> str:
    """How far a run has come, in words."""
    progress = manifest.progress
    if progress.complete:
        return "finished"
    if manifest.checkpoint is None:
        return f"has {len(progress.evaluations)} of {len(manifest.plan.seeds)} seeds"
    return f"stands at step {progress.step}"


def _config(found: type[Algorithm], plain: dict[str, Any]) -> Any:
    return found.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})
