"""Metrics for Weights & Biases: a run of theirs for each seed, all of them in one group.

With ``WANDB_MODE=offline`` they are kept in ``wandb/`` in the folder of the run, for ``wandb sync``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from offbench.basis.foreign import cause
from offbench.errors import OffbenchError
from offbench.training.metric_rows import Row
from offbench.training.plan import Plan

LONGEST = 128  # characters of a name


class WandB:
    """See `offbench.training.logs.Log`."""

    def __init__(self) -> None:
        """Raises OffbenchError where wandb is not installed."""
        try:
            self._wandb = import_module("wandb")
            if not hasattr(self._wandb, "init"):  # a folder that wandb left in the current one, which can be imported
                raise ImportError("there is a folder wandb, and no package")
        except ImportError as error:
            raise OffbenchError("the log wandb needs an extra: pip install 'offbench[wandb]'") from error
        self._runs: dict[int, Any] = {}
        self._first: dict[int, int] = {}  # the least step that each run of theirs takes

    def open(self, plan: Plan, folder: Path, told: Sequence[Row]) -> str:
        """Go on with the runs of earlier parts of the run, which are told all rows that they may lack.

        Their process keeps rows back for a while and loses them where it is killed. Online the server says what it has;
        offline the new file has all rows, so that it needs none of the earlier ones.
        """
        for seed in plan.seeds:
            try:
                run = self._wandb.init(**self._settings(plan, folder, seed))
            except Exception as error:
                raise OffbenchError(
                    f"Weights & Biases could not begin: {cause(error)}; "
                    "WANDB_MODE=offline needs no account and no network"
                ) from error
            self._runs[seed] = run
            self._first[seed] = run.starting_step if run.resumed else 0
            for row in told:
                if row.seed == seed:
                    self(*row)
        first = self._runs[plan.seeds[0]]
        if first.offline:
            return f"Weights & Biases is offline; wandb sync sends the newest of each seed in {folder / 'wandb'}"
        return f"Weights & Biases: {first.url}, group {first.group!r}"

    def __call__(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        """Log one row; theirs know no way back, and rows that they have already are the same."""
        if step >= self._first[seed]:
            self._runs[seed].log(dict(values), step=step, commit=True)

    def close(self, finished: bool) -> None:
        """End their runs, as failed where this one is not finished; resumed, they go on."""
        for run in self._runs.values():
            run.finish(exit_code=0 if finished else 1)
        self._runs.clear()

    def _settings(self, plan: Plan, folder: Path, seed: int) -> dict[str, Any]:
        """What their run is told of ours. A second start of the same run has the same id."""
        whole = f"{plan.algorithm} on {plan.dataset}"[: LONGEST - 30]
        alike = seed != plan.seeds[0]  # what a run of theirs says and measures of this machine, all of them do
        return {
            "project": os.environ.get("WANDB_PROJECT") or "offbench",
            "id": _id(plan, seed),
            "resume": "allow",
            "reinit": "create_new",  # a run of the user's own in this process is left alone
            "dir": str(folder),
            "name": f"{whole}, seed {seed}",
            "group": f"{whole}, {plan.settings_digest[:8]}",
            "config": _config(plan, seed),
            "allow_val_change": True,  # a run may go on on another device
            "settings": self._wandb.Settings(console="off", quiet=True, silent=alike, x_disable_stats=alike),
        }


def _id(plan: Plan, seed: int) -> str:
    return f"{plan.settings_digest[:16]}-{seed}"


def _config(plan: Plan, seed: int) -> dict[str, Any]:
    """The hyperparameters by name, and what else tells runs apart."""
    known = {"algorithm", "dataset", "dataset_revision", "task", "steps", "episodes", "dtype", "device"}
    return {**plan.config, **plan.model_dump(mode="json", include=known), "seed": seed}
