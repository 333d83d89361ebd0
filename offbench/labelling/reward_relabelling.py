"""A dataset with learned rewards, which says which model they are of and what that learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench import __version__
from offbench.data.learned import check_kind
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.scaling import ActionRange
from offbench.data.trajectories import Trajectories
from offbench.labelling.reward_fitting import fitted, padded, parted
from offbench.labelling.reward_labels import LabelConfig, labels, rewards, told
from offbench.labelling.reward_models import NAME, Compared, RewardConfig, described
from offbench.labelling.store import Say
from offbench.nn.bradley_terry import accuracies, cross_entropies
from offbench.nn.mlp import Parameters


@dataclass(frozen=True)
class RelabelConfig(LabelConfig, RewardConfig):
    """How reward models are fitted, and what becomes of what they say."""

    def __post_init__(self) -> None:
        LabelConfig.__post_init__(self)
        RewardConfig.__post_init__(self)

    @property
    def reward(self) -> RewardConfig:
        """How they are fitted."""
        return RewardConfig(**{field.name: getattr(self, field.name) for field in fields(RewardConfig)})


class Quality(NamedTuple):
    """How models judge the pairs that their seeds hold out.

    Attributes:
        accuracy: over pairs without a tie; NaN where there is none.
        cross_entropy: over all pairs, in nats.
        pairs: held out, and fitted to.
    """

    accuracy: Float[Tensor, "seeds members"]
    cross_entropy: Float[Tensor, "seeds members"]
    pairs: list[tuple[int, int]]

    def sentence(self, row: int) -> str:
        """What a seed's members are worth."""
        held, kept = self.pairs[row]
        if held == 0:
            return f"fitted to {kept} pairs, none held out"
        return (
            f"fitted to {kept} pairs; of {held} held out (they chose among parameters) accuracy "
            f"{float(self.accuracy[row].mean()):.3f}, cross-entropy {float(self.cross_entropy[row].mean()):.3f}"
        )


def held_out_quality(
    preferences: Preferences, config: RewardConfig, parameters: Parameters, seeds: Sequence[int]
) -> Quality:
    """How the members of each seed judge the pairs that it held out, which chose among their parameters.

    parameters: (seeds, members, ...).
    """
    cases = [parted(preferences, np.arange(len(preferences)), config, seed) for seed in seeds]
    counts = [(len(case.held_out), len(case.fitted_to)) for case in cases]
    mean = parameters["input.mean"]
    shape = mean.shape[:2]
    if counts[0][0] == 0:
        nothing = torch.full(shape, torch.nan)
        return Quality(nothing, nothing, counts)
    compared = Compared(preferences, config, mean.device, mean.dtype)
    pairs = torch.from_numpy(padded([case.held_out for case in cases])[0]).to(mean.device)
    given = torch.from_numpy(np.array(preferences.labels)).to(mean.device, mean.dtype)[pairs].unsqueeze(1)
    flat = {name: value.flatten(0, 1) for name, value in parameters.items()}
    judged = compared.differences(flat, pairs.repeat_interleave(shape[1], 0)).view(*shape, -1)
    return Quality(accuracies(judged, given.expand_as(judged)), cross_entropies(judged, given).mean(-1), counts)


def relabel_rewards(
    data: PreferenceData,
    config: RelabelConfig,
    seed: int = 0,
    say: Say = lambda line: None,
    action_range: ActionRange | None = None,
    device: str | torch.device = "cpu",
) -> Trajectories:
    """The trajectories with rewards of the models of one seed, from the cache folder or fitted now.

    Args:
        data: what is labelled, and the pairs that the models learn from.
        config: how the models are fitted, and what becomes of what they say.
        seed: of the models.
        say: hears what is done.
        action_range: counts for nothing: the models see actions in the environment's units.
        device: where.

    Raises:
        DataError: data without preferences, too few pairs, or rewards that cannot be scaled.
        OffbenchError: the models cannot be fitted.
    """
    check_kind(PreferenceData, data, f"a {NAME}")
    pairs, t = data.preferences, data.trajectories
    made = fitted(pairs, config.reward, [seed], say, device)
    network = config.network(pairs.first.observations.shape[-1], pairs.first.actions.shape[-1])
    members = rewards(network, made.parameters, t, pairs.length, say)
    found = labels(members, t.offsets, config)[0].float().cpu().numpy()
    quality = held_out_quality(pairs, config.reward, made.parameters, [seed]).sentence(0)
    digest = hashlib.sha256(json.dumps(described(config), sort_keys=True).encode()).hexdigest()
    origin = [note for note in pairs.provenance.notes if note not in t.provenance.notes]
    notes = [
        f"rewards are those of a {NAME} ({config.model}, config {digest[:16]}, seed {seed}, offbench {__version__}): "
        f"{told(config.members, config)}",
        f"the {NAME} was {quality}; the preferences' digest is {pairs.digest}"
        + (f", and of them is known: {'; '.join(origin)}" if origin else ""),
    ]
    return replace(t, rewards=found).noted(*notes, dataset=f"{t.name}, rewards by {NAME}")
