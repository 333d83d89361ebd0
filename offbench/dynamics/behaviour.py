"""The policy that made the data, cloned by diffusion, so that it can act in a model as the data's did: in many ways.

The recipe is that of MBRCSL's code (Zhou et al. 2024, arXiv 2310.19308): DDPM on single actions, AdamW, and a moving
average of the weights that samples. Its learning rate is stepped once an epoch and never leaves its warm-up; here it
warms up in at most 500 updates and falls as a cosine over the rest. States are standardised, which that code leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import Say
from offbench.dynamics.network import SMALLEST_STD
from offbench.dynamics.worlds import Moment
from offbench.errors import OffbenchError
from offbench.nn.adam import Adam
from offbench.nn.diffusion import Diffusion, NoiseNetwork
from offbench.nn.gradients import gradient
from offbench.nn.mlp import Parameters
from offbench.nn.noise import standard_normal, uniform

Act = Callable[[Float[Tensor, "seeds batch observation"], Moment], Float[Tensor, "seeds batch action"]]

EMA_POWER, LARGEST_EMA = 0.75, 0.9999
REPORTS = 20  # lines that a fit says


@dataclass(frozen=True)
class BehaviourConfig:
    """How a behaviour policy is cloned."""

    diffusion_steps: int = 10
    """T, steps of the diffusion."""
    width: int = 256
    """Of the network's layers."""
    blocks: int = 3
    """Residual blocks of the network."""
    updates: int = 40_000
    """Of AdamW."""
    batch_size: int = 256
    """Steps of the data in one update."""
    learning_rate: float = 1e-4
    """Of AdamW, at its highest."""
    weight_decay: float = 1e-6
    """Of AdamW."""

    @property
    def warmup(self) -> int:
        """Updates in which the learning rate rises."""
        return min(500, self.updates // 10)


class Behaviour:
    """The policies of several seeds, which sample."""

    def __init__(
        self,
        network: NoiseNetwork,
        parameters: Parameters,
        mean: Float[Tensor, " observation"],
        std: Float[Tensor, " observation"],
    ) -> None:
        """Take the network, its parameters, and what states are standardised by."""
        self.network, self.parameters, self.mean, self.std = network, parameters, mean, std
        self.diffusion = Diffusion(network.steps)

    def act(
        self, observations: Float[Tensor, "seeds batch observation"], moment: Moment
    ) -> Float[Tensor, "seeds batch action"]:
        """a ~ pi(a | s)."""
        shape = (observations.shape[1], self.network.steps, self.network.action)
        keys, update, name = moment
        noise = standard_normal(keys, update, f"{name}/behaviour", shape, observations.dtype)
        states = (observations - self.mean) / self.std
        of_steps, of_states = self.network.films(self.parameters, states)

        def predict(actions: Tensor, k: int) -> Tensor:
            films = [table[:, k : k + 1] + own for table, own in zip(of_steps, of_states, strict=True)]
            return self.network(self.parameters, actions, states, films)

        return self.diffusion.sample(predict, noise)

    def losses(
        self,
        parameters: Parameters,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        steps: Int64[Tensor, "seeds batch"],
        noise: Float[Tensor, "seeds batch action"],
    ) -> Float[Tensor, " seeds"]:
        """L = E (noise - e(a_k, k, s))^2, averaged over action dimensions, a_k the action noised to step k."""
        noised = self.diffusion.noised(actions, steps, noise)
        predicted = self.network.at(parameters, noised, (observations - self.mean) / self.std, steps)
        return ((predicted - noise) ** 2).mean((1, 2))


def fit_behaviour(
    view: Transitions, config: BehaviourConfig, seeds: Sequence[int], say: Say = lambda line: None
) -> Behaviour:
    """Clone the policy behind the data, for all seeds.

    Args:
        view: whose actions are imitated, in the units of its batches.
        config: hyperparameters.
        seeds: each decides its initialisation and all that is random in its updates.
        say: hears how far it has come.

    Raises:
        OffbenchError: losses that are not finite.
    """
    network = NoiseNetwork(view.observation_size, view.action_size, config.diffusion_steps, config.width, config.blocks)
    parameters = {
        name: value.to(device=view.device, dtype=view.dtype)
        for name, value in network.initialise(seeds, "behaviour").items()
    }
    averaged = {name: value.clone() for name, value in parameters.items()}
    behaviour = Behaviour(network, averaged, *_statistics(view))
    adam = Adam(
        parameters,
        config.learning_rate,
        "cosine",
        config.updates,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
    )
    keys = torch.tensor(list(seeds), dtype=torch.int64, device=view.device)
    every, total = max(1, config.updates // REPORTS), torch.zeros((), device=view.device)
    for update in range(config.updates):
        batch = _batch(view, config, keys, update)
        found, loss = gradient(lambda trained, batch=batch: behaviour.losses(trained, *batch).sum(), parameters)  # type: ignore[misc]
        adam.update(parameters, found)
        decay = average_decay(update)
        for name, value in averaged.items():
            value.lerp_(parameters[name], 1 - decay)
        total += loss
        if (update + 1) % every == 0:
            mean = float(total) / len(seeds) / every  # the only number that is waited for
            if not math.isfinite(mean):
                raise OffbenchError("the behaviour policy's loss is not finite; give a smaller behaviour_learning_rate")
            say(f"behaviour: {update + 1:,} of {config.updates:,} updates, loss {mean:.4g}")
            total.zero_()
    return behaviour


def average_decay(update: int) -> float:
    """1 - (1 + t)^-0.75, at most 0.9999: what the moving average keeps of itself after update t, counted from 0."""
    return min(1 - math.pow(1 + update, -EMA_POWER), LARGEST_EMA)


def _batch(
    view: Transitions, config: BehaviourConfig, keys: Int64[Tensor, " seeds"], update: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States, actions, diffusion steps and noise of one update."""
    count, size = torch.tensor(update, device=keys.device), config.batch_size
    batch = view.batch((uniform(keys, count, "behaviour/rows", (size,)) * len(view)).long())
    steps = (uniform(keys, count, "behaviour/step", (size,)) * config.diffusion_steps).long()
    noise = standard_normal(keys, count, "behaviour/noise", (size, view.action_size), view.dtype)
    return batch.observations, batch.actions, steps, noise


def _statistics(view: Transitions) -> tuple[Float[Tensor, " observation"], Float[Tensor, " observation"]]:
    """Mean and standard deviation of all states; a number that never changes is divided by 1."""
    states = view.batch(torch.arange(len(view), device=view.device).unsqueeze(0)).observations[0].double()
    std = states.std(0, correction=0)
    return states.mean(0).to(view.dtype), torch.where(std < SMALLEST_STD, 1.0, std).to(view.dtype)
