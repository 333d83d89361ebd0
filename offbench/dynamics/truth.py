"""The true dynamics behind the interface of learned ones, and mixtures of two worlds."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.data.scaling import Scaling
from offbench.dynamics.terminations import Rule
from offbench.dynamics.worlds import Moment, Outcome, World
from offbench.environments.protocol import StateSimulator
from offbench.environments.simulator import make_state_simulator
from offbench.environments.task import Task


class Simulated:
    """A task's simulator, set to the states and stepped: the truth, as far as observations hold the state.

    What they leave out (the place along the track) moves nothing; what they clip (Hopper's and Walker2d's velocities
    at 10) starts a step clipped.
    """

    def __init__(self, task: Task, scaling: Scaling) -> None:
        """Play a learner's actions, in [-1, 1], as ``scaling`` says; states and rewards are the environment's own.

        Raises:
            OffbenchError: the task's states cannot be set.
        """
        self.task, self.scaling = task, scaling
        self._simulator: StateSimulator | None = None

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`; nothing is random."""
        states = observations.flatten(0, 1).double().cpu().numpy()
        if self._simulator is None or self._simulator.count != len(states):
            self.close()
            self._simulator = make_state_simulator(self.task, len(states))
        self._simulator.set_states(states)
        step = self._simulator.step(self.scaling.to_environment(actions.flatten(0, 1).cpu().numpy()))
        shape = observations.shape[:2]

        def tensor(column: np.ndarray) -> Tensor:
            found = torch.from_numpy(np.ascontiguousarray(column)).to(observations.device)
            return found.view(*shape, *column.shape[1:])

        following = tensor(step.observations).to(observations.dtype)
        return Outcome(following, tensor(step.rewards).to(observations.dtype), tensor(step.terminations))

    def close(self) -> None:
        """Free the simulator."""
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None


class Mixed:
    """Next states and rewards between those of two worlds, and the rule's terminations of them.

    Source: Sims et al. 2024 (arXiv 2402.12527), from a random over a learned to the true model.
    """

    def __init__(self, first: World, second: World, share: float, terminates: Rule) -> None:
        """``share`` of the second world, 1 - ``share`` of the first."""
        self.first, self.second, self.share, self.terminates = first, second, share, terminates

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`."""
        one, two = (world.step(observations, actions, moment) for world in (self.first, self.second))
        following = torch.lerp(one.observations, two.observations, self.share)
        rewards = torch.lerp(one.rewards, two.rewards, self.share)
        return Outcome(following, rewards, self.terminates(following), one.prediction)
