"""Learners that go wrong."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offbench.errors import OffbenchError


class Still:
    def act(self, observations):
        return np.zeros((len(observations), 1))


@dataclass
class Dies:
    """Kills its process as often as a file has lines, and takes one away each time."""

    lives: str = ""

    def fit(self, data, task, seed, budget):
        lines = Path(self.lives).read_text().splitlines()
        if lines:
            Path(self.lives).write_text("\n".join(lines[1:]))
            os.kill(os.getpid(), signal.SIGKILL)
        return Still()


class Fails:
    def fit(self, data, task, seed, budget):
        raise OffbenchError("this one never learns")


class Raises:
    def fit(self, data, task, seed, budget):
        raise SystemExit(3)


@dataclass
class Picky:
    """Learns nothing, and cannot be trained above a level."""

    level: float = 0.0

    def fit(self, data, task, seed, budget):
        if self.level > 0.5:
            raise OffbenchError(f"a level of {self.level} is too high")
        return Still()


@dataclass
class Pushing:
    """Pushes as hard as it is told."""

    torque: float = 0.0
    kind: str = "plain"

    def fit(self, data, task, seed, budget):
        return self

    def act(self, observations):
        return np.full((len(observations), 1), self.torque, np.float32)
