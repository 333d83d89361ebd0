"""PAL, Chen et al. 2024 (arXiv 2406.08469): raters as mixtures of a few prototypical ones, each with an ideal point.

A segment's embedding is f(x) = x + g(x), with x the standardised mean of (state, action) over its steps and g a network
of one hidden layer. There are K prototypes p_k in the space of x; rater u wants what is near to

    a_u = f(Σ_k w_uk p_k),   w_u = softmax of K numbers of the rater's own.

The margin of a pair is m = ‖f(x_first) - a_u‖ - ‖f(x_second) - a_u‖: positive where the second is nearer, and with y
the share by which the second is preferred

    smooth hinge    y h(m) + (1 - y) h(-m),  h(t) = (1 - t)₊² / (2γ) for t ≥ 1 - γ, else 1 - γ/2 - t,  γ = 5
    cross-entropy   BCE(σ(exp(c) m), y), exp(c) learned, at first 1 / 0.07 and at most 100.

This is PAL-A with distances. One variant of the authors' code (``dist_logistic``) gives the farther segment the higher
logit; here nearer is better throughout. A new rater is learned by the K numbers alone, from a few pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.errors import OffbenchError
from offbench.labelling.rated import Scale, raters_of
from offbench.nn.adam import Adam
from offbench.nn.bradley_terry import cross_entropies
from offbench.nn.gradients import Networks, gradients
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.random import stream

Loss = Literal["hinge", "cross-entropy"]
SMOOTH = 5.0  # γ of the hinge
_FIRST_SCALE, _MOST_SCALE = math.log(1 / 0.07), math.log(100.0)


@dataclass(frozen=True)
class PALConfig:
    """Hyperparameters.

    Raises:
        OffbenchError: a number out of range.
    """

    prototypes: int = 2
    """K."""
    loss: Loss = "cross-entropy"
    """What pairs are fitted by."""
    hidden: int = 256
    """Units of the hidden layer of g."""
    batch_size: int = 256
    """Pairs in a batch."""
    updates: int = 2000
    """Steps of Adam."""
    rater_updates: int = 300
    """Steps of Adam for a new rater."""
    mixture_rate: float = 5e-3
    """Learning rate of prototypes, weights and logit scale."""
    embedding_rate: float = 1e-4
    """Learning rate of g."""
    embedding_decay: float = 0.01
    """Weight decay of g."""

    def __post_init__(self) -> None:
        positive = ("prototypes", "hidden", "batch_size", "updates", "rater_updates", "mixture_rate", "embedding_rate")
        wrong = [name for name in positive if not getattr(self, name) > 0]
        if wrong:
            raise OffbenchError(f"{wrong[0]} of PAL is {getattr(self, wrong[0])}; a positive number would be right")


@dataclass(frozen=True, eq=False)
class Fitted:
    """Fitted models of all seeds.

    Attributes:
        parameters: "embedding" of g; "mixture" with ``prototypes`` (seeds, K, size), ``weights`` (seeds, raters, K),
            before the softmax, and ``scale`` (seeds,).
        raters: the number of each rater, in the order of the weights.
    """

    config: PALConfig
    network: MLP
    parameters: Networks
    scale: Scale
    raters: Int[Array, " raters"]

    def predict(
        self, pairs: Preferences, weights: Float[Tensor, "seeds K"] | None = None
    ) -> Float[Tensor, "seeds pairs"]:
        """The margin of each pair: positive where its rater prefers the second.

        Args:
            pairs: of raters that were fitted, or of one whose weights are given.
            weights: of a new rater, see `rater`.

        Raises:
            DataError: no weights are given and the pairs have no raters.
            OffbenchError: a rater that was not fitted.
        """
        mixture = self.parameters["mixture"]
        places = np.zeros(len(pairs), np.int64)
        if weights is None:
            known, rows = raters_of(pairs)
            unknown = np.setdiff1d(known, self.raters)
            if len(unknown):
                raise OffbenchError(f"rater {unknown[0]} was not fitted; fit its weights with rater()")
            places = np.searchsorted(self.raters, known)[rows]
        own = mixture["weights"] if weights is None else weights.unsqueeze(1)
        seeds = len(mixture["prototypes"])
        with torch.no_grad():
            present = self.parameters | {"mixture": mixture | {"weights": own}}
            rows_of = torch.from_numpy(places).expand(seeds, -1)
            sides = [
                each.expand(seeds, *each.shape) for each in _features(pairs, self.scale, mixture["prototypes"].dtype)
            ]
            return margins(self.network, present, sides[0], sides[1], rows_of)

    def rater(self, pairs: Preferences) -> Float[Tensor, "seeds K"]:
        """The weights, before the softmax, of a new rater who compared these pairs; all else stays as it is."""
        mixture = self.parameters["mixture"]
        seeds, dtype = len(mixture["prototypes"]), mixture["prototypes"].dtype
        sides = [each.expand(seeds, *each.shape) for each in _features(pairs, self.scale, dtype)]
        labels = torch.from_numpy(np.array(pairs.labels)).to(dtype).expand(seeds, -1)
        places = torch.zeros(seeds, len(pairs), dtype=torch.int64)
        own: Networks = {"rater": {"weights": torch.zeros(seeds, 1, self.config.prototypes, dtype=dtype)}}

        def loss(present: Networks) -> tuple[Tensor, None]:
            whole = self.parameters | {"mixture": mixture | present["rater"]}
            found = margins(self.network, whole, sides[0], sides[1], places)
            return losses(found, labels, self.config.loss, mixture["scale"]).mean(1).sum(), None

        adam = Adam(own["rater"], self.config.mixture_rate * 10)  # K numbers alone: they may move faster than all
        for _ in range(self.config.rater_updates):
            adam.update(own["rater"], gradients(loss, own)[0]["rater"])
        return own["rater"]["weights"][:, 0]


def fit(
    preferences: Preferences, config: PALConfig, seeds: Sequence[int], dtype: torch.dtype = torch.float32
) -> Fitted:
    """Fit to pairs that carry raters; each seed decides its weights and batches.

    Raises:
        DataError: no raters.
    """
    known, places = raters_of(preferences)
    scale = Scale.of(*(_means(side) for side in (preferences.first, preferences.second)))
    first, second = _features(preferences, scale, dtype)
    labels = torch.from_numpy(np.array(preferences.labels)).to(dtype)
    size = first.shape[-1]
    network = MLP(size, (config.hidden,), size)
    parameters: Networks = {
        "embedding": {
            name: value.to(dtype) for name, value in network.initialise(seeds, "pal/g", output_bound=1e-2).items()
        },
        "mixture": _mixture(seeds, config.prototypes, size, len(known), dtype),
    }
    adams = {
        "embedding": Adam(parameters["embedding"], config.embedding_rate, weight_decay=config.embedding_decay),
        "mixture": Adam(parameters["mixture"], config.mixture_rate),
    }
    drawing = [stream(seed, "pal/pairs") for seed in seeds]
    for _ in range(config.updates):
        rows = np.stack([each.integers(len(labels), size=config.batch_size) for each in drawing])
        loss = _loss(network, first[rows], second[rows], labels[rows], torch.from_numpy(places[rows]), config.loss)
        found, _ = gradients(loss, parameters)
        for name, adam in adams.items():
            adam.update(parameters[name], found[name])
    return Fitted(config, network, parameters, scale, known)


def margins(
    network: MLP,
    parameters: Networks,
    first: Float[Tensor, "seeds pairs size"],
    second: Float[Tensor, "seeds pairs size"],
    places: Int[Tensor, "seeds pairs"],
) -> Float[Tensor, "seeds pairs"]:
    """m of each pair, whose rater's weights stand at ``places``."""
    mixture, embedding = parameters["mixture"], parameters["embedding"]
    points = torch.softmax(mixture["weights"], -1) @ mixture["prototypes"]
    ideals = points + network(embedding, points)
    wanted = ideals.gather(1, places.unsqueeze(-1).expand(-1, -1, ideals.shape[-1]))
    far = [(each + network(embedding, each) - wanted).square().sum(-1).add(1e-12).sqrt() for each in (first, second)]
    return far[0] - far[1]


