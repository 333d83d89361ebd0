"""Whether an entry was made of another one on the same suite: the same policies, or the same returns with noise.

The starts of a seed are fixed, so every entry met the same ones, and where the start decides, honest returns
go up and down together. What tells a copy is how close they are: between policies of two methods the typical difference
of two returns on one start is a good part of the spread over starts; with noise added it is as small as the noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.leaderboard.bounds import bounds
from offbench.leaderboard.completeness import task_of, where
from offbench.leaderboard.contents import Contents, Key, last
from offbench.leaderboard.entry import Entry
from offbench.leaderboard.plausibility import EPISODES
from offbench.leaderboard.results import Result
from offbench.leaderboard.suite import Suite

# Median difference on one start, over the spread over starts, below which returns are taken for another entry's.
CLOSE = 0.002
# Share of an entry's records that must be so close: one alone happens where a policy can do little.
SHARE = 0.5


def check_rivals(contents: Contents, suite: Suite, others: Sequence[Result]) -> str:
    """No policy is another entry's, and the returns are not those of another entry with noise.

    Raises:
        OffbenchError: they are; the entry is named.
    """
    entry = contents.entry
    mine = {contents.policy_digest(key): key for key in contents.policies}
    compared = 0
    for other in others:
        if (other.entry.suite, other.entry.suite_version) != (suite.name, suite.version):
            continue
        if _named(other.entry) == _named(entry):
            raise OffbenchError(
                f"{plain(entry.team)} has handed {plain(entry.method)} in before, as {other.folder.name}; give another "
                "attempt a name that tells it apart"
            )
        for file in other.entry.files.values():
            if file.sha256 in mine:
                dataset, seed = mine[file.sha256]
                raise OffbenchError(
                    f"the policy of seed {seed} on {plain(dataset)} is that of the entry {other.folder.name}, byte "
                    "by byte"
                )
        _check_returns(contents, suite, other)
        compared += 1
    return f"compared with {compared} other entries"


def _check_returns(contents: Contents, suite: Suite, other: Result) -> None:
    theirs: dict[Key, RunRecord] = {(record.dataset, record.seed): record for record in other.records}
    real = {
        task.dataset for task in suite.tasks if (found := bounds(task_of(task))) is None or not found.whole
    }  # elsewhere, equal returns are nothing special
    pairs = [(record, theirs[key]) for key, record in contents.records.items() if key in theirs and key[0] in real]
    near = [record for record, rival in pairs if closeness(record, rival) < CLOSE]
    if near and len(near) >= SHARE * len(pairs):
        raise OffbenchError(
            f"the returns of {where(near[0])} are those of the entry {other.folder.name} up to a little noise, and so "
            f"are {len(near) - 1} more of {len(pairs)}"
        )


def closeness(one: RunRecord, other: RunRecord) -> float:
    """Median difference of returns on the same starts over their spread over starts; infinite where starts differ."""
    a, b = last(one), last(other)
    count = min(len(a.returns), len(b.returns))
    if count < EPISODES or a.environment_seeds[:count] != b.environment_seeds[:count]:
        return np.inf
    x, y = np.array(a.returns[:count]), np.array(b.returns[:count])
    spread = float(x.std())
    return float(np.median(np.abs(x - y))) / spread if spread else np.inf


def _named(entry: Entry) -> tuple[str, str]:
    return _spelled(entry.method), _spelled(entry.team)


def entries_of_team(team: str, others: Sequence[Result]) -> int:
    """How many entries, on all suites, a team has made so far."""
    return sum(_spelled(other.entry.team) == _spelled(team) for other in others)


def _spelled(name: str) -> str:
    """A name without regard to capitals and spaces, as the site counts teams."""
    return " ".join(name.casefold().split())
