"""Fitting a dynamics ensemble: bootstrap samples, a hold-out, and a stop once no member gets better.

All members of all seeds are one batched product. A seed that has stopped keeps its best members while the others go on,
so that an ensemble fitted beside others is the one that is fitted alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from offbench.basis.compiler import Compile, any_length, can_compile, compiled
from offbench.basis.replay import Replayed
from offbench.basis.shapes import Array
from offbench.data.transitions import Transitions
from offbench.dynamics.network import SMALLEST_STD, DynamicsNetwork, trainable
from offbench.dynamics.value_aware import Loss, check_gradients, value_losses
from offbench.errors import OffbenchError
from offbench.nn.adam import Adam
from offbench.nn.gradients import gradient
from offbench.nn.mlp import Parameters
from offbench.nn.random import stream

Preset = Literal["offlinerl-kit", "ravl"]
Say = Callable[[str], None]

# From so many floating-point operations on, of one seed in as few epochs as there can be, a fit is compiled: some forty
# seconds of a core, and most fits take several times as long. Measured with the default members of one seed: 58
# milliseconds a step before, 37 compiled. The choice depends on no clock and not on what is fitted beside.
WORTH_COMPILING = 1e12


@dataclass(frozen=True)
class DynamicsConfig:
    """How a dynamics ensemble is made; the defaults are OfflineRL-Kit's."""

    members: int = 7
    """Networks that are fitted."""
    elites: int = 5
    """Those of the lowest hold-out error, which predictions are drawn from."""
    hidden: tuple[int, ...] = (200, 200, 200, 200)
    """Sizes of the hidden layers."""
    probabilistic: bool = True
    """Predict a variance; else only a mean."""
    loss: Loss = "likelihood"
    """What is fitted: the likelihood (of means alone: the mean square error), or what errors move values by."""
    learning_rate: float = 1e-3
    """Of Adam."""
    weight_decay: tuple[float, ...] = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)
    """d of each layer: half of d times its squared weights is added to the loss. The last serves what layers follow."""
    batch_size: int = 256
    """Transitions a member in one update."""
    hold_out: float = 0.2
    """Share of the transitions that are held out."""
    most_held_out: int | None = 1000
    """At most so many of them are."""
    improvement: float = 0.01
    """A member got better if its hold-out error fell by more than this share."""
    patience: int = 5
    """Epochs in a row without a better member, after which a seed stops."""
    least_epochs: int = 0
    """Before these the learning rate is lowered, once, instead of stopping."""
    lowered: float = 0.3
    """What the learning rate is multiplied by then."""
    most_epochs: int = 2000
    """No seed goes on for longer."""
    input_clip: float | None = None
    """Bound of the standardised inputs."""

    def network(self, observation: int, action: int) -> DynamicsNetwork:
        """The network of these sizes."""
        return DynamicsNetwork(observation, action, self.hidden, self.members, self.probabilistic, self.input_clip)


# RAVL's own dynamics (github.com/anyasims/edge-of-reach): far slower, 350 epochs or more.
PRESETS: dict[Preset, DynamicsConfig] = {
    "offlinerl-kit": DynamicsConfig(),
    "ravl": DynamicsConfig(most_held_out=None, least_epochs=350, input_clip=10.0),
}


def chosen(preset: Preset, hidden: tuple[int, ...], most_epochs: int, members: int = 7) -> DynamicsConfig:
    """A preset with other layers, other members (at most five are elites) and a bound of its own on the epochs."""
    found = PRESETS[preset]
    elites = min(found.elites, members)
    return replace(found, hidden=hidden, most_epochs=most_epochs, members=members, elites=elites)


class Fitted(NamedTuple):
    """Ensembles of several seeds, the members ordered by hold-out error, best first.

    Attributes:
        parameters: (seeds, members, ...), as `DynamicsNetwork.initialise` names them.
        errors: hold-out mean square error of the means, or the value-aware loss where that is fitted.
        epochs: made before a seed stopped.
        seconds: all of it.
    """

    parameters: Parameters
    errors: Float[Tensor, "seeds members"]
    epochs: Int[Tensor, " seeds"]
    seconds: float


