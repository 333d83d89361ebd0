"""What the folder of a run says of it: its plan, how far it has come, and the checkpoint that belongs to that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord, digest_of
from offbench.training.plan import Plan, Strict

# Two names a step: a run that is stopped where it has just been saved is saved once more, beside what stands.
CHECKPOINT = re.compile(r"checkpoint-\d{9}(-1)?\.safetensors")


class Progress(Strict):
    """How far a run has come.

    Attributes:
        step: updates done; where seeds are fitted one after the other, their mean over the seeds.
        wall_seconds, evaluation_seconds: time spent so far.
        evaluations, losses: one list a seed; where seeds are fitted one after the other, one for each that is done.
        totals: (seeds, metrics), sums of the metrics since the last loss was recorded.
        complete: whether all updates and evaluations are done.
    """

    step: int = 0
    wall_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    evaluations: list[list[EvaluationRecord]]
    losses: list[list[LossRecord]]
    totals: list[list[float]]
    complete: bool = False


class Manifest(Strict):
    """Plan, progress and the checkpoint that belongs to them; a learner's fit leaves none.

    Attributes:
        schema_version: version of this layout.
        plan, progress: of the run.
        checkpoint: plain name of a file in the run's own folder.
        checkpoint_digest: SHA-256 of that file.
        digest: of all other fields, so that one that was edited or damaged is not taken for a run.
    """

    schema_version: Literal[2] = 2
    plan: Plan
    progress: Progress
    checkpoint: str | None = Field(default=None, pattern=rf"^{CHECKPOINT.pattern}$")
    checkpoint_digest: str | None = None
    digest: str = ""

    @property
    def own_digest(self) -> str:
        """What ``digest`` has to be."""
        return digest_of(self.model_dump(mode="json", exclude={"digest"}))


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        OffbenchError: it cannot be read, or is none.
    """
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
        if manifest.digest != manifest.own_digest:
            raise ValueError("does not have the digest that it says, so it was edited or damaged")
        return manifest
    except OSError as error:
        raise OffbenchError(f"{path} cannot be read ({error.strerror})") from error
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        field = ".".join(str(part) for part in first["loc"])
        raise OffbenchError(f"{path} is not a run's manifest: {field} {first['msg']}") from error
