"""Contrastive preference learning (CPL), Hejna et al. 2023 (arXiv 2310.13639): a policy from comparisons, no reward.

People are taken to prefer the segment of less regret, not that of more reward. In a maximum-entropy problem the
advantage of an action is alpha log pi*(a | s), so that the sums of it over two segments tell which is preferred, and
maximising the likelihood of what was said trains the policy itself. The policy is deterministic; -|pi(s) - a|^2 stands
for its log-probability, that of a Gaussian of fixed width up to constants, and sums are not discounted.

Constants and order are those of the official code (jhejna/cpl, mw_state_sparse): behaviour cloning on both segments of
every pair for two fifths of the run, then the optimiser begins anew, with a warm-up, on the comparisons. There both
parts are counted in updates (200,000 and 10,000 of 500,000); here they are shares of the run. The warm-up reaches its
first rate in the first update, where the official one begins with 0. Weights are orthogonal with gain sqrt(2), there
with gain 1. Learning from a ranking of all segments of a batch (its "dense" data) is not here: pairs are given.

Its variants: CPL(BC) is ``bc_coefficient=1, contrastive_bias=1``; CPL-KL ``objective="cpl_kl", alpha=0.2,
contrastive_bias=0.75, rate_factor=0.1``, whose advantage is measured against the cloned policy; SFT
``objective="sft"``, which goes on cloning, the preferred segments alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, View, copy, within
from offbench.data.partial_views import Compared, ComparedBatch
from offbench.data.preferences import Preferences
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.noise import dropout_masks
from offbench.nn.policies import TanhMeanPolicy


@dataclass(frozen=True)
class CPLConfig:
    """Hyperparameters of CPL."""

    alpha: float = 0.1
    """Temperature: the advantage of an action is alpha times its log-probability."""
    contrastive_bias: float = 0.5
    """lambda: what the other segment's advantage counts in a comparison; 1 is the plain logistic."""
    objective: Literal["cpl", "cpl_kl", "sft"] = "cpl"
    """After cloning: compare, compare against the cloned policy, or clone the preferred segments."""
    bc_coefficient: float = 0.0
    """Weight of cloning beside the comparisons."""
    bc_share: float = 0.4
    """Share of the updates that clone both segments of every pair, before anything is compared."""
    warmup_share: float = 0.02
    """Share of the updates over which the learning rate rises once cloning has ended."""
    rate_factor: float = 1.0
    """What the learning rate is multiplied by once cloning has ended."""
    hidden: tuple[int, ...] = (512, 512)
    """Sizes of the hidden layers."""
    dropout: float = 0.25
    """Share of hidden units dropped in training."""
    learning_rate: float = 1e-4
    """Learning rate of Adam."""
    batch_size: int = 96
    """Pairs a seed in one update."""
    normalise_states: bool = False
    """Standardise states by their mean and standard deviation over the data."""

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 0, float("inf"), open_low=True)
        within("contrastive_bias", self.contrastive_bias, 0, 1, open_low=True)
        within("bc_coefficient", self.bc_coefficient, 0, float("inf"))
        within("bc_share", self.bc_share, 0, 1)
        within("warmup_share", self.warmup_share, 0, 1)
        within("rate_factor", self.rate_factor, 0, float("inf"), open_low=True)
        within("dropout", self.dropout, 0, 1, open_high=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)


