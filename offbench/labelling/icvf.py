"""Values of intentions (ICVF): what states have to do with each other, learned from trajectories without actions.

Sources: Ghosh et al. 2023, "Reinforcement Learning from Passive Data via Latent Intentions" (arXiv 2304.04782), and its
code; Bhateja et al. 2023, "Robotic Offline RL from Internet Videos via Value-Function Pre-Training" (V-PTR, arXiv
2309.13041), which starts a critic from it.

V(s, s+, z) is minus the discounted number of steps to the outcome s+ of who acts for the intention z, in three factors:
V = phi(s)^T T(z) psi(s+), with T(z) of low rank, A (T_z * phi) . B (T_z * psi), T_z a network of psi(z).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.nn.mlp import MLP, Parameters, linear

PHI, PSI, INTENT, STATE, OUTCOME = "phi", "psi", "intent", "matrix.state", "matrix.outcome"
# Shares of goals that are the present state and that lie ahead in its episode; all others are of any episode.
PRESENT, AHEAD = 0.2, 0.5
SAME = 0.5  # probability that outcome and intention are one


@dataclass(frozen=True)
class ICVF:
    """Members that value (state, outcome, intention); parameters are passed in.

    Attributes:
        observation: size of a state.
        hidden: sizes of the layers of phi, psi and the network of intentions, GELU after each of them; the last is the
            number of features.
        members: networks of the ensemble, whose least next value counts.
        intents: whether the value depends on what is intended; if not, it is that of the behaviour.
    """

    observation: int
    hidden: tuple[int, ...] = (256, 256)
    members: int = 2
    intents: bool = True

    @property
    def features(self) -> int:
        """Numbers of phi(s)."""
        return self.hidden[-1]

    def initialise(self, seeds: Sequence[int], name: str) -> Parameters:
        """Fresh float64 parameters, ``<part>.layer<i>.weight`` (seeds, members, in, out) and biases.

        Parts are phi, psi, intent, matrix.state (A) and matrix.outcome (B). ``input.mean`` and ``input.std`` (seeds,
        observation) are not trained.
        """
        size, parameters = self.features, Parameters()
        inputs = {PHI: self.observation, PSI: self.observation, INTENT: size}
        for part, fan_in in inputs.items():
            networks = MLP(fan_in, self.hidden[:-1], size, members=self.members)
            drawn = networks.initialise(seeds, f"{name}/{part}")
            parameters |= {f"{part}.{key}": value for key, value in drawn.items()}
        for part in (STATE, OUTCOME):
            drawn = MLP(size, (), size, members=self.members).initialise(seeds, f"{name}/{part}")
            parameters |= {f"{part}.{key}": value for key, value in drawn.items()}
        parameters["input.mean"] = torch.zeros(len(seeds), self.observation, dtype=torch.float64)
        parameters["input.std"] = torch.ones(len(seeds), self.observation, dtype=torch.float64)
        return parameters

    def phi(
        self, parameters: Parameters, states: Float[Tensor, "seeds batch observation"]
    ) -> Float[Tensor, "seeds batch features"]:
        """What the first member makes of states: the features that a critic starts from."""
        own = {name: value[:, :1] for name, value in parameters.items() if name.startswith(PHI)}
        return self._layers(own, PHI, _standardised(parameters, states).unsqueeze(1))[:, 0]

    def value(
        self,
        parameters: Parameters,
        states: Float[Tensor, "seeds batch observation"],
        outcomes: Float[Tensor, "seeds batch observation"],
        intents: Float[Tensor, "seeds batch observation"],
    ) -> Float[Tensor, "seeds members batch"]:
        """V_k(s, s+, z)."""
        own, other, meant = (
            _standardised(parameters, x).unsqueeze(1).expand(-1, self.members, -1, -1)
            for x in (states, outcomes, intents)
        )
        phi, psi = self._layers(parameters, PHI, own), self._layers(parameters, PSI, other)
        if self.intents:
            chosen = self._layers(parameters, INTENT, self._layers(parameters, PSI, meant))
            phi, psi = chosen * phi, chosen * psi
        left, right = (
            linear(x, parameters[f"{part}.layer0.weight"], parameters[f"{part}.layer0.bias"])
            for part, x in ((STATE, phi), (OUTCOME, psi))
        )
        return (left * right).sum(-1)

    def _layers(
        self, parameters: Parameters, part: str, x: Float[Tensor, "seeds members batch inputs"]
    ) -> Float[Tensor, "seeds members batch features"]:
        for layer in range(len(self.hidden)):
            weight, bias = (parameters[f"{part}.layer{layer}.{kind}"] for kind in ("weight", "bias"))
            x = torch.nn.functional.gelu(linear(x, weight, bias), approximate="tanh")
        return x


def _standardised(
    parameters: Parameters, states: Float[Tensor, "seeds batch observation"]
) -> Float[Tensor, "seeds batch observation"]:
    mean, std = (parameters[f"input.{part}"].unsqueeze(1) for part in ("mean", "std"))
    return (states - mean) / std


class Goals(NamedTuple):
    """Rows of ``observations`` that one update learns from.

    Attributes:
        now, outcome, intent: rows; what follows is the row behind ``now``.
    """

    now: Int[Tensor, "seeds batch"]
    outcome: Int[Tensor, "seeds batch"]
    intent: Int[Tensor, "seeds batch"]


class Sampler:
    """Draws states with the outcomes and intentions that they are valued for.

    Outcome and intention are drawn alike and independently: the present state, a later one of the episode, uniform up
    to its end, or any state of the data; in half of the cases the outcome is then set to the intention. All of them
    are states that are acted from: of a final observation nothing would tell that it is reached, since it never is the
    present state.
    """

    def __init__(self, trajectories: Trajectories) -> None:
        """Index the steps whose next observation was recorded.

        Raises:
            DataError: there is none.
        """
        assert trajectories.final_observations is not None
        lengths, recorded = trajectories.lengths, trajectories.final_observations
        first = trajectories.offsets[:-1] + np.arange(len(trajectories))
        count = lengths - (~recorded & (lengths > 0))
        self._now: Int64[Array, " _"] = np.concatenate(
            [np.arange(a, a + n) for a, n in zip(first, count, strict=True)] or [np.zeros(0, dtype=np.int64)]
        )
        self._end: Int64[Array, " _"] = np.repeat(first + count - 1, count)
        if not len(self._now):
            raise DataError(f"{trajectories.name} has no step whose next observation was recorded")

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
        """Rows of the present state, of the outcome and of the intention, each of this shape."""
        chosen = generator.integers(len(self._now), size=shape)
        now, end = self._now[chosen], self._end[chosen]
        outcome, intent = self._goal(generator, now, end), self._goal(generator, now, end)
        return now, np.where(generator.random(shape) < SAME, intent, outcome), intent

    def _goal(self, generator: np.random.Generator, now: Array, end: Array) -> Array:
        share, kind = generator.random(now.shape), generator.random(now.shape)
        ahead = np.rint(now * share + end * (1 - share)).astype(np.int64)
        anywhere = self._now[generator.integers(len(self._now), size=now.shape)]
        goal: Array = np.where(kind < PRESENT, now, np.where(kind < PRESENT + AHEAD, ahead, anywhere))
        return goal


def losses(
    network: ICVF,
    parameters: Parameters,
    target: Parameters,
    states: Float[Tensor, "rows observation"],
    goals: Goals,
    discount: float,
    expectile: float,
) -> Float[Tensor, "seeds members"]:
    """Mean of |tau - 1(A < 0)| delta_k^2 for each member.

    delta_k = r+ + gamma m+ V'_k(s', s+, z) - V_k(s, s+, z), and the advantage of what was done for what is intended
    A = r_z + gamma m_z min_k V'_k(s', z, z) - mean_k V'_k(s, z, z); r is -1 and m is 1, both 0 where the state is the
    outcome (the intention) itself.
    """
    now, after, outcome, intent = (states[rows] for rows in (goals.now, goals.now + 1, goals.outcome, goals.intent))
    with torch.no_grad():
        there, meant = ((goals.now == goal).to(states.dtype) for goal in (goals.outcome, goals.intent))
        y = _backed_up(there.unsqueeze(1), discount, network.value(target, after, outcome, intent))
        best = network.value(target, after, intent, intent).amin(1)
        advantage = _backed_up(meant, discount, best) - network.value(target, now, intent, intent).mean(1)
        weight = torch.where(advantage < 0, 1 - expectile, expectile).unsqueeze(1)
    delta = y - network.value(parameters, now, outcome, intent)
    return (weight * delta**2).mean(-1)


def _backed_up(
    there: Float[Tensor, "*#points"], discount: float, value: Float[Tensor, "*points"]
) -> Float[Tensor, "*points"]:
    """(1 - there) (-1 + discount value)."""
    return (1 - there) * (discount * value - 1)