def smooth_hinge(t: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """h: 0 from 1 on, a parabola down to 1 - γ, and a line below."""
    return torch.where(t >= 1 - SMOOTH, (1 - t).clamp(min=0) ** 2 / (2 * SMOOTH), 1 - SMOOTH / 2 - t)


def losses(
    margin: Float[Tensor, "seeds pairs"],
    labels: Float[Tensor, "seeds pairs"],
    kind: Loss,
    scale: Float[Tensor, " seeds"],
) -> Float[Tensor, "seeds pairs"]:
    """The loss of each pair; ``scale`` is c."""
    if kind == "hinge":
        return labels * smooth_hinge(margin) + (1 - labels) * smooth_hinge(-margin)
    logits = scale.clamp(max=_MOST_SCALE).exp().unsqueeze(1) * margin
    return cross_entropies(logits, labels)


def _loss(
    network: MLP, first: Tensor, second: Tensor, labels: Tensor, places: Tensor, kind: Loss
) -> Callable[[Networks], tuple[Tensor, None]]:
    def loss(present: Networks) -> tuple[Tensor, None]:
        found = margins(network, present, first, second, places)
        return losses(found, labels, kind, present["mixture"]["scale"]).mean(1).sum(), None

    return loss


def _mixture(seeds: Sequence[int], prototypes: int, size: int, raters: int, dtype: torch.dtype) -> Parameters:
    generators = [stream(seed, "initialise", "pal/mixture") for seed in seeds]
    points = np.stack([each.standard_normal((prototypes, size)) for each in generators])
    weights = np.stack([each.standard_normal((raters, prototypes)) for each in generators])
    return {
        "prototypes": torch.from_numpy(points).to(dtype),
        "weights": torch.from_numpy(weights).to(dtype),
        "scale": torch.full((len(seeds),), _FIRST_SCALE, dtype=dtype),
    }


def _means(side: Segments) -> Float[Array, "pairs size"]:
    """The mean over the steps of a segment of state and action."""
    seen = side.observations.reshape(*side.observations.shape[:2], -1)
    means: Array = np.concatenate([seen, side.actions], axis=2).mean(1, dtype=np.float64)
    return means


def _features(preferences: Preferences, scale: Scale, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return scale(_means(preferences.first), dtype), scale(_means(preferences.second), dtype)
