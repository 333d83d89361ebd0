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

    def __init__(
        self,
        network: DynamicsNetwork,
        parameters: Parameters,
        elites: int,
        terminates: Rule,
        everyone: bool = True,
    ) -> None:
        """With ``everyone`` outcomes tell what all members say; without, a row is predicted by its elite alone."""
        self.network, self.parameters, self.elites, self.terminates = network, parameters, elites, terminates
        self.everyone = everyone

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`; next observation and reward are drawn, not their means.

        The rows are dealt out: each elite has as many of them as any other, give or take one, drawn anew at each step.
        """
        rows, width = observations.shape[1], observations.shape[2] + 1
        keys, update, name = moment
        dealt = uniform(keys, update, f"{name}/member", (rows,)).argsort(1)
        noise = standard_normal(keys, update, f"{name}/outcome", (rows, width), observations.dtype)
        pairs = torch.cat([observations, actions], -1)
        if self.everyone:
            parts = [
                self.network.predict(self.parameters, *torch.split(part, [width - 1, actions.shape[2]], -1))
                for part in torch.split(pairs, CHUNK, 1)
            ]
            prediction = Prediction(*(torch.cat(column, 2) for column in zip(*parts, strict=True)))
            drawn = chosen(prediction, dealt.argsort(1) // self._share(rows), noise)
        else:
            prediction, drawn = None, self._drawn(pairs, dealt, noise)
        following, rewards = drawn[..., :-1], drawn[..., -1]
        return Outcome(following, rewards, self.terminates(following), prediction)

    def _share(self, rows: int) -> int:
        """How many rows an elite has."""
        return -(-rows // self.elites)

    def _drawn(
        self,
        pairs: Float[Tensor, "seeds batch observation+action"],
        dealt: Int64[Tensor, "seeds batch"],
        noise: Float[Tensor, "seeds batch observation+1"],
    ) -> Float[Tensor, "seeds batch observation+1"]:
        """What is drawn from each row's elite, which sees its own rows alone; ``dealt`` are the rows in its order."""
        seeds, rows = dealt.shape
        share = self._share(rows)
        # Where the rows do not divide, the last elites look at some of the first once more.
        order = dealt[:, torch.arange(share * self.elites, device=dealt.device) % rows]
        hands = pairs.gather(1, order.unsqueeze(-1).expand(-1, -1, pairs.shape[-1])).view(
            seeds, self.elites, share, pairs.shape[-1]
        )
        elites = {
            name: value[:, : self.elites] if name.startswith("layer") else value
            for name, value in self.parameters.items()
        }
        parts = [self.network.predicted(elites, part) for part in torch.split(hands, CHUNK, 2)]
        mean, std = (torch.cat(column, 2).flatten(1, 2)[:, :rows] for column in zip(*parts, strict=True))
        back = dealt.argsort(1).unsqueeze(-1).expand(-1, -1, noise.shape[-1])
        return mean.gather(1, back) + std.gather(1, back) * noise
