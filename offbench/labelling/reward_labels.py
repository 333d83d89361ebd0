"""Rewards of all steps of a dataset: what each member says, made one by an aggregate, and brought to a scale.

Sources: Kim et al. 2023, Preference Transformer (arXiv 2303.00957), for windows and scale; Coste et al. 2024, "Reward
Model Ensembles Help Mitigate Overoptimization" (arXiv 2310.02743), for the worst case and the uncertainty weighting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.labelling.reward_models import NAME, room, standardised
from offbench.labelling.reward_networks import RewardNetwork
from offbench.labelling.store import Say
from offbench.nn.mlp import Parameters

Aggregate = Literal["mean", "wco", "uwo", "median", "mean_minus_std"]
Shift = Literal["plus_half", "minus_one", "none"]
PLUS_HALF = 0.5  # a step, in locomotion
SMALLEST_SPREAD = 1e-12  # of a member's rewards, and of returns


@dataclass(frozen=True)
class LabelConfig:
    """What becomes of the members' rewards."""

    aggregate: Aggregate = "mean"
    """Of several members, each standardised: their mean, least (WCO), mean - pessimism variance (UWO), median, ..."""
    pessimism: float = 0.5
    """lambda of UWO."""
    shift: Shift = "plus_half"
    """Added to each step: 1/2 as in locomotion; -1, the lowest return at 0, as in AntMaze; or nothing."""
    return_span: float | None = None
    """What highest and lowest return then differ by, the task's limit of steps; the longest episode if not given."""

    def __post_init__(self) -> None:
        for name, known in (("aggregate", get_args(Aggregate)), ("shift", get_args(Shift))):
            if getattr(self, name) not in known:
                raise OffbenchError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.pessimism < 0:
            raise OffbenchError(f"pessimism must not be negative, as {self.pessimism} is")
        if self.return_span is not None and not self.return_span > 0:
            raise OffbenchError(f"return_span must be positive, not {self.return_span}")


# -------------------------------------------------------------------- members


