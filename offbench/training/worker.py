"""A worker process: it is told what a run is, and does jobs until the process that started it is gone."""

from __future__ import annotations

import traceback
from typing import Any

import torch

from offbench.algorithms import registry
from offbench.basis.compiler import keep_memory
from offbench.basis.foreign import blamed, told_where
from offbench.basis.sharing import SharedMemory
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.training.fitting import Fits
from offbench.training.group import Group
from offbench.training.handing import received
from offbench.training.line import Line
from offbench.training.plan import Plan, ScalingPlan, config_of, torch_dtype
from offbench.training.views import make_view
from offbench.training.work import Updates, Work, make_groups


def main() -> None:
    """Serve the process that started this one; see `offbench.training.line.Line`."""
    line = Line()
    torch.set_num_threads(1)
    keep_memory()
    messages = iter(line)
    order = next(messages, None)
    work: Work | None = None
    for message in messages:
        assert order is not None
        answer: dict[str, Any]
        try:
            with blamed(f"the run of {order['plan']['algorithm']}"):
                work = work or prepared(order)
                answer = {"result": work.do(message)}
        except OffbenchError as error:
            answer = {"error": str(error), "trace": traceback.format_exc() if error.__cause__ else ""}
        except BaseException as error:  # code of others may end this process as well, by SystemExit
            answer = {"error": f"a worker process failed: {told_where(error)}", "trace": traceback.format_exc()}
        line.answer(answer)


def prepared(order: dict[str, Any]) -> Work:
    """The work of a run: ``order`` has its plan, and where its data and its memory are.

    Raises:
        OffbenchError: code or data are no longer those of the plan.
    """
    plan = Plan.model_validate(order["plan"])
    task = Task.model_validate(order["task"]) if order["task"] else None
    found = registry.find(plan.algorithm)
    if registry.source_digest(found) != plan.algorithm_digest:
        raise OffbenchError(f"the source of {plan.algorithm} changed while it was about to train; start again")
    config = config_of(found, plan.config)
    data = received(order["data"], plan.dataset_digest) if order["data"] else None
    if not registry.is_algorithm(found):
        assert data is not None
        return Fits(plan, found, config, data, task)
    view = None
    if data is not None:
        low, high = plan.scaling.scaling().low, plan.scaling.scaling().high
        home = "cpu" if order["ahead"] else None
        view = make_view(found, config, data, (low, high), "cpu", torch_dtype(plan.dtype), home)
        if ScalingPlan.of(view.scaling) != plan.scaling:
            raise OffbenchError("a worker process scales the data otherwise than the run; train with --workers 1")
    groups = make_groups(found, config, plan, view, plan.compiled)
    _share(groups, SharedMemory(order["bytes"], order["memory"]))
    return Updates(plan, groups, task)


def _share(groups: list[Group], memory: SharedMemory) -> None:
    offset = 0
    for group in groups:
        offset = group.share(memory.tensor(), offset, keep=False)


if __name__ == "__main__":
    main()
