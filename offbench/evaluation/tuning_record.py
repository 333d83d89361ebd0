"""What a record says of how its configuration was chosen: by whom, on which seeds, among what, and what that cost."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from offbench.evaluation.fields import Digest, JsonObject, Name, Strict


class TuningRecord(Strict):
    """The tuning that a run belongs to: as one of its trials, or as what came of it.

    Attributes:
        role: ``trial`` of a run that the choice was made by, whose scores are no result; ``result`` of the chosen
            configuration, trained with other seeds.
        kind: what the choice was made by: ``online``, episodes in the environment, or ``ope``, off-policy evaluation on
            the data.
        tuner: who proposed the configurations: ``random`` or ``tpe``.
        settings: of the tuner: its seed, what it proposed at a time, the version of its library, those of FQE.
        objective: what was made as large as possible: score of the ``last`` or the ``best`` evaluation, area under the
            curve (``auc``), or the value that ``fqe`` gives; means over seeds and datasets.
        space: what each hyperparameter was chosen from, as a plan writes it.
        space_digest: ``digest_of(space)``.
        datasets: ids or names of files; one configuration was chosen for all of them.
        seeds: tuning seeds.
        trials: configurations that were asked for.
        trial: number of the one that this run is, or that was chosen.
        failed: of the configurations, those that could not be trained; they count in ``runs``. 0 of a trial.
        runs: runs that were spent, a seed on a dataset each. 0 of a trial.
        episodes: episodes in the environment that the choice was made by. 0 of a trial.
    """

    role: Literal["trial", "result"]
    kind: Literal["online", "ope"]
    tuner: Name
    settings: JsonObject
    objective: Literal["last", "best", "auc", "fqe"]
    space: JsonObject
    space_digest: Digest
    datasets: list[Name] = Field(min_length=1)
    seeds: list[NonNegativeInt] = Field(min_length=1)
    trials: PositiveInt
    trial: NonNegativeInt
    failed: NonNegativeInt = 0
    runs: NonNegativeInt = 0
    episodes: NonNegativeInt = 0

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if (self.kind == "ope") != (self.objective == "fqe"):
            raise ValueError(f"tuning of the kind {self.kind} has no objective {self.objective}")
        if self.kind == "ope" and self.episodes:
            raise ValueError(f"tuning without playing has spent {self.episodes} episodes")
        if self.role == "trial" and (self.failed or self.runs or self.episodes):
            raise ValueError("a trial does not know what the whole tuning has spent")
        if self.trial >= self.trials:
            raise ValueError(f"trial {self.trial} is none of {self.trials}")
        return self

    def check_seed(self, seed: int) -> None:
        """Refuse a seed that no run of this role has: results are of other seeds than trials, with a ValueError."""
        if (seed in self.seeds) != (self.role == "trial"):
            told = "is one that the configuration was chosen on" if self.role == "result" else "is no tuning seed"
            raise ValueError(f"seed {seed} {told}, and the run is marked as a {self.role}")

    @property
    def brief(self) -> str:
        """Kind and budget in a few words."""
        if self.role == "trial":
            return "a trial"
        several = f" on {len(self.datasets)} datasets" if len(self.datasets) > 1 else ""
        return f"{self.kind}, {self.runs:,} runs{several}, {self.episodes:,} episodes"
