"""What features of intention values are worth: IQL on phi(s), on s, and on features of a network that learned nothing.

Sources: Bhateja et al. 2023 (V-PTR, arXiv 2309.13041) and Ghosh et al. 2023 (ICVF, arXiv 2304.04782), who publish
nothing for states that are vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offbench.studies.comparison import Comparison, Method

TEXT = (
    "A ball in the stitch maze; all states are known, and actions and rewards of a few episodes. IQL learns from those "
    "few, of states themselves, of features phi(s) that intention values have learned from all states, or of features "
    "of the same network as it was drawn. The first row is given the actions of all episodes."
)
SPLIT = "actions=0.5%-q100"  # five episodes, 1,000 transitions
_IQL: Mapping[str, Any] = {
    "hidden": (128, 128), "learning_rate": 1e-3, "expectile": 0.9, "beta": 10.0, "discount": 0.98,
}  # fmt: skip
_LEARNER = "iql,hidden=[128,128],learning_rate=0.001,expectile=0.9,beta=10,discount=0.98"


def comparison() -> Comparison:
    """The methods."""
    few = f"{SPLIT}&part=labelled"
    methods = (
        Method("IQL on states, all actions", "iql", _IQL),
        Method("BC on states, 1,000 transitions", "bc", {"hidden": (128, 128)}, split=few),
        Method("IQL on states, 1,000 transitions", "iql", _IQL, split=few),
        Method("IQL on phi, 1,000 transitions", "v_ptr", {"learner": _LEARNER, "icvf_updates": 20_000}, split=SPLIT),
        Method(
            "IQL on random features, 1,000 transitions", "v_ptr", {"learner": _LEARNER, "icvf_updates": 0}, split=SPLIT
        ),
    )
    return Comparison(
        "Values learned before actions",
        TEXT,
        "offbench/pointmaze/stitch-v0",
        methods,
        seeds=range(5),
        steps=5000,
        episodes=50,
        evaluations=5,
    )
