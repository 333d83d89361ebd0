"""``offbench leaderboard time``: seconds until a method reaches a stated score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.algorithms.method import method
from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.catalog.cards import card
from offbench.catalog.loading import load
from offbench.errors import UnknownNameError
from offbench.leaderboard.suite import Suite, SuiteTask, suite
from offbench.leaderboard.time_record import TimeRecord
from offbench.leaderboard.timing import Timing, check_timing, time_record, timed
from offbench.training.checks import check_count


def time_method(
    algorithm: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")],
    /,
    suite_name: Annotated[str, tyro.conf.arg(name="suite")] = "time-to-score",
    runs: int | None = None,
    dataset: str | None = None,
    steps: int | None = None,
    output: Path = Path("runs/time-to-score"),
) -> None:
    """Time a method from the command to a stated score: starting, loading, compiling, training and evaluating.

    Data are fetched or generated before; nothing that is compiled or fitted is found from earlier runs.

    Examples:
        offbench leaderboard time iql --runs 3

    Args:
        algorithm: Registered name, with hyperparameters that differ from its defaults.
        suite_name: Suite of kind time, or a TOML file with one.
        runs: Runs on each task, each with other seeds; the suite's number if not given.
        dataset: The one task of the suite to time; all if not given.
        steps: Gradient updates of each seed at most; the suite's if not given. With others the record is no entry.
        output: Folder for the records, one a method and task.
    """
    # Imported here because it pulls in the simulators' descriptions.
    from offbench.environments.task import task as find_task

    chosen, what = suite(suite_name), method(algorithm)
    check_timing(chosen, what)
    check_count("runs", runs)
    check_count("steps", steps)
    assert chosen.runs is not None  # which suites of this kind have
    for each in _tasks(chosen, dataset):
        load(each.dataset)
        timing = Timing(chosen, each, what, steps or chosen.steps_of(each))
        scored_in = each.task or card(each.card_id).task
        assert scored_in is not None  # the tests see to it
        found = []
        for number in range(runs or chosen.runs):
            found.append(timed(timing, find_task(scored_in), number * chosen.seeds))
            seconds = found[-1].seconds
            result = f"not reached in {timing.steps:,} updates" if seconds is None else f"{seconds:,.1f} s"
            tell(f"{plain(what.name)} on {plain(each.dataset)}, run {number + 1}: {result}")
        record = time_record(timing, found)
        path = output / f"{what.slug}--{each.slug}.json"
        with atomic(path) as temporary:
            temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        print(f"{_sentence(record)}; record: {plain(path)}")


def _tasks(chosen: Suite, dataset: str | None) -> list[SuiteTask]:
    known = {each.dataset: each for each in chosen.tasks}
    if dataset is not None and dataset not in known:
        raise UnknownNameError(f"dataset in the suite {chosen.name}", dataset, known)
    return list(known.values()) if dataset is None else [known[dataset]]


def _sentence(record: TimeRecord) -> str:
    """What came out, in words."""
    summary = record.summary
    told = f"{plain(record.method)} on {plain(record.dataset)}, score {record.target:g}: "
    if summary is None:
        reached = [run.seconds for run in record.runs if run.seconds is not None]
        return told + f"reached in {len(reached)} of {len(record.runs)} runs, so there is no mean"
    told += f"{summary.mean:,.1f} s, mean of {summary.seeds}"
    if summary.interval is None:
        return told
    low, high = summary.interval
    return f"{told} runs, 95% interval {max(low, 0):,.1f} to {high:,.1f} s"
