"""Policies that were trained elsewhere: played and scored as ours are, and recorded as what they are.

    offbench.evaluate(policy, task="hopper-v4", episodes=100)

A policy is an object with ``act(observations)``, or a function. It acts for a whole batch of environments unless
``batched=False`` says that it takes one observation at a time.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from offbench.algorithms.limits import LARGEST_SEED
from offbench.basis.code import package_digest
from offbench.basis.foreign import foreign, staying
from offbench.basis.modules import names_object, search_current_folder
from offbench.catalog.loading import load
from offbench.data.trajectories import Trajectories
from offbench.environments.own_tasks import chosen_task
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.machine import describe_machine
from offbench.evaluation.record import ELSEWHERE, EvaluationRecord, RunRecord, digest_of
from offbench.evaluation.record_files import read_record, write_record
from offbench.evaluation.rollout import Evaluator, environment_seeds, one_torch_thread, returns
from offbench.training.checks import check_count
from offbench.training.finished import AFTER_TRAINING, Run
from offbench.training.finished import evaluate as evaluate_run
from offbench.training.foreign_policy import Explained, acting
from offbench.training.records import task_record

UNSAID = "not said"  # the dataset of a policy, where nobody told what it was trained on
# What says how a policy is played and called; a run knows it all.
_OF_POLICIES = ("seed", "name", "dataset", "config", "batched", "output")


def evaluate(
    policy: Any,
    *,
    task: str | Path | Task | None = None,
    episodes: int = 100,
    seed: int | None = None,
    name: str | None = None,
    dataset: str | Path | Trajectories | None = None,
    config: Mapping[str, Any] | None = None,
    batched: bool | None = None,
    output: str | Path | None = None,
    target: float | None = None,
    workers: int | None = None,
    trust: bool = False,
) -> Any:
    """Score a policy that was trained anywhere, or the policies of a finished run on fresh starts.

    A policy is an object with ``act(observations)``, or any function, that gives actions (environments, action) for
    float32 observations (environments, observation), in the environment's units; ``reset(mask)`` and
    ``observe(rewards)`` are called as well if it has them. A ``torch.nn.Module`` without ``act`` is given tensors.

    Args:
        policy: that, or a finished run: a `Run` or its folder.
        task: name of the task, path of a TOML file, or the task itself; that of the run or of ``dataset`` if None.
        episodes: how many, of each seed.
        seed: of the training that the policy came from; it decides the starts, which are those of a run's seed. 0 if
            None.
        name: what tables call the policy, followed by ``(elsewhere)``; its class or function if None.
        dataset: what it was trained on, as you say: an id, a file or the data.
        config: its hyperparameters, as you say: what numbers, texts and lists a record can hold.
        batched: False for a policy that takes one observation (observation,) and gives one action (action,); it plays
            one episode after the other, and ``reset()`` is called without a mask.
        output: folder in which ``seed-<seed>.json`` is written, which ``offbench report`` reads.
        target, workers, trust: of a run, see `offbench.training.finished.evaluate`.

    Returns:
        For a policy its `RunRecord` (``record.final_score``), which says that it was trained elsewhere; for a run a
        list, one record a seed.

    Raises:
        OffbenchError: no policy and no run, no task, options of the other kind, a policy that failed, that gave no
            finite actions of the task's shape, or that takes one observation where it is given many.
    """
    if isinstance(policy, str | os.PathLike | Run):
        own = zip(_OF_POLICIES, (seed, name, dataset, config, batched, output), strict=True)
        given = [option for option, value in own if value is not None]
        if given:
            raise OffbenchError(f"a finished run knows its {' and '.join(given)}; leave it out")
        run = Path(policy) if isinstance(policy, str | os.PathLike) else policy
        return evaluate_run(run, episodes=episodes, task=task, target=target, workers=workers, trust=trust)
    of_runs = [option for option, value in (("target", target), ("workers", workers)) if value is not None]
    if of_runs:
        raise OffbenchError(f"a policy that was trained elsewhere knows no {' and no '.join(of_runs)}; leave it out")
    check_count("episodes", episodes)
    number = 0 if seed is None else _checked_seed(seed)
    called = name or _name(policy)
    actor = acting(policy, called)
    data = load(dataset) if isinstance(dataset, str | Path) else dataset
    known = task or (data.provenance.task if isinstance(data, Trajectories) else None)
    if known is None:
        raise OffbenchError('name the task that the policy acts in, task="hopper-v4"; offbench data list shows which')
    chosen = chosen_task(known)
    play = _single if batched is False else _together
    played = play(actor, chosen, called, number, episodes)
    record = _record(policy, called, chosen, number, data, config or {}, played)
    if output is not None:
        _write(record, Path(output))
    return record


def named_policy(name: str) -> Any:
    """What ``module:Class`` or ``module:function`` names, imported because the user named it.

    Raises:
        OffbenchError: it is no such name, or cannot be imported.
    """
    if not names_object(name):
        raise OffbenchError(f"the policy {name!r} is not named as module:Class")
    search_current_folder()
    module, _, attribute = name.partition(":")
    with staying(), foreign(name, lambda why: f"the policy {name} cannot be imported: {why}"):
        return getattr(import_module(module), attribute)


def _together(actor: Any, task: Task, called: str, seed: int, episodes: int) -> EvaluationRecord:
    """All episodes in one batch of environments."""
    evaluator = Evaluator(task, [seed], episodes)
    try:
        policy = Explained(actor, called, len(evaluator.simulator.action_low), batched=True)
        return evaluator.evaluate(policy, 0, AFTER_TRAINING)[0]
    finally:
        evaluator.close()


def _single(actor: Any, task: Task, called: str, seed: int, episodes: int) -> EvaluationRecord:
    """One episode after the other, each from the start that it has in a batch."""
    starts = environment_seeds(seed, AFTER_TRAINING, episodes)
    simulator = make_simulator(task, 1)
    try:
        policy = Explained(actor, called, len(simulator.action_low), batched=False)
        with one_torch_thread():
            played = [returns(simulator, policy, [start]) for start in starts]
    finally:
        simulator.close()
    totals, lengths = ([part[which][0] for part in played] for which in (0, 1))
    return EvaluationRecord.model_validate(
        {"step": 0, "environment_seeds": starts, "returns": totals, "lengths": lengths}
    )


def _record(
    policy: Any, called: str, task: Task, seed: int, data: Any, config: Mapping[str, Any], played: EvaluationRecord
) -> RunRecord:
    hardware, packages, commit = describe_machine()
    said = "nobody said what it was trained on"
    origin = None
    if isinstance(data, Trajectories):
        origin = data.provenance
        said = f"it is said to have been trained on {origin.dataset or 'data without a name'}, which nobody checked"
    try:
        return RunRecord(
            trained="elsewhere",
            algorithm=called + ELSEWHERE,
            algorithm_digest=_source_digest(policy, called),
            code_digest=package_digest(),
            config=dict(config),
            config_digest=digest_of(dict(config)),
            dataset=_dataset(origin.dataset) if origin else UNSAID,
            dataset_revision=origin.revision if origin else 0,
            dataset_digest=data.digest if origin else hashlib.sha256(b"").hexdigest(),
            transforms=[],
            task=task_record(task),
            seed=seed,
            steps=0,
            group_size=1,
            notes=[f"the policy was trained elsewhere: offbench scored it, and knows nothing of its training; {said}"],
            evaluations=[played],
            losses=[],
            wall_seconds=0.0,
            evaluation_seconds=0.0,
            hardware=hardware,
            packages=packages,
            git_commit=commit,
            created=datetime.now(UTC),
        )
    except (TypeError, ValueError) as error:
        raise OffbenchError(
            f"config holds what a record cannot keep ({error}); numbers, texts and lists are right"
        ) from error


def _dataset(name: str) -> str:
    """Id of the dataset, or name of the file: a record holds no folder of this machine."""
    return (Path(name).name if Path(name).is_absolute() or Path(name).exists() else name) or "trajectories"


def _name(policy: Any) -> str:
    """What a policy is called that nobody named: its function or its class."""
    named = policy if hasattr(policy, "__qualname__") else type(policy)
    plain: str = getattr(named, "__qualname__", "policy")
    return plain.replace("<locals>.", "").replace("<lambda>", "lambda")


def _source_digest(policy: Any, called: str) -> str:
    """SHA-256 of the source of the policy's function or class; where that cannot be read, of its name."""
    for part in (policy, type(policy)):
        with suppress(OSError, TypeError):
            return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
    return hashlib.sha256(called.encode()).hexdigest()


def _checked_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or not 0 <= seed <= LARGEST_SEED:
        raise OffbenchError(f"seed must be a non-negative whole number below 2**63, not {seed}")
    return int(seed)


def _write(record: RunRecord, folder: Path) -> None:
    """Write ``seed-<seed>.json``; a file of that name is replaced only if it is an earlier record of this policy."""
    path = folder / f"seed-{record.seed}.json"
    if os.path.lexists(path):
        earlier = read_record(path)
        same = (earlier.trained, earlier.algorithm, earlier.seed) == (record.trained, record.algorithm, record.seed)
        if not same:
            raise OffbenchError(f"{path} is a record of {earlier.algorithm}, and is not replaced; name another folder")
    write_record(record, path)
