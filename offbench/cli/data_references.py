"""``offbench data references``: the two reference returns of a task of one's own, measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from offbench.basis.foreign import foreign
from offbench.basis.policy import Policy
from offbench.cli.data_sources import whole
from offbench.environments.own_tasks import read_task
from offbench.environments.protocol import Simulator
from offbench.environments.task import Reference
from offbench.errors import OffbenchError

# What simulates and what learns takes seconds to import, and every command of data imports this file.
if TYPE_CHECKING:
    from offbench.generation.references import Builder

COMMAND = "offbench data references"
UNMEASURED = """\
# The high reference was not measured: --policy module:Class or --data DATASET does, or write in what was published:
# [high]
# mean = 0.0
# policy = "what acted"
# source = "who measured it and how"
"""


def measure_references(
    file: Annotated[Path, tyro.conf.Positional],
    /,
    policy: str | None = None,
    data: str | None = None,
    episodes: int = 1000,
) -> None:
    """Measure the reference returns of a task of one's own, and print what to paste into its file.

    The low one is that of actions drawn uniformly between the bounds. The high one is that of a policy, or the mean
    return of data that a good one recorded.

    Examples:
        offbench data references mine.toml
        offbench data references mine.toml --policy experts:Balancer

    Args:
        file: TOML file with the task: environment (an id, or module:Class) and episode_limit at least.
        policy: What earns the high reference, as module:Class: made without arguments, it has act(observations).
        data: Dataset or file whose mean return is the high reference.
        episodes: Episodes of each policy.
    """
    from offbench.generation.references import LOW, measure, toml

    if episodes < 2:
        raise OffbenchError(f"episodes must be at least 2, so that there is a standard error, not {episodes}")
    if policy is not None and data is not None:
        raise OffbenchError("give --policy or --data for the high reference, not both")
    task = read_task(file, referenced=False)
    high = None
    if policy is not None:
        high = _named(measure(task, _builder(policy), policy, episodes))
    elif data is not None:
        high = _recorded(data)
    low = _named(measure(task, *LOW, episodes=episodes))
    print(toml("", low=low) if high is None else toml("", low=low, high=high))
    if high is None:
        print(UNMEASURED)
    elif not low.mean < high.mean:
        print(f"note: the high reference is not above the low one, so {file} is no task with them", file=sys.stderr)


def _named(reference: Reference) -> Reference:
    """The same, with the command that measured it."""
    from offbench.generation.references import SOURCE

    return reference.model_copy(update={"source": reference.source.replace(SOURCE, f"measured by {COMMAND}")})


def _builder(name: str) -> Builder:
    """What makes a policy named ``module:Class`` for a batch of episodes."""
    from offbench.training.elsewhere import named_policy

    made = named_policy(name)

    def build(simulator: Simulator, seeds: Sequence[int]) -> Policy:
        from offbench.training.learner import CheckedPolicy

        with foreign(name, lambda why: f"the policy {name} cannot be made without arguments: {why}"):
            return CheckedPolicy(made(), name, len(simulator.action_low))

    return build


def _recorded(data: str) -> Reference:
    """The mean return of the episodes of a dataset whose end is known."""
    from offbench.generation.references import summarised

    found = whole(data).finished
    if found.rewards is None or len(found) < 2:
        raise OffbenchError(f"{data} has not two finished episodes with rewards, whose mean return could be taken")
    return summarised(found.returns, f"whoever recorded {Path(data).name}", f"mean return of the data, by {COMMAND}")
