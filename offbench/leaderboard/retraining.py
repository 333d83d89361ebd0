"""Training an entry's algorithm anew, with seeds that nobody knew, and comparing what it earns with the claims.

This is what finds the best of many private runs, seeds that were picked, and training on other data: their policies do
earn what they claim, so that no re-evaluation finds them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import offbench
from offbench.algorithms import registry
from offbench.basis.files import cache_folder
from offbench.basis.modules import names_object
from offbench.basis.plain import plain
from offbench.catalog.loading import load
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records
from offbench.formats import native
from offbench.leaderboard import training_child
from offbench.leaderboard.agreement import FALSE_ALARMS, claims_are_reached, retrained_p_values
from offbench.leaderboard.archive import opened
from offbench.leaderboard.completeness import task_of
from offbench.leaderboard.contents import Contents, last, read_contents
from offbench.leaderboard.entry import Check, Level, Retrained, Verification
from offbench.leaderboard.hidden import read_hidden
from offbench.leaderboard.isolation import container, isolation
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.leaderboard.suite import suite as find_suite
from offbench.leaderboard.verification import Settings, verify
from offbench.nn.random import stream

Say = Callable[[str], object]
_SAID = 10_000  # bytes of what code printed that are looked at


@dataclass(frozen=True)
class Retraining:
    """How an entry is trained anew.

    Attributes:
        seeds: how many for each task; twice those of the entry if None.
        code: file or folder with the module of an algorithm that is named as ``module:Class``.
        trust: whether its code may run without a sandbox, where there is none.
        image: image of a container that has offbench, to train in.
        engine: ``podman`` or ``docker``.
        hidden: folder of hidden tasks, which `offbench.leaderboard.hidden` made, to train on as well.
        seed: what the seeds are drawn with; a secret one if None.
        options: further ones of `offbench.train`, such as workers.
    """

    seeds: int | None = None
    code: Path | None = None
    trust: bool = False
    image: str | None = None
    engine: str = "podman"
    hidden: Path | None = None
    seed: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)


def retrain(
    path: Path,
    results: Path | None = None,
    settings: Settings | None = None,
    retraining: Retraining | None = None,
    *,
    again: bool = False,
    say: Say = lambda text: None,
) -> Verification:
    """The verdict on an entry that is verified and then trained anew; nothing is written.

    An entry that is refused before is not trained.

    Raises:
        OffbenchError: as `verify`; the code is not given, there is no sandbox for it and no trust; or it failed.
    """
    settings, retraining = settings or Settings(), retraining or Retraining()
    verdict = verify(path, results, settings, again=again, say=say)
    if not verdict.accepted:
        return verdict
    with opened(path, verified=again) as folder:
        contents = read_contents(folder)
    suite = settings.suite or find_suite(contents.entry.suite)
    keeps = kept_from(contents.entry.algorithm, retraining)
    say(keeps)
    secret = secrets.randbits(63) if retraining.seed is None else retraining.seed
    trained = {}
    for task in suite.tasks:
        say(f"training on {task.dataset}")
        data = load(task.learned)
        if not isinstance(data, Trajectories):
            raise OffbenchError(f"{task.dataset} is a split, on which nothing is trained anew")
        trained[task.dataset] = _trained(contents.of(task), data, suite, task, retraining, secret)
    retrained, check = compare(contents, suite, trained, stream(secret, "permutations"))
    level: Level = "retrained" if check.passed else verdict.level
    if check.passed and retraining.hidden is not None:
        for found in read_hidden(suite, retraining.hidden):
            say(f"training on {found.task.dataset}")
            visible = next(task for task in suite.tasks if task.dataset == found.like)
            records = _trained(
                contents.of(visible), native.load(found.file), suite, found.task, retraining, secret, task_of(visible)
            )
            retrained.append(_unclaimed(found.task.dataset, records, task_of(visible)))
            level = "retrained on hidden tasks"
    parts = {"checks": [*verdict.checks, check], "retrained": retrained, "level": level}
    return verdict.model_copy(update=parts | {"protections": [*verdict.protections, keeps]})


def kept_from(algorithm: str, retraining: Retraining) -> str:
    """What keeps the code of an algorithm from the machine, in a sentence.

    Raises:
        OffbenchError: it is a stranger's, and its code is missing, or nothing keeps it and nobody trusts it.
    """
    if not names_object(algorithm):
        if algorithm not in registry.OURS:
            raise OffbenchError(f"{plain(algorithm)} is no algorithm of offbench; it is trained anew as module:Class")
        return f"{algorithm} is offbench's own code, which runs without a sandbox"
    if retraining.code is None or not retraining.code.exists():
        raise OffbenchError(
            f"{plain(algorithm)} is trained from its code: name the file or folder of its module with --code"
        )
    if retraining.image is not None:
        return f"trained in a container of {retraining.engine}: no network, no rights, a read-only system"
    found = isolation()
    if found is not None:
        return f"trained in {found.name}: {found.told}; writes only to a folder of its own"
    if not retraining.trust:
        raise OffbenchError(
            "this machine has no sandbox for training code of others (bubblewrap or unshare with user namespaces); use "
            "--image for a container, or read the code and allow it with --trust"
        )
    return "trained without a sandbox, as was allowed"


def fresh_seeds(secret: int, dataset: str, count: int) -> list[int]:
    """Seeds that the entry does not have and nobody could know, different ones."""
    drawn = stream(secret, "retraining", dataset).integers(10**6, 2**31, size=2 * count + 8)
    return list(dict.fromkeys(drawn.tolist()))[:count]


def _unclaimed(dataset: str, records: list[RunRecord], task: Task) -> Retrained:
    """What was earned on a hidden task."""
    scores = [float(task.score(last(record).returns).mean()) for record in records]
    return Retrained(
        dataset=dataset, claimed=[], measured=scores, seeds=[record.seed for record in records], p_value=None
    )


def _trained(
    records: list[RunRecord],
    data: Trajectories,
    suite: Suite,
    task: SuiteTask,
    retraining: Retraining,
    secret: int,
    known: Task | None = None,
) -> list[RunRecord]:
    """Records of the seeds that were trained anew on one task, with the hyperparameters of ``records``."""
    scored_in = known or task_of(task)
    seeds = fresh_seeds(secret, task.dataset, retraining.seeds or 2 * len(records))
    with tempfile.TemporaryDirectory(prefix="offbench-training-") as temporary:
        folder = Path(temporary).resolve()
        # Which dataset it is does not stand in the file: code that knows it by name does not find it.
        unnamed = replace(data, provenance=Provenance(dataset="data", task=scored_in.name))
        native.save(unnamed, folder / "data.offbench")
        given = {
            "algorithm": records[0].algorithm,
            "data": str(folder / "data.offbench"),
            "seeds": seeds,
            "steps": suite.steps_of(task),
            "episodes": suite.episodes_of(task),
            "task": scored_in.name,
            "output": str(folder / "run"),
            "config": records[0].config,
            "options": {"workers": 1} | dict(retraining.options),
        }
        (folder / "settings.json").write_text(json.dumps(given), encoding="utf-8")
        _run(folder, records[0].algorithm, retraining)
        found = read_records([folder / "run"])
    if sorted(record.seed for record in found) != sorted(seeds):
        raise OffbenchError(f"training on {task.dataset} left other seeds than it was asked for")
    return found


def _run(folder: Path, algorithm: str, retraining: Retraining) -> None:
    """Train in a process of its own, within what keeps it from the machine."""
    paths = [str(Path(offbench.__file__).parents[1])]
    if retraining.code is not None and names_object(algorithm):
        place = folder / "code"
        if retraining.code.is_dir():
            shutil.copytree(retraining.code, place)
        else:
            place.mkdir()
            shutil.copy(retraining.code, place)
        paths.append(str(place))
    command = [sys.executable, "-m", training_child.__name__, str(folder / "settings.json")]
    if names_object(algorithm):
        found = isolation()
        if retraining.image is not None:
            command = container(retraining.engine, retraining.image, folder, ["python", *command[1:]])
        elif found is not None:
            command = found.command(command, folder)
    places = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"), str(folder))
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS", "SYSTEMROOT") if name in os.environ}
    environment = (
        kept | places | {"PYTHONPATH": os.pathsep.join(paths), "OFFBENCH_CACHE": str(cache_folder().resolve())}
    )
    # Into a file, of which the end is read: code that prints without end may fill its folder and not our memory.
    with tempfile.TemporaryFile(dir=folder) as printed:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=printed, check=False
        )
        printed.seek(max(0, printed.seek(0, os.SEEK_END) - _SAID))
        ending = printed.read().decode(errors="replace")
    if done.returncode:
        said = plain(" ".join(ending.strip().splitlines()[-1:]))[:400]
        raise OffbenchError(f"training {plain(algorithm)} anew failed: {said or f'status {done.returncode}'}")


def compare(
    contents: Contents, suite: Suite, trained: Mapping[str, list[RunRecord]], generator: np.random.Generator
) -> tuple[list[Retrained], Check]:
    """Claims against what was trained anew, and whether they are no higher."""
    claimed, measured = {}, {}
    for task in suite.tasks:
        scores = task_of(task).score
        claimed[task.dataset] = np.array([scores(last(each).returns).mean() for each in contents.of(task)])
        measured[task.dataset] = np.array([scores(last(each).returns).mean() for each in trained[task.dataset]])
    together, singly = retrained_p_values(claimed, measured, generator)
    retrained = [
        Retrained(
            dataset=dataset,
            claimed=claimed[dataset].tolist(),
            measured=measured[dataset].tolist(),
            seeds=[record.seed for record in trained[dataset]],
            p_value=singly[dataset],
        )
        for dataset in claimed
    ]
    passed = claims_are_reached(together, singly)
    if passed:
        message = (
            f"trained anew the algorithm reaches its claims (p = {together:.2g}; an honest entry is refused here with "
            f"a probability of at most {FALSE_ALARMS:.0%})"
        )
    else:
        worst = min(singly, key=lambda dataset: singly[dataset])
        message = (
            f"trained anew the algorithm does not reach its claims: on {worst} {measured[worst].mean():.1f} instead of "
            f"{claimed[worst].mean():.1f} (p = {singly[worst]:.2g}; all tasks together {together:.2g}), as for the "
            "best of several runs"
        )
    return retrained, Check(name="training anew", passed=passed, message=message)
