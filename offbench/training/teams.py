"""Who does the work of a run: this process, or workers that are handed its plan, its data and its memory."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

from offbench.algorithms import registry
from offbench.basis.sharing import SharedMemory
from offbench.data.learned import Learned
from offbench.environments.task import Task
from offbench.training.crew import Alone, Crew, Team
from offbench.training.folder import RunFolder
from offbench.training.group import Group
from offbench.training.handing import handed
from offbench.training.plan import Plan, config_of
from offbench.training.work import Work


class _HasClose(Protocol):
    def close(self) -> None: ...


Closable = TypeVar("Closable", bound=_HasClose)


@contextmanager
def team(
    workers: int,
    work: Work,
    plan: Plan,
    task: Task | None,
    groups: Sequence[Group] = (),
    data: Learned | None = None,
    folder: RunFolder | None = None,
) -> Iterator[Team]:
    """Whoever does ``work`` for the length of the block: this process, or ``workers`` if that is not 0.

    Args:
        workers: processes beside this one.
        work: what this process would do.
        plan: of the run.
        task: what is scored in.
        groups: whose states move into memory that the workers see.
        data: what is learned from; mapped by the workers from the file that they lie in, or from one in ``folder``.
        folder: of the run, for data that lie in no file.

    Raises:
        OffbenchError: data that lie in no file cannot be written to the folder.
    """
    if not workers:
        with _closed(Alone(work)) as alone:
            yield alone
        return
    # Of the work, this process may do a part.
    with _closed(work), _crew(workers, plan, task, groups, data, folder) as crew:
        yield crew


@contextmanager
def _crew(
    workers: int,
    plan: Plan,
    task: Task | None,
    groups: Sequence[Group],
    data: Learned | None,
    folder: RunFolder | None,
) -> Iterator[Crew]:
    """Workers that are handed the states of the groups, the plan and the data."""
    memory = SharedMemory(sum(group.room for group in groups))
    offset = 0
    for group in groups:
        offset = group.share(memory.tensor(), offset, keep=True)
    order: dict[str, Any] = {
        "plan": plan.model_dump(mode="json"),
        "task": task and task.model_dump(mode="json"),
        "data": None,
        "memory": memory.descriptor,
        "bytes": memory.size,
        "ahead": any(group.ahead for group in groups),
    }
    with ExitStack() as stack:
        if data is not None:
            assert folder is not None
            order["data"] = stack.enter_context(handed(data, plan.dataset_digest, folder.path))
        with _closed(Crew(workers, order, [memory.descriptor])) as crew:
            yield crew


@contextmanager
def _closed(some: Closable) -> Iterator[Closable]:
    try:
        yield some
    finally:
        some.close()


def obstacle(found: Any, config: Any, plan: Plan) -> str | None:
    """Why this algorithm cannot be handed to another process; None where it can."""
    if os.name != "posix":
        return "this system shares no memory by descriptor"
    module = registry.title(found).partition(":")[0]
    try:
        importable = module != "__main__" and importlib.util.find_spec(module) is not None
        same = importable and registry.find(plan.algorithm) is found
    except (ImportError, ValueError):
        same = False
    if not same:
        return f"{registry.title(found)} cannot be imported by another process; write it to a file"
    if config_of(found, plan.config) != config:
        return f"the hyperparameters of {plan.algorithm} do not come back from what a record holds of them"
    return None