def rewards(
    network: RewardNetwork,
    parameters: Parameters,
    trajectories: Trajectories,
    length: int,
    say: Say = lambda line: None,
) -> Float[Tensor, "seeds members steps"]:
    """What each member says of each step.

    A network that looks back sees the last ``length`` steps of the episode up to this one, and never those of another
    episode; at the beginning there are fewer. (Windows that are padded on the left and masked, as published, give the
    same numbers: nothing depends on what is masked, and times count from the first step that is not.)

    Args:
        network: of the members.
        parameters: (seeds, members, ...).
        trajectories: observations and actions that are vectors.
        length: of the segments that it was fitted to.
        say: hears how far it is.
    """
    flat = {name: value.flatten(0, 1) for name, value in parameters.items()}
    inputs = _Inputs(trajectories, flat["input.mean"].device, flat["input.mean"].dtype)
    length = length if network.looks_back else 1
    rows = len(flat["input.mean"])
    found = torch.empty(rows, trajectories.steps, device=inputs.device, dtype=inputs.dtype)
    many = max(1, room(inputs.device) // (length * network.width * rows))
    done, told = 0, 0
    with torch.no_grad():
        for steps, reached in first_windows(trajectories, length, many):
            given = network.rewards(flat, standardised(flat, inputs.at(steps)))
            found[:, torch.from_numpy(steps[reached]).to(inputs.device)] = given[:, torch.from_numpy(reached)]
            done += int(reached.sum())
        for ends in sliding_ends(trajectories, length, many):
            steps = ends[:, None] + np.arange(1 - length, 1)
            given = network.rewards(flat, standardised(flat, inputs.at(steps)), last=True)
            found[:, torch.from_numpy(ends).to(inputs.device)] = given[..., 0]
            done += len(ends)
            if done * 10 // trajectories.steps > told:
                told = done * 10 // trajectories.steps
                say(f"{NAME}: labelled {done:,} of {trajectories.steps:,} steps")
    return found.view(*parameters["input.mean"].shape[:2], -1)


class _Inputs:
    """States and actions of steps side by side, gathered a few at a time."""

    def __init__(self, trajectories: Trajectories, device: torch.device, dtype: torch.dtype) -> None:
        if trajectories.actions is None or trajectories.observations.ndim != 2:
            raise DataError(f"a {NAME} needs actions and observations that are vectors, unlike {trajectories.name}")
        self.trajectories, self.sources = trajectories, trajectories.sources
        self.device, self.dtype = device, dtype

    def at(self, steps: Int64[Array, "windows length"]) -> Float[Tensor, "1 windows length inputs"]:
        """Those of some windows."""
        assert self.trajectories.actions is not None
        columns = self.trajectories.observations[self.sources[steps]], self.trajectories.actions[steps]
        return torch.from_numpy(np.concatenate(columns, -1)).to(self.device, self.dtype).unsqueeze(0)


Windows = tuple[Int64[Array, "windows length"], Bool[Array, "windows length"]]


def first_windows(trajectories: Trajectories, length: int, many: int) -> list[Windows]:
    """The first ``length`` steps of each episode, ``many`` episodes at a time, and which of them there are.

    Behind the end of a shorter one its last step is repeated, which no step before depends on.
    """
    starts, lengths = trajectories.offsets[:-1], trajectories.lengths
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    reach = np.arange(min(length, int(lengths.max(initial=0))))
    parts = []
    for first in range(0, len(starts), many):
        own, ends = starts[first : first + many, None], lengths[first : first + many, None]
        parts.append((own + np.minimum(reach, ends - 1), reach < ends))
    return parts


def sliding_ends(trajectories: Trajectories, length: int, many: int) -> list[Int64[Array, " windows"]]:
    """The steps with ``length`` - 1 and more before them than fit the first window, ``many`` at a time."""
    places = np.arange(trajectories.steps) - np.repeat(trajectories.offsets[:-1], trajectories.lengths)
    ends = np.flatnonzero(places >= length)
    return [ends[first : first + many] for first in range(0, len(ends), many)]


# -------------------------------------------------------------------- aggregates


def standardised_members(
    members: Float[Tensor, "*stack members samples"], reference: Float[Tensor, "*stack members others"] | None = None
) -> Float[Tensor, "*stack members samples"]:
    """Less the mean and by the deviation that each member has over the reference, by default the samples themselves."""
    of = members if reference is None else reference
    spread = of.std(-1, correction=0, keepdim=True).clamp(min=SMALLEST_SPREAD)
    return (members - of.mean(-1, keepdim=True)) / spread


def aggregated(
    members: Float[Tensor, "*stack members samples"], how: Aggregate, pessimism: float = 0.5
) -> Float[Tensor, "*stack samples"]:
    """One number for what the members say; variance and deviation are those of the members as a population.

    Args:
        members: standardised, so that they count alike.
        how: their mean; "wco": the least of them; "uwo": mean - pessimism variance; median; mean - deviation.
        pessimism: lambda.
    """
    return _AGGREGATES[how](members, pessimism)


def _median(members: Tensor) -> Tensor:
    ordered, middle = members.sort(-2).values, members.shape[-2] // 2
    return 0.5 * (ordered.select(-2, middle) + ordered.select(-2, (members.shape[-2] - 1) // 2))


_AGGREGATES: dict[Aggregate, Callable[[Tensor, float], Tensor]] = {
    "mean": lambda members, pessimism: members.mean(-2),
    "wco": lambda members, pessimism: members.amin(-2),
    "uwo": lambda members, pessimism: members.mean(-2) - pessimism * members.var(-2, correction=0),
    "median": lambda members, pessimism: _median(members),
    "mean_minus_std": lambda members, pessimism: members.mean(-2) - members.std(-2, correction=0),
}


# -------------------------------------------------------------------- scale


def normalised(
    given: Float[Tensor, "seeds steps"], offsets: Int64[Array, " bounds"], config: LabelConfig
) -> Float[Tensor, "seeds steps"]:
    """Rewards whose returns span ``return_span``, then shifted.

    r <- r span / (R_max - R_min), R the returns of all episodes under r. For "minus_one", R_min / (steps of the
    episode) is subtracted from each step before, and 1 after.

    Raises:
        DataError: all returns are equal.
    """
    lengths = torch.from_numpy(np.diff(offsets)).to(given.device)
    sums = torch.zeros(len(given), len(lengths), device=given.device, dtype=torch.float64)
    episodes = torch.arange(len(lengths), device=given.device).repeat_interleave(lengths)
    sums.index_add_(1, episodes, given.double())
    returns = sums[:, lengths > 0]
    lowest, highest = returns.amin(1, keepdim=True), returns.amax(1, keepdim=True)
    if not bool((highest - lowest > SMALLEST_SPREAD * highest.abs().clamp(min=1)).all()):
        raise DataError(
            "all episodes have the same return under the learned rewards, so that these cannot be scaled by the range "
            "of returns; more episodes, or preferences that tell segments apart, would be right"
        )
    span = float(lengths.max()) if config.return_span is None else config.return_span
    wide = given.double()
    if config.shift == "minus_one":
        wide = wide - lowest / lengths.double()[episodes]
    wide = wide * (span / (highest - lowest))
    return (wide + {"plus_half": PLUS_HALF, "minus_one": -1.0, "none": 0.0}[config.shift]).to(given.dtype)


def labels(
    members: Float[Tensor, "seeds members steps"], offsets: Int64[Array, " bounds"], config: LabelConfig
) -> Float[Tensor, "seeds steps"]:
    """The rewards that a learner is given, see `aggregated` and `normalised`; a single member's are its own."""
    several = members.shape[1] > 1
    one = aggregated(standardised_members(members), config.aggregate, config.pessimism) if several else members[:, 0]
    return normalised(one, offsets, config)


def told(members: int, config: LabelConfig) -> str:
    """What was done to the members' rewards, in words."""
    made = {
        "mean": "the mean", "wco": "the least (WCO)", "uwo": f"mean - {config.pessimism:g} variance (UWO)",
        "median": "the median", "mean_minus_std": "mean - standard deviation",
    }[config.aggregate]  # fmt: skip
    of = f"{made} of {members} standardised members" if members > 1 else "those of one member"
    span = "the longest episode's steps" if config.return_span is None else f"{config.return_span:g}"
    shift = {
        "plus_half": "plus 1/2 a step",
        "minus_one": "the lowest return at 0, less 1 a step",
        "none": "not shifted",
    }[config.shift]
    return f"{of}, scaled so that returns span {span}, {shift}"
