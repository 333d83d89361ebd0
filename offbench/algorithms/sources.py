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
# Versions that CORL trained on.
_CORL = {"halfcheetah": 2, "hopper": 2, "walker2d": 2, "antmaze": 2, "maze2d": 1, "pen": 1, "door": 1, "hammer": 1}
_CORL |= {"relocate": 1}
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
    one = "*" not in pattern.removesuffix("v*")
    return _CORL.get(match[1]) == int(match[3]) and (one or name in _corl_scored())


@cache
def _corl_scored() -> frozenset[str]:
    return frozenset(s.dataset.rpartition("/")[2] for s in published_scores() if s.source.startswith("CORL"))
