import numpy as np
import torch

from offbench.data.trajectories import Trajectories


def episodes(lengths, ends, known, size=3, action=2, seed=0):
    """Random trajectories; ends: t terminated, l time limit, c cut off."""
    rng = np.random.default_rng(seed)
    steps = sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flags = {end: np.zeros(steps, bool) for end in "tlc"}
    for last, end in zip(offsets[1:] - 1, ends, strict=True):
        flags[end][last] = True
    return Trajectories(
        observations=rng.normal(size=(steps + len(lengths), size)).astype(np.float32),
        offsets=offsets,
        terminations=flags["t"],
        truncations=flags["l"],
        actions=rng.uniform(-1, 1, (steps, action)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        final_observations=np.array(known),
    )


def everything(data):
    """All transitions in one batch, as numpy arrays without the seed axis."""
    return [part[0].numpy() for part in data.batch(torch.arange(len(data))[None])[:5]]
