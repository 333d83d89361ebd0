"""``offbench leaderboard`` suites and suite: which there are, and what one takes."""

from __future__ import annotations

from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from offbench.basis.plain import plain
from offbench.catalog.cards import card
from offbench.leaderboard.suite import Suite, SuiteTask, suite, suites


def list_suites() -> None:
    """List the suites by name.

    Example: offbench leaderboard suites
    """
    table = Table("suite", "version", "tasks", "updates", "seeds", "what it is")
    for each in suites().values():
        numbers = str(each.version), str(len(each.tasks)), f"{each.steps:,}", str(each.seeds)
        table.add_row(each.name, *numbers, Text(plain(each.description)))
    Console().print(table)


def show_suite(name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SUITE")], /) -> None:
    """Show a suite: its tasks with what each may spend, what may be tuned, and what the whole takes.

    Examples:
        offbench leaderboard suite starter

    Args:
        name: Suite, or a TOML file with one.
    """
    chosen = suite(name)
    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(plain(text), markup=False)

    say(f"{chosen.title}, version {chosen.version}: {chosen.description}")
    say(f"Tuning: {chosen.tuning}")
    if chosen.kind == "time":
        say(f"Counted: seconds until the target, at least {chosen.runs} runs. Hardware: {chosen.hardware}")
    console.print(_tasks(chosen))
    updates = sum(chosen.steps_of(each) for each in chosen.tasks) * chosen.seeds
    episodes = sum(chosen.episodes_of(each) for each in chosen.tasks) * chosen.seeds
    say(
        f"In all {updates:,} updates and {episodes:,} episodes of the last evaluations, {chosen.seeds} seeds from 0 on."
    )
    if chosen.hidden:
        said = "the organiser has committed to it" if chosen.commitment else "nobody has committed to one yet"
        say(f"Hidden tasks: others like {', '.join(chosen.hidden)}, from a secret seed; {said}.")
    if chosen.kind == "time":
        say(f"To time it: offbench leaderboard time iql --suite {name}")
    elif not any(each.preferences or "?" in each.dataset for each in chosen.tasks):
        say(f"To run it: offbench leaderboard run {name} --algorithms iql")


def _tasks(chosen: Suite) -> Table:
    table = Table("dataset", "revision", "domain", "task", "updates", "episodes")
    is_time = chosen.kind == "time"
    if is_time:
        table.add_column("target")
    for each in chosen.tasks:
        numbers = f"{chosen.steps_of(each):,}", str(chosen.episodes_of(each))
        row = [_dataset(each), str(each.revision), each.domain, each.task or card(each.card_id).task or "", *numbers]
        table.add_row(*(Text(plain(cell)) for cell in row), *([str(each.target)] if is_time else []))
    table.columns[0].no_wrap = True  # names of datasets are copied from here
    return table


def _dataset(task: SuiteTask) -> str:
    if task.preferences is None:
        return task.dataset
    return f"{task.dataset}, {task.preferences.pairs} pairs of {task.preferences.length} steps for rewards"
