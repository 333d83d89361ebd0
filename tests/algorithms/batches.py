"""Random batches and small algorithms for the tests of single losses."""

import torch

from offbench.algorithms.base import Algorithm, Sizes
from offbench.data.transitions import Batch

SIZES = Sizes(observation=3, action=2)


def make(algorithm: type[Algorithm], sizes: Sizes = SIZES, size: int = 32, **changes) -> Algorithm:
    """One seed in float64, with networks of two layers of 16."""
    config = algorithm.Config(**{"hidden": (16, 16), "batch_size": size} | changes)
    return algorithm(config, sizes, [0], 100, dtype=torch.float64)


def batch(algorithm: Algorithm, terminations: float = 0.0, seed: int = 0, next_actions: bool = False) -> Batch:
    """A random batch with the noise that ``algorithm`` asks for."""
    generator = torch.Generator().manual_seed(seed)
    size = algorithm.config.batch_size

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, generator=generator, dtype=torch.float64)

    observation, action = algorithm.sizes.observation, algorithm.sizes.action
    return Batch(
        observations=normal(size, observation),
        actions=torch.tanh(normal(size, action)),
        rewards=normal(size),
        next_observations=normal(size, observation),
        terminations=torch.full((1, size), terminations, dtype=torch.float64),
        noise={name: normal(*shape) for name, shape in algorithm.noise().items()},
        next_actions=torch.tanh(normal(size, action)) if next_actions else None,
    )


def q_values(algorithm: Algorithm, network: str, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """(members, batch) values of an ensemble, of the only seed."""
    return algorithm.critic(algorithm.networks[network], torch.cat([observations, actions], -1))[0, ..., 0]


def shifted(algorithm: Algorithm, network: str, by: float) -> None:
    """Add a constant to all outputs of a network."""
    names = [name for name in algorithm.networks[network] if name.endswith("bias")]
    algorithm.networks[network][names[-1]] += by


def moved(algorithm: Algorithm, loss, b: Batch) -> set[str]:
    """Names of the trained networks that the gradient of ``loss(networks, batch)`` reaches."""
    trained = {name: algorithm.networks[name] for name in algorithm.optimisers}

    def total(networks):
        return sum(value.sum() for value in loss(algorithm.networks | networks, b).values())

    gradients = torch.func.grad(total)(trained)
    return {name for name, own in gradients.items() if any(bool(value.any()) for value in own.values())}
