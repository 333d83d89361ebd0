"""An entry: what one method scored on one suite, as files that a stranger can check.

    entry.json                           who, what, and the digest of every other file
    records/<dataset>/seed-0.json        one record a seed, as the run's folder held it
    policies/<dataset>/seed-0.onnx       the policies, where they have that form

Slashes of a dataset's id are ``--`` in the name of its folder. What the organiser found out about an entry lies beside
it in ``verification.json``, which no entry may bring along.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from offbench.evaluation.record import Digest

# From what is merely said to what the organiser did: each level includes those before it.
Level = Literal["self-reported", "re-evaluated", "retrained", "retrained on hidden tasks"]
LEVELS: tuple[Level, ...] = ("self-reported", "re-evaluated", "retrained", "retrained on hidden tasks")

Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EntryFile(_Strict):
    """A file of an entry.

    Attributes:
        sha256: of its bytes.
        size: in bytes.
    """

    sha256: Digest
    size: NonNegativeInt


class Entry(_Strict):
    """Contents of ``entry.json``.

    Attributes:
        schema_version: version of this layout.
        suite: name of the suite.
        suite_version: its version.
        method: name of the method as tables show it.
        team: who hands it in; entries are counted by it.
        algorithm: registered name or ``module:Class``, as in the records.
        paper: address of the paper.
        code: address of the code.
        files: every other file, by its path within the entry.
        created: when it was packed.
    """

    schema_version: Literal[1] = 1
    suite: Text
    suite_version: PositiveInt
    method: Text
    team: Text
    algorithm: Text
    paper: str | None = Field(default=None, pattern=r"^https?://[^\s<>\"']+$", max_length=500)
    code: str | None = Field(default=None, pattern=r"^https?://[^\s<>\"']+$", max_length=500)
    files: dict[str, EntryFile]
    created: AwareDatetime


class Check(_Strict):
    """One thing that was looked at.

    Attributes:
        name: what.
        passed: whether it was as it should be.
        message: one sentence: what was found.
    """

    name: Text
    passed: bool
    message: str


class Remeasured(_Strict):
    """Claimed against measured score of one dataset, each the mean over seeds of the seeds' means.

    Attributes:
        dataset: its id.
        claimed: mean score of the records' last evaluations.
        measured: mean score of the policies on starts that were drawn after the entry was made.
        standard_error: of the difference.
        p_value: of the hypothesis that both come from the same policies, before correction over datasets.
        seeds: how many policies.
        episodes: how many of each.
    """

    dataset: str
    claimed: float
    measured: float
    standard_error: float = Field(ge=0)
    p_value: float = Field(ge=0, le=1)
    seeds: PositiveInt
    episodes: PositiveInt


class Verification(_Strict):
    """Contents of ``verification.json``, written by the organiser's machine.

    Attributes:
        schema_version: version of this layout.
        entry_digest: SHA-256 of the bytes of ``entry.json``, and so of everything that it lists.
        level: how far the entry was verified.
        checks: all that were made, in order.
        remeasured: one a dataset whose policies were played again; empty where none were.
        verified: when.
        packages: versions of the libraries that it was done with.
    """

    schema_version: Literal[1] = 1
    entry_digest: Digest
    level: Level
    checks: list[Check]
    remeasured: list[Remeasured] = []
    verified: AwareDatetime
    packages: dict[str, str]

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)