def rows_of(view: Transitions) -> tuple[Float[Tensor, "rows observation+action"], Float[Tensor, "rows observation+1"]]:
    """All transitions as inputs (state, action) and targets (change of the state, reward), in a learner's units.

    The next state of a terminal transition is the one that terminated the episode, where the data hold it.
    """
    every = torch.arange(len(view), device=view.device).unsqueeze(0)
    batch = view.batch(every)
    inputs = torch.cat([batch.observations, batch.actions], -1)[0]
    targets = torch.cat([batch.next_observations - batch.observations, batch.rewards.unsqueeze(-1)], -1)[0]
    return inputs, targets


def fit(
    view: Transitions,
    config: DynamicsConfig,
    seeds: Sequence[int],
    say: Say = lambda line: None,
    gradients: Float[Tensor, "rows functions observation"] | None = None,
    compile: Compile = "auto",
) -> Fitted:
    """Fit the ensembles of all seeds.

    Args:
        view: what is learned from; states, actions and rewards are predicted in the units of its batches.
        config: hyperparameters.
        seeds: each decides its initialisation, its hold-out, its bootstrap samples and their order.
        say: hears a line an epoch.
        gradients: of values at the next states, for the losses that need them; see `value_aware.value_gradients`.
        compile: the steps; on auto, where a compiler is and they are many.

    Raises:
        OffbenchError: too few transitions, errors that are not finite, or gradients that do not go with the loss.
    """
    started = time.perf_counter()
    inputs, targets = rows_of(view)
    check_gradients(config.loss, config.probabilistic, len(inputs), gradients)
    network = config.network(view.observation_size, view.action_size)
    parted = [_parted(len(inputs), config, seed) for seed in seeds]
    test = torch.from_numpy(np.stack([held for held, _ in parted])).to(view.device)
    kept = np.stack([own for _, own in parted])
    sampling = [stream(seed, "dynamics/bootstrap") for seed in seeds]
    rows = np.stack([
        own[generator.integers(own.size, size=(config.members, own.size))]
        for own, generator in zip(kept, sampling, strict=True)
    ])  # fmt: skip
    parameters = {
        name: value.to(device=view.device, dtype=view.dtype)
        for name, value in network.initialise(seeds, "dynamics").items()
    }
    _standardise(parameters, inputs, kept)
    search = _Search(config, len(seeds), view.device, view.dtype)
    best = {name: value.clone() for name, value in parameters.items()}
    adam = Adam(trainable(parameters), config.learning_rate)
    columns = _Columns(inputs, targets, gradients)
    any_length(*columns)
    descend = partial(_descend, network, parameters, adam, columns, config, search.rates)
    worth = compile == "always" or _operations(config, parameters, rows.shape[-1]) >= WORTH_COMPILING
    compile_it = worth and can_compile(compile, view.device)
    one_step = partial(compiled(_descend, view.device), *descend.args) if compile_it else descend
    replayed = Replayed(one_step)
    whole = rows.shape[-1] - rows.shape[-1] % config.batch_size
    first_epoch = time.perf_counter()
    while search.running.any():
        rows = np.stack([g.permuted(own, axis=1) for g, own in zip(sampling, rows, strict=True)])
        every = torch.from_numpy(rows).to(view.device)
        for first in range(0, whole, config.batch_size):
            # Contiguous: compiled code is made for one layout, whatever the number of samples.
            replayed(every[..., first : first + config.batch_size].contiguous())
        if whole < rows.shape[-1]:
            descend(every[..., whole:])
        better = search.hear(_test_errors(network, parameters, columns.at(test), config.loss))
        _keep_better(best, trainable(parameters), better)
        say(
            f"dynamics: epoch {search.epoch}, {(time.perf_counter() - first_epoch) / search.epoch:.2g} seconds each, "
            f"hold-out error {float(search.lowest.mean()):.4g}, "
            f"{int(search.running.sum())} of {len(seeds)} seeds go on"
        )
    return Fitted(*_ranked(best, search.lowest), search.epochs, time.perf_counter() - started)


