"""A sound algorithm, and others that each do one thing wrong."""

import random
import time
from dataclasses import dataclass, replace

import torch

from offbench.algorithms.base import Algorithm
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.nn.mlp import MLP


@dataclass(frozen=True)
class SoundConfig:
    """Hyperparameters of advantage-weighted regression."""

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 3e-4
    batch_size: int = 256
    discount: float = 0.99
    beta: float = 1.0
    normalise_states: bool = True


class Sound(Algorithm):
    """V by temporal differences, and imitation weighted by exp(beta A), A = r + gamma V(s') - V(s)."""

    Config = SoundConfig
    metrics = ("value_loss", "actor_loss")

    def build(self):
        self.value = MLP(self.sizes.observation, self.config.hidden, 1)
        self.actor = MLP(self.sizes.observation, self.config.hidden, self.sizes.action)
        for name in ("value", "actor"):
            self.add(name, getattr(self, name).initialise(self.seeds, name), self.config.learning_rate)

    def advantages(self, value, batch):
        with torch.no_grad():
            next_value = self.value(self.networks["value"], batch.next_observations)[..., 0]
            target = batch.rewards + self.config.discount * (1 - batch.terminations) * next_value
        return target - self.value(value, batch.observations)[..., 0]

    def weights(self, advantages):
        return torch.exp((self.config.beta * advantages).clamp(max=3.0))

    def losses(self, networks, batch):
        advantages = self.advantages(networks["value"], batch)
        error = ((torch.tanh(self.actor(networks["actor"], batch.observations)) - batch.actions) ** 2).mean(-1)
        weighted = self.weights(advantages.detach()) * error
        return {"value_loss": (advantages**2).mean(-1), "actor_loss": weighted.mean(-1)}

    def update(self, batch):
        return self.descend(self.losses, ["value", "actor"], batch)

    def act(self, observations):
        return torch.tanh(self.actor(self.networks["actor"], observations))


class FlatActions(Sound):
    def act(self, observations):
        return super().act(observations).mean(-1)


class UnreducedMetric(Sound):
    def update(self, batch):
        return super().update(batch) | {"actor_loss": batch.rewards}


class ForgottenMetric(Sound):
    metrics = ("value_loss", "actor_loss", "entropy")


class SamplingPolicy(Sound):
    def act(self, observations):
        actions = super().act(observations)
        return actions + 0.1 * torch.randn_like(actions)


class BatchNormalisingPolicy(Sound):
    def act(self, observations):
        return super().act(observations - observations.mean(1, keepdim=True))


class HiddenGenerator(Sound):
    def weights(self, advantages):
        return super().weights(advantages) * (torch.rand_like(advantages) > 0.1)


class PythonGenerator(Sound):
    def weights(self, advantages):
        return super().weights(advantages) * random.uniform(0.9, 1.1)


class Clock(Sound):
    def weights(self, advantages):
        return super().weights(advantages) * (1 + time.perf_counter() % 1)


class OneInitialisation(Sound):
    def build(self):
        seeds, self.seeds = self.seeds, [0] * len(self.seeds)
        super().build()
        self.seeds = seeds


class MixedSeeds(Sound):
    def weights(self, advantages):
        return super().weights(advantages / advantages.std())


class UnsavedAverage(Sound):
    def build(self):
        super().build()
        self.average = torch.zeros(len(self.seeds), 1, dtype=self.dtype, device=self.device)

    def weights(self, advantages):
        self.average = 0.9 * self.average + 0.1 * advantages.mean(-1, keepdim=True)
        return super().weights(advantages - self.average)


class UnsavedPolicy(Sound):
    def build(self):
        super().build()
        self.acting_network = {name: value.clone() for name, value in self.networks["actor"].items()}

    def update(self, batch):
        metrics = super().update(batch)
        for name, value in self.acting_network.items():
            value.lerp_(self.networks["actor"][name], 0.5)
        return metrics

    def act(self, observations):
        return torch.tanh(self.actor(self.acting_network, observations))


class BootstrapsThroughTerminations(Sound):
    def advantages(self, value, batch):
        return super().advantages(value, batch._replace(terminations=torch.zeros_like(batch.terminations)))


class DiscountInNameOnly(BootstrapsThroughTerminations):
    def build(self):
        super().build()
        self.config = replace(self.config, discount=0.99)


def truncations_as_terminations(trajectories: Trajectories, **options) -> Transitions:
    ends = trajectories.terminations | trajectories.truncations
    return Transitions(replace(trajectories, terminations=ends, truncations=ends & False), **options)


class TruncationsAsTerminations(Sound):
    view = staticmethod(truncations_as_terminations)


class UnboundedExponential(Sound):
    def weights(self, advantages):
        return torch.exp(self.config.beta * advantages)


class WrongSign(Sound):
    def losses(self, networks, batch):
        found = super().losses(networks, batch)
        return found | {"actor_loss": -found["actor_loss"]}


class LooksAtNumbers(Sound):
    def weights(self, advantages):
        return super().weights(advantages) if advantages.max().item() > -1e9 else advantages


class LeavesTheGraph(Sound):
    @torch.compiler.disable
    def weights(self, advantages):
        return super().weights(advantages)


class OtherwiseWhenCompiled(Sound):
    def weights(self, advantages):
        return super().weights(advantages * (2 if torch.compiler.is_compiling() else 1))


class NumpyPolicy(Sound):
    def act(self, observations):
        if torch.compiler.is_exporting():
            return torch.from_numpy(super().act(observations).numpy())
        return super().act(observations)


class OtherwiseWhenExported(Sound):
    def act(self, observations):
        return super().act(observations) * (0.5 if torch.compiler.is_exporting() else 1)


class CannotBeBuilt(Sound):
    def build(self):
        raise TypeError("no networks today")
