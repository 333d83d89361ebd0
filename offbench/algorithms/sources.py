"""Which datasets the sources of presets trained on, so that none is claimed for another."""

from __future__ import annotations

import re
from functools import cache

from offbench.algorithms.published import published_scores

# D4RL's sets that the sources took theirs from: dense, open and evaluation mazes are in none, nor is the ant.
_KINDS = {
    **dict.fromkeys(
        ("halfcheetah", "hopper", "walker2d"),
        ("random", "medium", "expert", "medium-expert", "medium-replay", "full-replay"),
    ),
    "antmaze": ("umaze", "umaze-diverse", "medium-play", "medium-diverse", "large-play", "large-diverse"),
    "maze2d": ("umaze", "medium", "large"),
    **dict.fromkeys(("pen", "door", "hammer", "relocate"), ("human", "cloned", "expert")),
    "kitchen": ("complete", "partial", "mixed"),
}
_NAME = re.compile(r"(\w+?)-([a-z-]+)-v(\d+)")


def trained_on(source: str, pattern: str, name: str) -> bool:
    """Whether a source trained on a dataset of D4RL.

    Args:
        source: of the preset.
        pattern: by which the preset names datasets; one that stands for a whole family says less than what CORL
            published scores for.
        name: of the dataset, ``hopper-medium-v2``.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[2] not in _KINDS.get(match[1], ()):
        return False
    if not source.startswith("CORL"):
        return True
    # CORL configures a few sets more than it published scores for, each by its name and in the version of its family.
    one = "*" not in pattern.removesuffix("v*")
    return name in _corl_scored() or (one and any(_version(s) == (match[1], match[3]) for s in _corl_scored()))


def _version(name: str) -> tuple[str, str]:
    """(family, version) of a dataset of D4RL."""
    return name.partition("-")[0], name.rpartition("-v")[2]


@cache
def _corl_scored() -> frozenset[str]:
    return frozenset(s.dataset.rpartition("/")[2] for s in published_scores() if s.source.startswith("CORL"))
