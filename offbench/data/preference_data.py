"""Preferences in the place of rewards: what a learner from comparisons is given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from offbench.data.preferences import Preferences
from offbench.data.trajectories import Trajectories


@dataclass(frozen=True, eq=False)
class PreferenceData:
    """Trajectories without rewards, and comparisons of segments in their place.

    Attributes:
        trajectories: the data; a learner finds no rewards there.
        preferences: pairs of segments and which is preferred, without the rewards of the segments.
        split: name of the comparisons, as `offbench.data.supervision.apply_split` takes it; empty for others' labels.
    """

    trajectories: Trajectories
    preferences: Preferences
    split: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over the name of the split and the digests of both parts."""
        parts = (self.split, self.trajectories.digest, self.preferences.digest)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def summary(self) -> str:
        """A printed description of both parts."""
        return f"{self.preferences!r} between segments of\n{self.trajectories.summary()}"

    __str__ = summary
