"""Which datasets and tasks there are, by the words that name them."""

from __future__ import annotations

from offbench.catalog.cards import Card, cards
from offbench.environments.task import tasks as all_tasks


def datasets(search: str = "") -> list[str]:
    """Ids of the datasets that all words of ``search`` name, in id, task or description; of all datasets if empty.

    `offbench.load` takes each of them, and ``offbench.card(id)`` says what it is: ``datasets("hopper medium")``.
    """
    return [each.id for each in found_cards(search)]


def tasks(search: str = "") -> list[str]:
    """Names of the tasks that all words of ``search`` name, in name, aliases or environment; of all tasks if empty.

    ``offbench.task(name)`` is the task: its environment, time limit and references.
    """
    return [
        name for name, each in all_tasks().items() if _named(search, " ".join((name, *each.aliases, each.environment)))
    ]


def found_cards(search: str) -> list[Card]:
    """The cards that all words of ``search`` name."""
    return [each for each in cards().values() if _named(search, f"{each.id} {each.task or ''} {each.description}")]


def _named(search: str, text: str) -> bool:
    """Whether every word stands in the text, in whatever order and case."""
    return all(word in text.lower() for word in search.lower().split())
