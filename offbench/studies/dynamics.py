"""The dynamics study: what value-aware fitting, hold-out errors and a smoothed critic come to at a small scale.

Three experiments, of which each part is a record of its own: `distractors`, `mismatch` and `single_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from offbench.evaluation.rollout import one_torch_thread
from offbench.studies import distractors, mismatch, single_model
from offbench.studies.drawing import Say

Record = dict[str, Any]
PARTS = ("distractors", "mismatch", *(f"single-model-{variant}" for variant in single_model.VARIANTS))


@dataclass(frozen=True)
class Budget:
    """How much is done.

    Attributes:
        distractor_epochs: of each small model among distractors, 13 updates each.
        distractor_seeds: of each of those.
        mismatch_episodes: that the models are fitted to and policies branch off from.
        mismatch_seeds: models and policies of each checkpoint.
        mismatch_updates: of each policy.
        model_epochs: of the models of the single-model comparison.
        model_seeds: models and policies of each of its variants.
        model_updates: of each policy.
        evaluations: of every policy over its training.
    """

    distractor_epochs: int
    distractor_seeds: int
    mismatch_episodes: int
    mismatch_seeds: int
    mismatch_updates: int
    model_epochs: int
    model_seeds: int
    model_updates: int
    evaluations: int


BUDGETS: Mapping[str, Budget] = {
    "small": Budget(230, 3, 50, 2, 3000, 60, 3, 3000, 6),
    "full": Budget(230, 10, 500, 5, 20_000, 200, 10, 20_000, 10),
}


def run(part: str, budget: Budget, say: Say) -> Record:
    """The record of one of ``PARTS``, plain numbers with the budget that it is of."""
    b = budget
    with one_torch_thread():
        if part == "distractors":
            found = distractors.run(b.distractor_epochs, b.distractor_seeds, say)
        elif part == "mismatch":
            found = mismatch.run(b.mismatch_episodes, b.mismatch_seeds, b.mismatch_updates, b.evaluations, say)
        else:
            variant = part.removeprefix("single-model-")
            found = single_model.run(variant, b.model_seeds, b.model_epochs, b.model_updates, b.evaluations, say)
    return {"budget": asdict(budget), **found}
