"""Datasets by the recipe of their card: what the card adds, and what it must be right about."""

from __future__ import annotations

import pytest

from offbench.catalog.cards import Card, card
from offbench.catalog.generated import generate, resized
from offbench.errors import OffbenchError
from offbench.generation.recipe import Recipe

SWINGUP = "offbench/pendulum/swingup-v0"


def small(steps: int = 800) -> Card:
    original = card(SWINGUP)
    assert original.recipe is not None
    recipe = original.recipe.model_copy(update={"episodes": 4})
    return original.model_copy(update={"steps": steps, "recipe": recipe, "revision": 7})


def test_the_card_is_the_provenance() -> None:
    made = generate(small()).provenance
    assert (made.dataset, made.revision, made.task) == (SWINGUP, 7, "pendulum")


def test_another_number_of_steps_than_the_cards_is_an_error() -> None:
    with pytest.raises(OffbenchError, match=f"{SWINGUP} came out with 800 steps; its card says 801"):
        generate(small(801))


def random(transitions: int) -> Card:
    recipe = Recipe(name="behaviours", seed=0, transitions=transitions, arguments={"rungs": ["random"]})
    return Card(id="test/pendulum-v0", task="pendulum", description="", recipe=recipe)


def test_a_resized_dataset_has_another_name_and_more_of_the_same() -> None:
    more = resized(random(200), 700)
    assert more.id == "test/pendulum-v0-700"
    made = generate(more)
    assert (made.steps, made.provenance.dataset) == (800, more.id)
    assert made[:1].digest == generate(random(200)).digest


def test_what_cannot_be_resized_is_said() -> None:
    with pytest.raises(OffbenchError, match=f"{SWINGUP} is recorded by episodes, 500 of them"):
        resized(card(SWINGUP), 50)
    with pytest.raises(OffbenchError, match="transitions must be at least 1, not 0"):
        resized(random(200), 0)
