"""Datasets that are made here, by the recipe of their card."""

from __future__ import annotations

from dataclasses import replace

from offbench.catalog.cards import Card
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.generation import recipes


def generate(card: Card, progress: recipes.Progress | None = None) -> Trajectories:
    """Generate the dataset of a card: float32, with its id, revision and task as provenance.

    Raises:
        UnknownNameError: the card names a recipe that does not exist.
        OffbenchError: the recipe does not take the card's arguments, or gives other returns or another number of steps
            than the card says.
    """
    assert card.recipe is not None
    assert card.task is not None  # a card with a recipe has one
    trajectories = recipes.generate(card.recipe, task(card.task), card.id, progress)
    if card.steps is not None and trajectories.steps != card.steps:
        raise OffbenchError(f"{card.id} came out with {trajectories.steps} steps; its card says {card.steps}")
    return replace(trajectories, provenance=Provenance(dataset=card.id, revision=card.revision, task=card.task))


def resized(card: Card, transitions: int) -> Card:
    """The card with another number of transitions, which makes it another dataset: its id says so.

    Raises:
        OffbenchError: the recipe counts episodes, or transitions < 1.
    """
    assert card.recipe is not None
    if card.recipe.transitions is None:
        raise OffbenchError(
            f"{card.id} is recorded by episodes, {card.recipe.episodes} of them, and not by transitions"
        )
    if transitions < 1:
        raise OffbenchError(f"transitions must be at least 1, not {transitions}")
    recipe = card.recipe.model_copy(update={"transitions": transitions})
    return card.model_copy(update={"id": f"{card.id}-{transitions}", "recipe": recipe, "steps": None})
