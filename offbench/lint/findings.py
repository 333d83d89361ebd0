"""What the lint says, and what it has to be told about a task: types without any check in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories

Severity = Literal["error", "warning", "note"]
_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that the lint found.

    Attributes:
        severity: "error", a learner that takes the data as they are learns something false; "warning", a part of
            the data is not what it says it is; "note", true of sound data too, and worth knowing.
        code: short name of the check, the same in every version.
        message: what was found, where it is first, and what would be right.
        count: how many rows, columns or episodes it is about.
        row: the first row (step) in question, where it is about rows.
    """

    severity: Severity
    code: str
    message: str
    count: int = 1
    row: int | None = None

    def __str__(self) -> str:
        """One line: severity, code and message."""
        return f"{self.severity:<7} {self.code}: {self.message}"


@dataclass(frozen=True)
class Expected:
    """Rewards recomputed from the rest of the data.

    Attributes:
        rewards: (steps,) float64.
        known: (steps,) bool, where the formula had all that it needs.
        exact: whether the formula is the task's own; otherwise it is near enough to tell neighbouring steps apart.
    """

    rewards: Array
    known: Array
    exact: bool


@dataclass(frozen=True)
class TaskFacts:
    """What a task says about its data; `offbench.environments.task_facts.facts` makes it of a task.

    Attributes:
        name: of the task, for messages.
        episode_limit: steps after which an episode is truncated.
        action_low: (action,), lower bounds.
        action_high: (action,), upper bounds.
        expected_rewards: recomputes the rewards; None of it where the data lack what the formula needs.
        terminates: whether it ever ends an episode itself; None if that is not known.
    """

    name: str
    episode_limit: int | None = None
    action_low: Array | None = None
    action_high: Array | None = None
    expected_rewards: Callable[[Trajectories], Expected | None] | None = None
    terminates: bool | None = None


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes; within each in the order given."""
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))


def place(trajectories: Trajectories, row: int) -> str:
    """Where a row is, in words: "row 12 (step 2 of episode 1)"."""
    episode = int(np.searchsorted(trajectories.offsets, row, side="right")) - 1
    return f"row {row} (step {row - int(trajectories.offsets[episode])} of episode {episode})"