class CPL(Algorithm):
    """One deterministic policy, and for CPL-KL the one that it was when cloning ended."""

    Config = CPLConfig
    view: ClassVar[Callable[..., View]] = Compared
    requires: ClassVar[tuple[str | type, ...]] = (Preferences,)
    metrics: ClassVar[tuple[str, ...]] = ("actor_loss", "bc_loss")
    config: CPLConfig
    quick: ClassVar[Mapping[str, Any]] = {"dropout": 0.0}

    def build(self) -> None:
        """The policy, and the updates at which what it learns changes."""
        c = self.config
        self.cloning = round(c.bc_share * self.total)  # updates
        self.warmup = max(1, round(c.warmup_share * self.total))
        self.actor = TanhMeanPolicy(MLP(self.sizes.observation, c.hidden, self.sizes.action))
        actor = self.actor.initialise(self.seeds, "actor", "orthogonal")
        self.add("actor", actor, c.learning_rate, self._rate)
        if c.objective == "cpl_kl":
            self.add("reference", copy(actor), None)

    def _rate(self, done: Float64[Tensor, ""]) -> Float64[Tensor, ""]:
        """The factor of the learning rate: 1 in cloning, then a warm-up; in SFT always 1."""
        rising = ((self.count - self.cloning + 1).to(torch.float64) / self.warmup).clamp(max=1)
        later = torch.ones_like(done) if self.config.objective == "sft" else self.config.rate_factor * rising
        return torch.where(self.count < self.cloning, torch.ones_like(done), later)

    def before(self, update: int, data: View) -> None:
        """Where cloning has ended, begin the optimiser anew and keep the policy as the reference."""
        if update != self.cloning or self.config.objective == "sft":
            return
        for value in self.optimisers["actor"].state().values():
            value.zero_()
        if self.config.objective == "cpl_kl":
            for name, value in self.networks["reference"].items():
                value.copy_(self.networks["actor"][name])

    def losses(self, networks: Networks, batch: ComparedBatch) -> Metrics:
        """Cloning at first; then L = L_CPL + c L_BC, or L_BC of what is preferred. L_BC is also told."""
        c = self.config
        s = torch.cat([batch.first_observations, batch.second_observations], 1)  # (seeds, 2 pairs, length, ...)
        a = torch.cat([batch.first_actions, batch.second_actions], 1)
        flat = s.flatten(1, 2)
        masks = dropout_masks(self.keys, self.count, c.hidden, flat.shape[1], c.dropout) if c.dropout > 0 else None
        log_prob = self._log_prob(networks["actor"], flat, a, masks)
        cloning = -log_prob.mean((1, 2))  # L_BC = E |pi(s) - a|^2
        if c.objective == "sft":
            later = -preferred_mean(log_prob, batch.labels)
        else:
            compared = log_prob
            if c.objective == "cpl_kl":
                compared = log_prob - self._log_prob(self.networks["reference"], flat, a).detach()
            first, second = (c.alpha * compared.sum(-1)).chunk(2, 1)
            later = biased_logistic(first, second, batch.labels, c.contrastive_bias).mean(-1)
            later = later + c.bc_coefficient * cloning
        loss = torch.where(self.count < self.cloning, cloning, later)
        return {"actor_loss": loss, "bc_loss": cloning.detach()}

    def _log_prob(
        self,
        actor: Parameters,
        s: Float[Tensor, "seeds steps observation"],
        a: Float[Tensor, "seeds segments length action"],
        masks: list[Float[Tensor, "seeds steps _"]] | None = None,
    ) -> Float[Tensor, "seeds segments length"]:
        """-|pi(s) - a|^2, what stands for log pi(a | s), of the steps of segments one after another."""
        return -((self.actor.mean(actor, s, masks).view(a.shape) - a) ** 2).sum(-1)

    def update(self, batch: ComparedBatch) -> Metrics:
        """One Adam step."""
        return self.descend(self.losses, ["actor"], batch)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """pi(s), nothing dropped."""
        return self.actor.mean(self.networks["actor"], observations)


def biased_logistic(
    first: Float[Tensor, "seeds pairs"],
    second: Float[Tensor, "seeds pairs"],
    labels: Float[Tensor, "seeds pairs"],
    bias: float,
) -> Float[Tensor, "seeds pairs"]:
    """-y log sigma(A_2 - lambda A_1) - (1 - y) log sigma(A_1 - lambda A_2).

    first, second: A_1 and A_2, the advantages of segments; labels: y, 1 where the second is preferred; bias: lambda.
    """
    log_sigma = torch.nn.functional.logsigmoid
    return -labels * log_sigma(second - bias * first) - (1 - labels) * log_sigma(first - bias * second)


def preferred_mean(
    log_prob: Float[Tensor, "seeds segments length"], labels: Float[Tensor, "seeds pairs"]
) -> Float[Tensor, " seeds"]:
    """The mean over the steps of preferred segments, of a tie both; the first segments stand before the second ones."""
    kept = torch.cat([labels <= 0.5, labels >= 0.5], 1).to(log_prob.dtype)
    return (log_prob.mean(-1) * kept).sum(-1) / kept.sum(-1)
