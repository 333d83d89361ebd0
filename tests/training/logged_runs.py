"""Short runs that are logged, and a log that remembers: what tests of logs share."""

from __future__ import annotations

import pytest
from whole_runs import SMALL

import offbench
from offbench.errors import OffbenchError

QUICK = SMALL | {"seeds": 2, "steps": 20, "episodes": 2, "evaluate_every": 8, "checkpoint_every": 6}


class Heard:
    """A log that remembers; it fails at ``step`` with ``error``, once."""

    def __init__(self, step=None, error=None):
        self.step, self.error, self.rows, self.ends = step, error, [], []

    def open(self, plan, folder, told):
        self.plan, self.folder, self.told = plan, folder, list(told)

    def __call__(self, step, seed, values):
        if step == self.step:
            raise self.error
        self.rows.append((step, seed, dict(values)))
        values.clear()  # what it does to its values is its own affair

    def close(self, finished):
        self.ends.append(finished)


def by_place(rows):
    return {(step, seed): values for step, seed, values in rows}


def train(file, folder, **more):
    return offbench.train("bc", file, output=folder, **QUICK | more)


def broken_off(file, folder, *logs, **more):
    """A run that ends at step 15, with its last checkpoint at 12; its log of one's own."""
    heard = Heard(15, RuntimeError("no room"))
    with pytest.raises(OffbenchError, match="no room"):
        train(file, folder, log=[*logs, heard], **more)
    assert heard.ends == [False]
    return heard
