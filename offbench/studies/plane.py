"""A plane whose dynamics are known, in which the states at the edge of reach can be told by their place.

Sims et al. 2024 (arXiv 2402.12527) show the edge-of-reach problem in a two-dimensional world of which they
published the horizon (30), the branches' length (10) and the outcome; its geometry is ours:

- a state is a point, an action in [-1, 1]^2 moves it by ``STRIDE`` times the action, and nothing is random;
- the data are single steps from the square |s| <= ``START`` (the larger coordinate counts), with uniform actions;
- the reward of a step is exp(-|s' - g|^2 / (2 w^2)), a hill at g, some ten steps from the starts.

A branch of k steps from the data can reach |s| <= START + k STRIDE, and acts only in |s| <= START + (k - 1) STRIDE:
what lies between is only ever bootstrapped from. Where the hill lies was varied first: at (3, 3) the base finds it and
stays; at (8, 8) Q passes 100 and comes back after 20,000 updates; at (9, 9), which all but the farthest starts come to
within a branch, and further out it does not come back. At (10, 10) and beyond too few branches arrive to learn to
stay, and the oracle's patch, which bounds Q, does not mend the return.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from offbench.data.trajectories import Provenance, Trajectories
from offbench.dynamics.worlds import Moment, Outcome

START, STRIDE, HORIZON, LENGTH = 2.0, 1.0, 30, 10
GOAL, WIDTH = (9.0, 9.0), 3.0
GRID_STEP = 0.25  # between the points that the value is tabulated at


def reward(states: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """What a step to ``states`` earns, at most 1."""
    goal = torch.tensor(GOAL, dtype=states.dtype, device=states.device)
    return torch.exp(-((states - goal) ** 2).sum(-1) / (2 * WIDTH**2))


def at_the_edge(states: Float[Tensor, "*batch 2"], length: int = LENGTH) -> Bool[Tensor, "*batch"]:
    """Whether no branch of ``length`` steps acts in these states, though one may end there."""
    edge: Tensor = states.abs().amax(-1) > START + (length - 1) * STRIDE + 1e-6
    return edge


class Plane:
    """The true dynamics, as a `World`."""

    def step(
        self,
        observations: Float[Tensor, "seeds batch 2"],
        actions: Float[Tensor, "seeds batch 2"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`."""
        following = observations + STRIDE * actions.clamp(-1, 1)
        return Outcome(following, reward(following), torch.zeros_like(following[..., 0], dtype=torch.bool))


class Oracle:
    """The value of the best policy, which goes straight to the hill, tabulated on a grid."""

    def __init__(self, discount: float, reach: float, steps: int = 2000) -> None:
        """For states with |s| <= ``reach``; ``steps`` are as good as infinitely many."""
        self.low = -float(math.ceil(reach)) - 1
        points = torch.arange(self.low, -self.low + GRID_STEP / 2, GRID_STEP, dtype=torch.float64)
        states = torch.stack(torch.meshgrid(points, points, indexing="ij"), -1)
        goal, value, weight = torch.tensor(GOAL, dtype=torch.float64), torch.zeros(states.shape[:-1]).double(), 1.0
        for _ in range(steps):
            states = states + (goal - states).clamp(-STRIDE, STRIDE)
            value += weight * reward(states)
            weight *= discount
        self.table = value

    def __call__(self, states: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
        """By bilinear interpolation; states beyond the grid have the value of its border."""
        place = ((states.double() - self.low) / GRID_STEP).clamp(0, len(self.table) - 1.000001)
        corner = place.long()
        (x, y), (u, v) = corner.unbind(-1), (place - corner).unbind(-1)
        near = (1 - u) * (1 - v) * self.table[x, y] + u * (1 - v) * self.table[x + 1, y]
        far = (1 - u) * v * self.table[x, y + 1] + u * v * self.table[x + 1, y + 1]
        value: Tensor = (near + far).to(states.dtype)
        return value


def data(transitions: int = 10_000, seed: int = 0) -> Trajectories:
    """Single steps from the square of starts, each an episode that is cut off."""
    rng = np.random.default_rng(seed)
    starts, actions = rng.uniform(-START, START, (transitions, 2)), rng.uniform(-1, 1, (transitions, 2))
    following = starts + STRIDE * actions
    every = np.ones(transitions, dtype=bool)
    return Trajectories(
        np.stack([starts, following], 1).reshape(-1, 2).astype(np.float32),
        np.arange(transitions + 1),
        ~every,
        every,
        actions.astype(np.float32),
        reward(torch.from_numpy(following)).numpy().astype(np.float32),
        action_range=(-np.ones(2, np.float32), np.ones(2, np.float32)),
        provenance=Provenance(dataset="offbench/plane"),
    )


def starts(episodes: int, seed: int = 1) -> Float[Tensor, "episodes 2"]:
    """Where evaluation episodes begin."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(-START, START, (episodes, 2))).float()