def _keep_better(best: Parameters, present: Parameters, better: Bool[Tensor, "seeds members"]) -> None:
    """Take over into ``best`` the members that got better, and what all share where one did."""
    for name, value in present.items():
        mask = better if value.shape[1] == better.shape[1] else better.any(1, keepdim=True)
        best[name] = torch.where(mask.view(*mask.shape, *[1] * (value.dim() - 2)), value, best[name])


def _operations(config: DynamicsConfig, parameters: Parameters, samples: int) -> float:
    """Floating-point operations of one seed's products in as few epochs as there can be, forward and backward."""
    weights = sum(value[0].numel() for name, value in parameters.items() if name.endswith(".weight"))
    return 6.0 * weights * samples * min(config.patience + 1, config.most_epochs)


def errors_of(
    network: DynamicsNetwork,
    parameters: Parameters,
    inputs: Float[Tensor, "seeds rows inputs"],
    targets: Float[Tensor, "seeds rows outputs"],
) -> Float[Tensor, "seeds members"]:
    """Mean square error of each member's means."""
    with torch.no_grad():
        means, _ = network.heads(parameters, inputs.unsqueeze(1).expand(-1, network.members, -1, -1))
        return ((means - targets.unsqueeze(1)) ** 2).mean((-2, -1))


class _Columns(NamedTuple):
    """What is fitted to, a row a transition: the gradients where the loss needs them."""

    inputs: Float[Tensor, "*rows inputs"]
    targets: Float[Tensor, "*rows outputs"]
    gradients: Float[Tensor, "*rows functions observation"] | None

    def at(self, rows: Int[Tensor, "*chosen"]) -> _Columns:
        return _Columns(*(None if column is None else column[rows] for column in self))  # type: ignore[arg-type]


def _test_errors(
    network: DynamicsNetwork, parameters: Parameters, test: _Columns, loss: Loss
) -> Float[Tensor, "seeds members"]:
    """What decides which members got better: of values where they are fitted to, else of the means."""
    if test.gradients is None:
        return errors_of(network, parameters, test.inputs, test.targets)
    with torch.no_grad():
        means, _ = network.heads(parameters, test.inputs.unsqueeze(1).expand(-1, network.members, -1, -1))
        return value_losses(means, test.targets.unsqueeze(1), test.gradients.unsqueeze(1), loss)


