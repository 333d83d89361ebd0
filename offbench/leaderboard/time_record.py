"""The record of how long a method took to a score.

The score counts as reached at the second of two evaluations in succession whose means over all seeds reach it, since
one alone may be luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from offbench.evaluation.fields import Digest
from offbench.evaluation.statistics import Summary, summarize

IN_SUCCESSION = 2


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Point(_Strict):
    """An evaluation: seconds since the command, updates, mean score over the seeds."""

    seconds: NonNegativeFloat
    step: NonNegativeInt
    score: float


class Line(_Strict):
    """A line of what the run printed, with the seconds since the command."""

    seconds: NonNegativeFloat
    text: str


class TimedRun(_Strict):
    """One run of the command.

    Attributes:
        first_seed: the first of its seeds.
        seconds: until the score was reached; None where it was not.
        curve: its evaluations.
        log: what it printed.
    """

    first_seed: NonNegativeInt
    seconds: NonNegativeFloat | None
    curve: list[Point]
    log: list[Line]


class TimeRecord(_Strict):
    """How long a method took to a score on one dataset, in several runs.

    Attributes:
        schema_version: version of this layout.
        suite, suite_version: whose target it is.
        method: algorithm with what differs from its defaults.
        algorithm_digest, code_digest: SHA-256 of its source, and of all further code.
        dataset, dataset_revision: what it learned from.
        target: score, mean over the seeds, of ``in_succession`` evaluations.
        in_succession: how many.
        steps: gradient updates of each seed, at most.
        episodes: of each seed in an evaluation.
        seeds: how many are trained at once.
        command: that was timed.
        runs: each with other seeds.
        hardware, packages, git_commit: where.
        created: when, with time zone.
    """

    schema_version: Literal[1] = 1
    suite: str
    suite_version: PositiveInt
    method: str
    algorithm_digest: Digest
    code_digest: Digest
    dataset: str
    dataset_revision: PositiveInt
    target: float
    in_succession: PositiveInt
    steps: PositiveInt
    episodes: PositiveInt
    seeds: PositiveInt
    command: list[str]
    runs: list[TimedRun] = Field(min_length=1)
    hardware: dict[str, str]
    packages: dict[str, str]
    git_commit: str | None
    created: AwareDatetime

    @property
    def summary(self) -> Summary | None:
        """Mean seconds with an interval over the runs; None where a run did not reach the score, as no mean is true."""
        seconds = [run.seconds for run in self.runs]
        return None if None in seconds else summarize([each for each in seconds if each is not None])


def time_to(curve: Sequence[Point], target: float, in_succession: int = IN_SUCCESSION) -> float | None:
    """Seconds of the last of the first ``in_succession`` successive points that reach a target; None without them."""
    row = 0
    for point in curve:
        row = row + 1 if point.score >= target else 0
        if row == in_succession:
            return point.seconds
    return None
