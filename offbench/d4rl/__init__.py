"""D4RL's names on today's Gymnasium: importing this registers ``hopper-medium-v2`` and all others.

import gymnasium
import offbench.d4rl as d4rl

env = gymnasium.make("hopper-medium-v2")
data = d4rl.qlearning_dataset(env)
score = 100 * env.get_normalized_score(1500.0)

A script that says ``import gym`` and ``import d4rl`` runs unchanged by ``python -m offbench.d4rl SCRIPT ARGS``.
"""

from __future__ import annotations

from offbench.d4rl.arrays import as_arrays, qlearning_dataset, read_arrays, sequence_dataset
from offbench.d4rl.files import set_dataset_path, use_file
from offbench.d4rl.registry import names, register
from offbench.d4rl.registry import reverse_score as reverse_normalized_score
from offbench.d4rl.registry import score as get_normalized_score

__all__ = [
    "as_arrays",
    "get_normalized_score",
    "names",
    "qlearning_dataset",
    "read_arrays",
    "register",
    "reverse_normalized_score",
    "sequence_dataset",
    "set_dataset_path",
    "use_file",
]

register()
