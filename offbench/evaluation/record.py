"""The record of a run: everything that a table, a plot or a reader needs, for one seed, in one JSON file.

Aggregates are never stored. Scores are recomputed from the raw returns of every episode, so that a reference score or a
statistic can be mended later without training anything again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import (
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.evaluation.fields import Digest, JsonObject, Name, Strict
from offbench.evaluation.tuning_record import TuningRecord

if TYPE_CHECKING:
    from jaxtyping import Float64

SCHEMA_VERSION = 1
# How the algorithm is called of a policy that was trained elsewhere, so that no table takes it for one of ours.
ELSEWHERE = " (elsewhere)"
# The libraries that compute: results under two versions of them are not averaged.
NUMERIC = ("numpy", "torch")


class TaskRecord(Strict):
    """The task a run was scored in, with the simulators that were installed and the reference returns of that day.

    Attributes:
        name: name of the task, ``pointmaze-stitch``.
        environment: Gymnasium id.
        arguments: keyword arguments of the environment.
        episode_limit: steps after which an episode is truncated.
        dynamics: those of these simulators, or D4RL's (`offbench.environments.d4rl_dynamics`).
        simulators: version of each library that the returns depend on, by name.
        low: mean return that scores 0.
        high: mean return that scores 100.
        references_source: where the two were published or how they were measured.
    """

    name: Name
    environment: Name
    arguments: JsonObject
    episode_limit: PositiveInt
    dynamics: Literal["installed", "d4rl"] = "installed"
    simulators: dict[str, str]
    low: float
    high: float
    references_source: str

    @model_validator(mode="after")
    def _references_are_ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"the low reference {self.low} must be below the high one {self.high}")
        return self


class EvaluationRecord(Strict):
    """One evaluation: every episode, in the order of its environment seeds.

    Attributes:
        step: gradient updates done before it.
        environment_seeds: (episodes,) the seed that each episode's environment was reset with.
        returns: (episodes,) undiscounted sum of the environment's rewards.
        lengths: (episodes,) environment steps.
    """

    step: NonNegativeInt
    environment_seeds: list[NonNegativeInt] = Field(min_length=1)
    returns: list[float]
    lengths: list[PositiveInt]

    @model_validator(mode="after")
    def _episodes_agree(self) -> Self:
        episodes = len(self.environment_seeds)
        if not episodes == len(self.returns) == len(self.lengths):
            counts = {"environment_seeds": episodes, "returns": len(self.returns), "lengths": len(self.lengths)}
            listed = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise ValueError(f"the evaluation at step {self.step} has {listed}; an episode has one of each")
        if len(set(self.environment_seeds)) < episodes:
            raise ValueError(f"the evaluation at step {self.step} uses an environment seed twice")
        return self


class LossRecord(Strict):
    """Metrics of one logging step, by name."""

    step: NonNegativeInt
    values: dict[str, float]


class RunRecord(Strict):
    """One seed of one run.

    Attributes:
        schema_version: version of this layout.
        trained: by offbench, or elsewhere: then offbench knows the episodes alone, and all else is empty or as somebody
            said. The name of the algorithm ends in ``(elsewhere)``.
        algorithm: registered name or ``module:Class``.
        algorithm_digest: SHA-256 of the algorithm's source.
        code_digest: SHA-256 of all further code of offbench that the numbers depend on, empty where it is not known.
        config: the algorithm's whole configuration, defaults included, without the seed.
        config_digest: ``digest_of(config)``.
        dataset: dataset id or the name of a file.
        dataset_revision: revision of the dataset's card, 0 for a file.
        dataset_digest: SHA-256 of the trajectories' content.
        transforms: recorded steps between data and learner (state normalisation, reward scale), in order.
        task: what the run was scored in; absent where the data names no task, and then nothing was evaluated.
        seed: seed of this run.
        steps: gradient updates done.
        group_size: seeds trained together in the same process.
        notes: what a reader of the numbers has to know: how the data were read and what is wrong with them, the preset,
            how the task differs from what the data were recorded in.
        evaluations: the learning curve, in the order of its steps; the last one is the final score.
        losses: logged metrics, in the order of their steps.
        wall_seconds: time spent training the whole group, evaluation left out.
        evaluation_seconds: time spent evaluating the whole group.
        hardware: processor, accelerator, threads; no name of a host, a person or a folder.
        packages: versions by name.
        git_commit: commit of the folder that the run was started in, where it is a repository.
        tuning_runs: runs spent on choosing the configuration.
        tuning: how it was chosen, where offbench chose it; None stands in no file, so that records without tuning are
            as they were before there was any.
        created: when the record was written, with time zone.
    """

    schema_version: Literal[1] = 1
    trained: Literal["here", "elsewhere"] = "here"
    algorithm: Name
    algorithm_digest: Digest
    code_digest: Digest | Literal[""] = ""
    config: JsonObject
    config_digest: Digest
    dataset: Name
    dataset_revision: NonNegativeInt
    dataset_digest: Digest
    transforms: list[JsonObject]
    task: TaskRecord | None
    seed: NonNegativeInt
    steps: NonNegativeInt
    group_size: PositiveInt
    notes: list[str] = []
    evaluations: list[EvaluationRecord]
    losses: list[LossRecord]
    wall_seconds: NonNegativeFloat
    evaluation_seconds: NonNegativeFloat
    hardware: dict[str, str]
    packages: dict[str, str]
    git_commit: str | None
    tuning_runs: NonNegativeInt = 0
    tuning: TuningRecord | None = None
    created: datetime

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.config_digest != digest_of(self.config):
            raise ValueError("config_digest is not the digest of config")
        if self.algorithm.endswith(ELSEWHERE) != (self.trained == "elsewhere"):
            raise ValueError(f"the algorithm's name ends in {ELSEWHERE.strip()!r} where it was trained elsewhere")
        if self.created.tzinfo is None:
            raise ValueError("created has no time zone")
        for name, steps in (
            ("evaluations", [evaluation.step for evaluation in self.evaluations]),
            ("losses", [loss.step for loss in self.losses]),
        ):
            if any(after <= before for before, after in itertools.pairwise(steps)):
                raise ValueError(f"the steps of {name} do not increase")
            if steps and steps[-1] > self.steps:
                raise ValueError(f"{name} go up to step {steps[-1]}, but the run has {self.steps} steps")
        if self.task is None and self.evaluations:
            raise ValueError("there are evaluations, but no task that says what they were scored in")
        if self.task is not None:
            limit = self.task.episode_limit
            longest = max((max(e.lengths) for e in self.evaluations), default=0)
            if longest > limit:
                raise ValueError(f"an episode has {longest} steps, but the task's limit is {limit}")
        if self.tuning is not None:
            self._check_tuning(self.tuning)
        return self

    def _check_tuning(self, tuning: TuningRecord) -> None:
        if self.tuning_runs != tuning.runs:
            raise ValueError(f"tuning_runs is {self.tuning_runs}, and the tuning has spent {tuning.runs}")
        if tuning.space_digest != digest_of(tuning.space):
            raise ValueError("space_digest is not the digest of the space that was tuned in")
        tuning.check_seed(self.seed)

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table: dict[str, Any] = handler(self)
        if self.tuning is None:
            table.pop("tuning", None)
        return table

    @property
    def is_trial(self) -> bool:
        """Whether a configuration was chosen by this run, so that its score is no result."""
        return self.tuning is not None and self.tuning.role == "trial"

    def scores(self, evaluation: EvaluationRecord) -> Float64[Array, " episodes"]:
        """100 (return - low) / (high - low) for each episode."""
        if self.task is None:
            raise OffbenchError(f"the run of {self.algorithm} on {self.dataset} has no task, so it has no scores")
        returns = np.asarray(evaluation.returns, dtype=np.float64)
        return 100.0 * (returns - self.task.low) / (self.task.high - self.task.low)

    @property
    def final_score(self) -> float:
        """Mean score over the episodes of the last evaluation.

        Raises:
            OffbenchError: the run was never evaluated.
        """
        if not self.evaluations:
            raise OffbenchError(
                f"seed {self.seed} of {self.algorithm} on {self.dataset} was never evaluated, so it has no score"
            )
        return float(self.scores(self.evaluations[-1]).mean())

    @property
    def best(self) -> EvaluationRecord | None:
        """The evaluation with the highest mean return, the first of several; None where there is none."""
        return max(self.evaluations, key=lambda one: math.fsum(one.returns) / len(one.returns), default=None)

    @property
    def best_score(self) -> float:
        """Mean score over the episodes of the best evaluation, which an offline learner could not have known.

        Raises:
            OffbenchError: the run was never evaluated.
        """
        best = self.best
        return self.final_score if best is None else float(self.scores(best).mean())

    @property
    def benchmark_digest(self) -> str:
        """Digest of what is scored on: data and task. Scores may be compared where it is equal."""
        task = None if self.task is None else self.task.model_dump(mode="json", exclude={"references_source"})
        return digest_of([self.dataset, self.dataset_revision, self.dataset_digest, task])

    @property
    def method_digest(self) -> str:
        """Digest of what is scored: algorithm, all code, libraries of numbers, configuration, transforms, updates done.

        Seeds may be averaged where this and ``benchmark_digest`` are equal.
        """
        code = [self.algorithm, self.algorithm_digest, self.code_digest]
        libraries: JsonValue = {name: self.packages[name] for name in NUMERIC if name in self.packages}
        return digest_of([*code, libraries, self.config, list(self.transforms), self.steps])


def digest_of(value: JsonValue) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
