"""The true dynamics behind the interface of learned ones, and mixtures of two worlds."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from offbench.data.scaling import Scaling
from offbench.data.transitions import Transitions
from offbench.dynamics.terminations import Rule
from offbench.dynamics.worlds import Moment, Outcome, World, begin
from offbench.environments.protocol import ExactSimulator, StateSimulator
from offbench.environments.simulator import make_state_simulator
from offbench.environments.task import Task


class Simulated:
    """A task's simulator as a world: the truth, as far as it is known where a branch begins.

    A branch that begins in a row of the data (`worlds.begin`) starts from the simulator's own state where the data
    hold it (the extras of `ExactSimulator.state_sizes`), and then is, bit for bit, what the simulator does. From
    observations alone, what they leave out (the place along the track, the solver's warm start) is zero, and what they
    clip (Hopper's and Walker2d's velocities at 10) starts clipped. Either way branches go on from the simulator's
    states if a step is given just the observations that the last one gave; one that terminated stays, as in
    `Simulator`.

    Attributes:
        exact: whether the branches begun last started from states in the data.
    """

    def __init__(self, task: Task, scaling: Scaling | None = None) -> None:
        """Play a learner's actions, in [-1, 1], as ``scaling`` says, or else as that of the data it begins in does.

        States and rewards are the environment's own.

        Raises:
            OffbenchError: the task's states cannot be set.
        """
        self.task, self.scaling, self.exact = task, scaling, False
        self._simulator: StateSimulator | None = None
        self._shown: Tensor | None = None  # what the next step is given if its branches go on
        self._left = 0  # steps until the simulator's clock ends its episodes

    def begin(self, data: Transitions, rows: Int64[Tensor, "seeds batch"]) -> None:
        """See `worlds.Begins`."""
        simulator = self._of(rows.numel())
        self.scaling = self.scaling or data.scaling
        self._shown, self.exact = None, False
        if isinstance(simulator, ExactSimulator) and set(simulator.state_sizes) <= set(data.extras):
            simulator.restore({name: data.extra(name, rows.flatten()) for name in simulator.state_sizes})
            self._shown, self._left, self.exact = data.batch(rows).observations, simulator.episode_limit, True

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`; nothing is random."""
        simulator = self._of(observations.shape[:2].numel())
        goes_on = self._shown is not None and torch.equal(observations, self._shown)
        if not goes_on or self._left == 0:
            if goes_on and isinstance(simulator, ExactSimulator):
                simulator.restore(simulator.states())
            else:
                simulator.set_states(observations.flatten(0, 1).double().cpu().numpy())
            self._left = simulator.episode_limit
        assert self.scaling is not None, "a world without scaling begins in data"
        played, shape = actions.flatten(0, 1).cpu().numpy(), observations.shape[:2]
        # From [-1, 1] to itself the formula would round, and the data's own actions come back as others.
        unscaled = (self.scaling.low == -1).all() and (self.scaling.high == 1).all()
        step = simulator.step(played if unscaled else self.scaling.to_environment(played))

        def tensor(column: np.ndarray) -> Tensor:
            found = torch.from_numpy(np.ascontiguousarray(column)).to(observations.device)
            return found.view(*shape, *column.shape[1:])

        following = tensor(step.observations).to(observations.dtype)
        self._shown, self._left = following.clone(), self._left - 1
        return Outcome(following, tensor(step.rewards).to(observations.dtype), tensor(step.terminations))

    def _of(self, count: int) -> StateSimulator:
        """The simulator of ``count`` environments."""
        if self._simulator is None or self._simulator.count != count:
            self.close()
            self._simulator = make_state_simulator(self.task, count)
        return self._simulator

    def close(self) -> None:
        """Free the simulator."""
        if self._simulator is not None:
            self._simulator.close()
            self._simulator, self._shown = None, None


class Mixed:
    """Next states and rewards between those of two worlds, and the rule's terminations of them.

    Source: Sims et al. 2024 (arXiv 2402.12527), from a random over a learned to the true model.
    """

    def __init__(self, first: World, second: World, share: float, terminates: Rule) -> None:
        """``share`` of the second world, 1 - ``share`` of the first."""
        self.first, self.second, self.share, self.terminates = first, second, share, terminates

    def begin(self, data: Transitions, rows: Int64[Tensor, "seeds batch"]) -> None:
        """See `worlds.Begins`."""
        for world in (self.first, self.second):
            begin(world, data, rows)

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
