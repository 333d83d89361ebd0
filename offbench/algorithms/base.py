"""What all algorithms share: networks with a seed axis, their optimisers, one update, and the state to save.

Every parameter, batch and metric carries a leading seed axis K: one process trains K independent runs. A loss is
averaged over everything but that axis and the losses of all seeds are summed, so that each seed's gradient is its
own.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Protocol, cast

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from offbench.data.scaling import Scaling
from offbench.data.transitions import Transitions
from offbench.dynamics.imagination import Imagined
from offbench.errors import OffbenchError
from offbench.nn.adam import Adam, Schedule
from offbench.nn.gradients import Networks as Networks
from offbench.nn.gradients import gradients
from offbench.nn.mlp import Parameters
from offbench.nn.noise import standard_normal

Metrics = dict[str, Float[Tensor, " seeds"]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the vectors that an algorithm maps between."""

    observation: int
    action: int


@dataclass(frozen=True)
class Preset:
    """Hyperparameters for the datasets whose ids match one of the patterns (``registry.preset``), and their source."""

    datasets: tuple[str, ...]
    values: Mapping[str, Any]
    source: str


class View(Protocol):
    """Data as an algorithm learns from them: `Transitions`, `Sequences`, `PartlyLabelled` or `Compared`.

    Attributes:
        scaling: how a learner's numbers relate to those of the environment.
        transforms: what lies between data and learner, for the record of a run.
        observation_size, action_size: sizes of the vectors.
        dtype: of batches.
    """

    scaling: Scaling
    transforms: list[dict[str, Any]]
    observation_size: int
    action_size: int
    dtype: torch.dtype

    def __len__(self) -> int:
        """How many indices there are to draw from."""
        ...

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> Any:
        """What lies at ``indices``, a named tuple with a field ``noise``."""
        ...


def view_options(view: Callable[..., View], config: Any) -> dict[str, Any]:
    """The options of a view: those fields of a config that are called the same (``normalise_states``, ``context``)."""
    taken = inspect.signature(view).parameters
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name in taken}


