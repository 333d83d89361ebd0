"""Names of D4RL: which there are, their tasks and reference scores."""

from __future__ import annotations

from typing import Any

import gymnasium

from offbench.catalog.cards import Card, cards
from offbench.environments.task import Task, task
from offbench.errors import UnknownNameError

_PREFIX = "d4rl/"
_ENTRY_POINT = "offbench.d4rl.environment:OfflineEnvironment"


def names() -> list[str]:
    """The names of D4RL that can be made into an environment: those of cards with files and a task."""
    return [each.id.removeprefix(_PREFIX) for each in cards().values() if _is_made(each)]


def register() -> list[str]:
    """Make every name known to Gymnasium; names that are known already stay as they are. Returns the new ones."""
    new = [name for name in names() if name not in gymnasium.registry]
    for name in new:
        # The environment brings its own time limit. Any wrapper around it would hide get_dataset.
        gymnasium.register(
            id=name, entry_point=_ENTRY_POINT, order_enforce=False, disable_env_checker=True, kwargs={"dataset": name}
        )
    return new


def card_of(name: str) -> Card:
    """The card of a name of D4RL.

    Raises:
        UnknownNameError: there is none.
    """
    found = cards().get(_PREFIX + name)
    if found is None or not _is_made(found):
        raise UnknownNameError("dataset of D4RL", name, names())
    return found


def task_of(name: str) -> Task:
    """The task of a name of D4RL."""
    found = card_of(name).task
    assert found is not None
    return task(found)


def score(name: str, value: Any) -> Any:
    """D4RL's get_normalized_score: (return - random) / (expert - random), a fraction, elementwise on arrays."""
    low, high = task_of(name).low.mean, task_of(name).high.mean
    return (value - low) / (high - low)


def reverse_score(name: str, value: Any) -> Any:
    """D4RL's reverse_normalized_score: the return that has this score, elementwise on arrays."""
    low, high = task_of(name).low.mean, task_of(name).high.mean
    return value * (high - low) + low


def _is_made(card: Card) -> bool:
    return card.id.startswith(_PREFIX) and card.reader == "d4rl" and len(card.files) == 1 and card.task is not None
