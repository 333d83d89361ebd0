"""What imagined episodes are played in: an ensemble, or the truth, behind one interface."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from offbench.data.transitions import Transitions
from offbench.dynamics.network import DynamicsNetwork, Prediction, chosen
from offbench.dynamics.terminations import Rule
from offbench.nn.mlp import Parameters
from offbench.nn.noise import standard_normal, uniform

CHUNK = 5_000  # rows that members predict at once: what lies between their layers is hundreds of times as wide


class Moment(NamedTuple):
    """What all that is random in a step is a function of.

    Attributes:
        keys: the seeds.
        update: number of the coming one.
        name: of the step, another one for each step before that update.
    """

    keys: Int64[Tensor, " seeds"]
    update: Int64[Tensor, ""]
    name: str


class Outcome(NamedTuple):
    """What a step of all branches gives.

    Attributes:
        prediction: of the members, None where the world is no ensemble.
    """

    observations: Float[Tensor, "seeds batch observation"]
    rewards: Float[Tensor, "seeds batch"]
    terminations: Bool[Tensor, "seeds batch"]
    prediction: Prediction | None = None


class World(Protocol):
    """Dynamics that any number of states can be stepped in at once."""

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """One step of every state."""
        ...


@runtime_checkable
class Begins(Protocol):
    """What a world may have beside its step, where the data hold more of a state than observations show."""

    def begin(self, data: Transitions, rows: Int64[Tensor, "seeds batch"]) -> None:
        """The next step is of branches that begin in the states of the data's transitions ``rows``."""
        ...


def begin(world: World, data: Transitions, rows: Int64[Tensor, "seeds batch"]) -> None:
    """Tell a world where branches begin, to be called before their first step; most worlds need not know."""
    if isinstance(world, Begins):
        world.begin(data, rows)


class Learned:
    """An ensemble, of which each row draws from one of the ``elites``, its first members."""

    def __init__(self, network: DynamicsNetwork, parameters: Parameters, elites: int, terminates: Rule) -> None:
        self.network, self.parameters, self.elites, self.terminates = network, parameters, elites, terminates

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`; next observation and reward are drawn, not their means."""
        pairs = zip(torch.split(observations, CHUNK, 1), torch.split(actions, CHUNK, 1), strict=True)
        predictions = [self.network.predict(self.parameters, *pair) for pair in pairs]
        prediction = Prediction(*(torch.cat(parts, 2) for parts in zip(*predictions, strict=True)))
        rows, width = observations.shape[1], observations.shape[2] + 1
        keys, update, name = moment
        members = (uniform(keys, update, f"{name}/member", (rows,)) * self.elites).long()
        noise = standard_normal(keys, update, f"{name}/outcome", (rows, width), observations.dtype)
        drawn = chosen(prediction, members, noise)
        following, rewards = drawn[..., :-1], drawn[..., -1]
        return Outcome(following, rewards, self.terminates(following), prediction)