class Acting(Protocol):
    """The policies of an algorithm's seeds with what they remember of the episodes under way.

    Attributes:
        memory: all that is remembered, by name, and replaced rather than changed in place, so that one step of the
            policy can be written to a file as a function.
    """

    memory: dict[str, Shaped[Tensor, "seeds batch ..."]]

    def reset(self, mask: Bool[Tensor, "seeds batch"]) -> None:
        """Forget the episodes where mask is true, which begin anew."""
        ...

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Deterministic actions for scaled observations."""
        ...

    def observe(self, rewards: Float[Tensor, "seeds batch"]) -> None:
        """Hear the rewards of the last actions, as the environment gave them."""
        ...


class Algorithm(ABC):
    """K independent runs of one algorithm.

    A subclass describes its networks in ``build``, its losses as methods from (networks, batch) to metrics, and what
    one update does in ``update``, a pure function of state and batch: no clock, no generator, no input or output.

    Attributes:
        networks: parameters by network and name, each with a leading seed axis.
        optimisers: one Adam for each network that is trained.
        keys: (seeds,) int64, the seeds.
        count: () int64, updates done.
        phase: number of the coming update modulo ``period``, set by whoever calls ``step``; a Python int, so that each
            phase is compiled as a function of its own.
        imagination: where ``build`` sets it, what was imagined, which batches are made of or mixed with.
        requires: names of the columns that it learns from, or the kind of data that its view is made of:
            ``(SemiSupervised,)``, ``(Preferences,)``.
        latest: where ``period`` is above 1, the last value (seeds,) of each metric; 0 before the first.
        quick: hyperparameters with which it is small and learns fast, for ``offbench check``, where ``hidden``,
            ``batch_size`` and fields that end in ``learning_rate`` need not be named.
    """

    Config: ClassVar[type]
    view: ClassVar[Callable[..., View]] = Transitions
    requires: ClassVar[tuple[str | type, ...]] = ("actions", "rewards")
    metrics: ClassVar[tuple[str, ...]]
    period: ClassVar[int] = 1  # after how many updates their kinds repeat: 2 where the policy moves every second time
    presets: ClassVar[tuple[Preset, ...]] = ()
    quick: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        config: Any,
        sizes: Sizes,
        seeds: Sequence[int],
        total: int,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        mixed_precision: bool = False,
    ) -> None:
        """Initialise the networks of all ``seeds``; ``total`` is the number of updates that schedules span.

        With ``mixed_precision`` the products of hidden layers in losses are taken in bfloat16 and everything else,
        parameters and moments included, stays in ``dtype``.
        """
        self.mixed_precision = mixed_precision
        self.config, self.sizes, self.seeds, self.total = config, sizes, tuple(seeds), total
        self.device, self.dtype = torch.device(device), dtype
        self.networks: Networks = {}
        self.optimisers: dict[str, Adam] = {}
        self.keys = torch.tensor(self.seeds, dtype=torch.int64, device=self.device)
        self.count = torch.zeros((), dtype=torch.int64, device=self.device)
        self.phase = 0
        some = self.metrics if self.period > 1 else ()
        self.imagination: Imagined | None = None
        self.latest = {name: torch.zeros(len(self.seeds), device=self.device, dtype=dtype) for name in some}
        self.build()

    @abstractmethod
    def build(self) -> None:
        """Describe the networks and ``add`` their parameters and optimisers."""

    def prepare(self, data: View, say: Callable[[str], None]) -> None:  # noqa: B027
        """Fit what the updates rest on, before the first of them; nothing unless overridden.

        data: the view; say: hears what is done.
        """

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the standard normal numbers that one update of one seed consumes, by name; none unless overridden.

        The batch brings them as ``batch.noise[name]`` (seeds, *shape), so that an update remains a pure function.
        """
        return {}

    @abstractmethod
    def update(self, batch: Any) -> Metrics:
        """One gradient step on a batch with leading axes (seeds, batch); returns the metrics by name.

        Where ``period`` is above 1, ``phase`` says which of its updates this is, and metrics that it does not make may
        be left out.
        """

    @abstractmethod
    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """Deterministic actions for scaled observations.

        A policy with a memory gives those of the first step of an episode.
        """

    def acting(self) -> Acting:
        """The policies at work in episodes; without a memory unless overridden."""
        return Memoryless(self)

    def add(
        self,
        name: str,
        parameters: Parameters,
        learning_rate: float | None,
        schedule: Schedule = "constant",
        **options: Any,
    ) -> None:
        """Register a network; without a learning rate it is not trained (a target network).

        Further ``options`` are those of `Adam`.
        """
        self.networks[name] = {
            key: value.to(device=self.device, dtype=self.dtype).contiguous() for key, value in parameters.items()
        }
        if learning_rate is not None:
            self.optimisers[name] = Adam(self.networks[name], learning_rate, schedule, self.total, **options)

    def descend(self, losses: Callable[[Networks, Any], Metrics], names: Sequence[str], batch: Any) -> Metrics:
        """One Adam step of the networks ``names`` on the sum of ``losses(networks, batch)``, which are returned."""
        trained = {name: self.networks[name] for name in names}
        found, values = gradients(partial(self._summed, losses, batch), trained)
        for name in names:
            self.optimisers[name].update(self.networks[name], found[name])
        return {name: value.detach() for name, value in values.items()}

    def _summed(
        self, losses: Callable[[Networks, Any], Metrics], batch: Any, trained: Networks
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """The sum of the losses of all seeds, whose gradient descends each by itself, and the losses."""
        with self._precision():
            values = losses(self.networks | trained, batch)
        return torch.stack(list(values.values())).sum(), values

    def _precision(self) -> AbstractContextManager[object]:
        """That of the products in losses. Torch keeps no traced graph that enters autocast, not even a disabled one."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.mixed_precision else nullcontext()

    def step(self, data: View, indices: Int[Tensor, "seeds batch"]) -> Float[Tensor, "metrics seeds"]:
        """Update on what the data hold at ``indices``; returns ``metrics`` in their order."""
        values = self.update(self.batch(data, indices)._replace(noise=self.drawn()))
        self.count.add_(1)
        for name, latest in self.latest.items():
            latest.copy_(values.setdefault(name, latest))
        return torch.stack([values[name] for name in self.metrics])

    def batch(self, data: View, indices: Int[Tensor, "seeds batch"]) -> Any:
        """What the coming update learns from, all but its noise."""
        if self.imagination is None:
            return data.batch(indices)
        return self.imagination.mixed(cast(Transitions, data), indices, self.keys, self.count)

    def before(self, update: int, data: View) -> None:
        """What happens between updates, uncompiled: something is imagined when it is time for it."""
        if self.imagination is not None:
            self.imagination.before(update, cast(Transitions, data), self.keys, self.count)

    def drawn(self) -> dict[str, Float[Tensor, "seeds ..."]]:
        """The noise of the coming update by name, a function of seeds and count."""
        shapes = self.noise().items()
        return {name: standard_normal(self.keys, self.count, name, shape, self.dtype) for name, shape in shapes}

    def state(self) -> dict[str, Tensor]:
        """All tensors that a later update depends on, by name; those with axes lead with the seed axis."""
        state = {"count": self.count} | {f"metrics/{name}": value for name, value in self.latest.items()}
        for network, parameters in self.networks.items():
            state |= {f"networks/{network}/{name}": value for name, value in parameters.items()}
        for network, optimiser in self.optimisers.items():
            state |= {f"optimisers/{network}/{name}": value for name, value in optimiser.state().items()}
        if self.imagination is not None:
            state |= {f"imagination/{name}": value for name, value in self.imagination.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Copy ``state`` into this algorithm's tensors, in place."""
        own = self.state()
        if own.keys() != state.keys():
            raise ValueError(f"the state to restore differs in {sorted(own.keys() ^ state.keys())[:5]}")
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise ValueError(f"{name} has shape {tuple(state[name].shape)}; {tuple(value.shape)} would be right")
            value.copy_(state[name])


class Memoryless:
    """An algorithm's policies that look at the present observation alone."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.act, self.memory = algorithm.act, dict[str, Tensor]()

    def reset(self, mask: Bool[Tensor, "seeds batch"]) -> None:
        """Nothing to forget."""

    def observe(self, rewards: Float[Tensor, "seeds batch"]) -> None:
        """Nothing to remember."""


def polyak(target: Parameters, source: Parameters, rate: float) -> None:
    """Move ``target`` towards ``source``: target <- (1 - rate) target + rate source, in place."""
    for name, value in target.items():
        value.lerp_(source[name], rate)


def copy(parameters: Parameters) -> Parameters:
    """A deep copy, for a target network that starts where its source does."""
    return {name: value.clone() for name, value in parameters.items()}


def within(name: str, value: float, low: float, high: float, open_low: bool = False, open_high: bool = False) -> None:
    """Refuse a hyperparameter outside its range with one sentence.

    Raises:
        OffbenchError: value < low or value > high, or equal to a bound that is open.
    """
    if value < low or value > high or (open_low and value == low) or (open_high and value == high) or value != value:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise OffbenchError(f"{name} must lie in {left}{low}, {high}{right}, not {value}")
