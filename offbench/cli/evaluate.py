"""``offbench evaluate``: score the policies of a finished run on fresh starts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from offbench.basis.foreign import foreign
from offbench.basis.modules import names_object
from offbench.basis.plain import plain
from offbench.cli.scores import show_scores
from offbench.environments.own_tasks import chosen_task
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_record, write_record
from offbench.training import elsewhere
from offbench.training.elsewhere import named_policy
from offbench.training.finished import Run
from offbench.training.finished import evaluate as evaluate_run
from offbench.training.folder import RunFolder


def evaluate(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|module:POLICY")],
    episodes: int = 100,
    task: str | None = None,
    seed: int | None = None,
    name: str | None = None,
    dataset: str | None = None,
    batched: bool = True,
    target: float | None = None,
    workers: int | None = None,
    output: Path | None = None,
    video: Path | None = None,
    trust: bool = False,
) -> None:
    """Score the policies of a finished run on fresh starts, or a policy that was trained elsewhere.

    Examples:
        offbench evaluate runs/demo/iql --episodes 200
        offbench evaluate mine:policy --task hopper-v4 --output runs/mine
        offbench evaluate runs/demo/iql --video iql.gif

    Args:
        run: The run's folder; or, as module:name, an object with act(observations), a class of such objects, or a
            function, that was trained elsewhere: docs/your-algorithm.md.
        episodes: Episodes of each seed.
        task: Task to score in, by its name or as a TOML file; the run's own if not given.
        seed: Of a policy from elsewhere: the seed of its training, which decides the starts; 0 if not given.
        name: Of a policy from elsewhere: what tables call it.
        dataset: Of a policy from elsewhere: what it was trained on, as you say.
        batched: Of a policy from elsewhere: whether it takes a batch of observations; if not, one at a time.
        target: Return to ask the policies for, where they are asked for one; the run's own if not given.
        workers: Processes that share the episodes; chosen for the policies if not given. They change no result.
        output: Folder for the records of this evaluation, one a seed: a new or an empty one, or that of an earlier
            evaluation of this run, which is replaced. Nothing is written if not given.
        video: File for pictures of the first seed's first episode, a .gif or, with the extra video, a .mp4.
        trust: Import the module of an algorithm that the run names as module:Class, which runs its code.
    """
    if names_object(str(run)) and not run.exists():
        refused = {"--target": target, "--workers": workers, "--video": video}
        _evaluate_elsewhere(str(run), refused, episodes, task, seed, name, dataset, batched, output)
        return
    given = [flag for flag, value in (("--seed", seed), ("--name", name), ("--dataset", dataset)) if value is not None]
    if given or not batched:
        raise OffbenchError(f"a finished run knows its {' and its '.join(given) or 'shapes'}; leave the flag out")
    if output is not None:
        _check_output(output, run)
    if video is not None:
        _check_video(video)
    records = evaluate_run(run, episodes=episodes, task=task, target=target, workers=workers, trust=trust)
    show_scores(records)
    known = Run(run).manifest.plan.notes
    for note in records[0].notes:
        if note not in known:
            print(note)
    if output is not None:
        for record in records:
            write_record(record, output / f"seed-{record.seed}.json")
        print(f"records: {plain(output)}")
    if video is not None:
        opened = Run(run, trust)
        scored_in = chosen_task(task) if task else opened.manifest.plan.whole_task
        assert scored_in is not None
        _film(opened, scored_in, records[0], target, video)


def _evaluate_elsewhere(policy: str, refused: Mapping[str, object], episodes: int, *told: Any) -> None:
    """Score the policy of that name; ``refused`` are the flags that only runs know."""
    task, seed, name, dataset, batched, output = told
    given = [flag for flag, value in refused.items() if value is not None]
    if given:
        raise OffbenchError(f"{policy} is no run, which alone knows {' and '.join(given)}; leave it out")
    if task is None and dataset is None:
        raise OffbenchError(f"name the task that {policy} acts in: --task hopper-v4")
    made = named_policy(policy)
    if inspect.isclass(made):
        with foreign(policy, lambda why: f"the policy {policy} cannot be made without arguments: {why}"):
            made = made()
    record = elsewhere.evaluate(
        made,
        task=task,
        episodes=episodes,
        seed=seed,
        name=name or policy.partition(":")[2],
        dataset=dataset,
        batched=batched,
        output=output,
    )
    show_scores([record])
    for note in record.notes:
        print(note)
    if output is not None:
        print(f"records: {plain(output)}")


def _check_output(output: Path, run: Path) -> None:
    """Refuse a folder in which records of this evaluation would lie beside anything but an earlier one's of this run.

    Raises:
        OffbenchError: it is no folder, belongs to a run, or holds something else.
    """
    # The folder of a run holds the records of its training, under the same names.
    if RunFolder(output).exists or _is_within(output, run):
        raise OffbenchError(f"{output} lies in the folder of a run, whose records it must not mix with; name another")
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise OffbenchError(f"{output} is no folder; name a new or an empty one")
    own = {f"seed-{record.seed}.json": record for record in Run(run).records}
    for path in sorted(output.iterdir()):
        if path.name.startswith(".") and path.name.endswith(".part"):  # which a crash left half-written
            continue
        if path.name not in own or not path.is_file() or not _same_run(read_record(path), own[path.name]):
            raise OffbenchError(
                f"{output} holds {path.name}, which is of no earlier evaluation of {run}; name a new or an empty folder"
            )


def _is_within(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, whatever links it goes through."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _same_run(one: RunRecord, other: RunRecord) -> bool:
    """Whether two records come from the same training, whatever they were scored in and asked for afterwards."""
    a, b = (
        record.model_dump(include=TRAINED) | {"config": record.config | {"evaluation_target": None}}
        for record in (one, other)
    )
    return a == b


# What a training leaves in its records; the time that it took is that of no other one.
TRAINED = {
    "trained",
    "algorithm",
    "algorithm_digest",
    "dataset",
    "dataset_revision",
    "dataset_digest",
    "transforms",
    "seed",
    "steps",
    "losses",
    "wall_seconds",
}


def _check_video(video: Path) -> None:
    """Complain before the work."""
    from offbench.environments.pictures import check_output

    check_output(video)
    if video.exists():
        raise OffbenchError(f"{video} exists; name another file with --video, or remove it")


def _film(run: Run, chosen: Task, record: RunRecord, target: float | None, video: Path) -> None:
    """Write pictures of the first episode of a record's last evaluation, which is played again."""
    from offbench.environments.pictures import film
    from offbench.generation.recording import record as record_episodes

    simulator = make_simulator(chosen, 1)
    try:
        policy = run.policy(record.seed, target)
        episode = record_episodes(simulator, policy, record.evaluations[-1].environment_seeds[:1])
        goals = getattr(simulator, "goals", None)
    finally:
        simulator.close()
    if goals is not None:
        episode = replace(episode, extras={"goal": np.repeat(goals, episode.steps, axis=0)})
    film(chosen, episode).save(video)
    print(f"video: {plain(video)}, seed {record.seed}, return {episode.returns[0]:,.1f}")


def run(argv: list[str]) -> int:
    """Parse ``argv`` and evaluate."""
    tyro.cli(evaluate, prog="offbench evaluate", args=argv)
    return 0
