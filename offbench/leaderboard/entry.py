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

from offbench.evaluation.fields import Digest

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
    suite: str = Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=200)  # a name, never a path that is read
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
        replayed: mean score of the policies on the starts of the records.
        standard_error: of claimed - measured, for the same policies.
        p_value: of the hypothesis that claimed and measured mean are those of the same policies, before correction.
        p_value_seeds: likewise, of the means of the seeds one by one.
        p_value_replayed: likewise, of the records' returns and those on the same starts.
        seeds: how many policies.
        episodes: how many of each, on starts drawn afterwards.
    """

    dataset: str
    claimed: float
    measured: float
    replayed: float
    standard_error: float = Field(ge=0)
    p_value: float = Field(ge=0, le=1)
    p_value_seeds: float = Field(ge=0, le=1)
    p_value_replayed: float = Field(ge=0, le=1)
    seeds: PositiveInt
    episodes: PositiveInt


class Retrained(_Strict):
    """Claimed score of one dataset against that of policies which the organiser trained.

    Attributes:
        dataset: its id.
        claimed: (seeds,) mean score of each seed of the entry; empty on a hidden task, of which nothing was claimed.
        measured: (seeds,) mean score of each seed that was trained anew; seeds nobody knew before.
        seeds: (seeds,) those.
        p_value: of the hypothesis that all come from the same algorithm, against the claims being higher; None where
            nothing was claimed, so that nothing was tested.
    """

    dataset: str
    claimed: list[float]
    measured: list[float] = Field(min_length=1)
    seeds: list[NonNegativeInt] = Field(min_length=1)
    p_value: float | None = Field(ge=0, le=1)


class Verification(_Strict):
    """Contents of ``verification.json``, written by the organiser's machine.

    Attributes:
        schema_version: version of this layout.
        entry_digest: SHA-256 of the bytes of ``entry.json``, and so of everything that it lists.
        level: how far the entry was verified.
        checks: all that were made, in order.
        remeasured: one a dataset whose policies were played again; empty where none were.
        retrained: one a dataset that was trained anew; empty where none was.
        start_seed: what the starts were drawn with, after the entry was made; None where no policy was played.
        protections: what kept the policies, or the code, from the machine; see docs/leaderboard.md.
        verified: when.
        packages: versions of the libraries that it was done with.
    """

    schema_version: Literal[1] = 1
    entry_digest: Digest
    level: Level
    checks: list[Check]
    remeasured: list[Remeasured] = []
    retrained: list[Retrained] = []
    start_seed: NonNegativeInt | None = None
    protections: list[str] = []
    verified: AwareDatetime
    packages: dict[str, str]

    @property
    def refusals(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)