class _Search:
    """Which members got better, and which seeds go on.

    Attributes:
        running: seeds that go on.
        lowest: the lowest error of each member.
        rates: what the learning rate of each seed is multiplied by; changed in place.
        epochs: of each seed.
        epoch: of those that run.
    """

    def __init__(self, config: DynamicsConfig, seeds: int, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.epoch = config, 0
        self.running: Bool[Tensor, " seeds"] = torch.ones(seeds, dtype=torch.bool, device=device)
        self.lowest = torch.full((seeds, config.members), torch.inf, device=device, dtype=dtype)
        self.rates = torch.ones(seeds, device=device, dtype=dtype)
        self.epochs = torch.zeros(seeds, dtype=torch.int64, device=device)
        self._idle = torch.zeros(seeds, dtype=torch.int64, device=device)  # epochs in a row without a better member

    def hear(self, errors: Float[Tensor, "seeds members"]) -> Bool[Tensor, "seeds members"]:
        """Take an epoch's hold-out errors; which members got better, in seeds that had not stopped."""
        if not bool(errors[self.running].isfinite().all()):
            raise OffbenchError("the dynamics' hold-out error is not finite; the data hold numbers that are too large")
        c = self.config
        self.epoch += 1
        better = (errors < self.lowest * (1 - c.improvement)) & self.running.unsqueeze(1)
        self.lowest = torch.where(better, errors, self.lowest)
        self.epochs += self.running
        self._idle = torch.where(better.any(1), 0, self._idle + 1)
        out = self.running & (self._idle >= c.patience)
        lower = out & (self.rates == 1) & (self.epoch < c.least_epochs)
        self.rates.copy_(torch.where(lower, c.lowered, self.rates))
        self._idle = torch.where(out & (self.epoch < c.least_epochs), 0, self._idle)
        stopped = out & (self.epoch >= c.least_epochs)
        self.running = self.running & ~stopped & (self.epoch < c.most_epochs)
        return better


def _descend(
    network: DynamicsNetwork,
    parameters: Parameters,
    adam: Adam,
    columns: _Columns,
    config: DynamicsConfig,
    rates: Float[Tensor, " seeds"],
    rows: Int[Tensor, "seeds members batch"],
) -> None:
    """One step of each member on rows of its own sample."""
    fixed = {name: value for name, value in parameters.items() if name.startswith("input.")}

    x, y, weights = columns.at(rows)

    def loss(trained: Parameters) -> Tensor:
        if weights is None:
            return network.losses(fixed | trained, x, y).sum()
        return value_losses(network.heads(fixed | trained, x)[0], y, weights, config.loss).sum()

    gradients, _ = gradient(loss, trainable(parameters))
    for layer in range(network.layers):
        name = f"layer{layer}.weight"
        decay = config.weight_decay[min(layer, len(config.weight_decay) - 1)]
        gradients[name] = gradients[name] + decay * parameters[name]
    adam.update(trainable(parameters), gradients, rates)


def held_out(count: int, config: DynamicsConfig, seed: int) -> Int[Array, " rows"]:
    """Which of ``count`` transitions a seed's ensemble is not fitted to."""
    return _parted(count, config, seed)[0]


def _parted(count: int, config: DynamicsConfig, seed: int) -> tuple[Int[Array, " rows"], Int[Array, " rows"]]:
    """What is held out, and what is fitted to."""
    order, held = stream(seed, "dynamics/hold-out").permutation(count), _held_out_count(count, config)
    return order[:held], order[held:]


def _held_out_count(count: int, config: DynamicsConfig) -> int:
    held = int(count * config.hold_out)
    held = held if config.most_held_out is None else min(held, config.most_held_out)
    if held < 1:
        raise OffbenchError(f"{count} transitions are too few to fit dynamics and hold some out; give more data")
    return held


def _standardise(parameters: Parameters, inputs: Float[Tensor, "rows inputs"], kept: np.ndarray[Any, Any]) -> None:
    """Mean and standard deviation of the inputs that each seed trains on."""
    for row, own in enumerate(kept):
        mine = inputs[torch.from_numpy(own).to(inputs.device)].double()
        std = mine.std(0, correction=0)
        parameters["input.mean"][row, 0] = mine.mean(0).to(inputs.dtype)
        parameters["input.std"][row, 0] = torch.where(std < SMALLEST_STD, 1.0, std).to(inputs.dtype)


def _ranked(
    parameters: Parameters, errors: Float[Tensor, "seeds members"]
) -> tuple[Parameters, Float[Tensor, "seeds members"]]:
    """Members by hold-out error, best first: the elites are the first of them."""
    order = errors.argsort(dim=1, stable=True)
    ranked = {
        name: value.gather(1, order.view(*order.shape, *[1] * (value.dim() - 2)).expand_as(value))
        if name.startswith("layer")
        else value
        for name, value in parameters.items()
    }
    return ranked, errors.gather(1, order)


def described(config: DynamicsConfig) -> dict[str, Any]:
    """The hyperparameters, as JSON holds them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
