"""``offbench tune``: choose hyperparameters on some seeds, score the choice on others; ``curve`` shows the budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from offbench.algorithms import registry
from offbench.basis.foreign import staying
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.cli.flags import part
from offbench.cli.many_runs import (
    Making,
    Place,
    engine_for,
    options_given,
    picked,
    space_flags,
    space_given,
    title_of,
)
from offbench.cli.scores import show_scores
from offbench.errors import OffbenchError
from offbench.evaluation.record_files import read_records
from offbench.evaluation.tuning_record import TuningRecord
from offbench.selection.fqe import FQEConfig
from offbench.sweep.objectives import mean_height, records_of
from offbench.sweep.study import SEEDS, Search, Study, read_study, study
from offbench.sweep.trials import read_table
from offbench.sweep.tuning import Tuned, tune
from offbench.training.checks import check_count
from offbench.training.interruption import Interrupted
from offbench.training.options import Options

EXAMPLES = """Examples:
    offbench tune iql offbench/pendulum/swingup-v0 --steps 4000 --expectile 0.5..0.9 --learning-rate 1e-4..1e-2:log
    offbench tune td3_bc d4rl/hopper-medium-v2 d4rl/walker2d-medium-v2 --alpha 1..5 --tuner tpe --trials 30
    offbench tune iql offbench/pendulum/swingup-v0 --expectile 0.5 0.7 0.9 --trials 3 --select fqe
    offbench tune plan.toml --processes 8
    offbench tune curve runs/tune-plan"""
PULLS = 200


def run(argv: list[str]) -> int:
    """Parse ``argv`` and tune.

    Returns:
        0; 1 where a run of the result failed.
    """
    words = list(takewhile(lambda word: not word.startswith("-"), argv))
    flags = argv[len(words) :]
    if words[:1] == ["curve"]:
        tyro.cli(curve, prog="offbench tune curve", args=argv[1:])
        return 0
    with staying():
        if words and words[0].endswith(".toml"):
            name, asked, making, place = _of_plan(words, flags)
        elif len(words) > 1 or not words:
            name, asked, making, place = _of_words(words, flags)
        else:
            raise OffbenchError(f"tune {words[0]} names no dataset: offbench tune ALGORITHM DATASET --NAME LOW..HIGH")
        for count in ("processes", "cores"):
            check_count(count, getattr(making, count))
    return _tuned(asked, place.output or asked.output or Path("runs") / f"tune-{name}", making, place)


Asked = tuple[str, Study, Making, Place]


def _parsed(title: str, fields: Sequence[Any], flags: Sequence[str]) -> Any:
    about = (
        "Choose hyperparameters: trials on tuning seeds, the choice of the best, and the chosen configuration on test "
        "seeds that nothing was chosen by. The records keep what was tried and what that cost. The same command goes "
        "on where it was stopped."
    )
    kind = dataclasses.make_dataclass("Tune", [*fields, part("making", Making())])
    return tyro.cli(kind, prog=f"offbench tune {title}", description=f"{about}\n\n{EXAMPLES}", args=flags)


def _of_plan(words: Sequence[str], flags: Sequence[str]) -> Asked:
    if len(words) > 1:
        raise OffbenchError(f"{words[1]} stands after the plan {words[0]}; datasets are named in the plan")
    parsed = _parsed(words[0], [part("place", Place())], flags)
    path = Path(words[0])
    return path.stem, read_study(path), picked(Making, parsed.making), picked(Place, parsed.place)


def _of_words(words: Sequence[str], flags: Sequence[str]) -> Asked:
    usual = Options(seeds=SEEDS)
    found = registry.find(words[0]) if words else None
    fields = [
        part("run", usual),
        part("search", Search()),
        ("fqe", FQEConfig, dataclasses.field(default_factory=FQEConfig)),
        *([part("space", space_flags(found))] if words else []),
    ]
    title = " ".join(map(plain, words)) or "[PLAN.toml | ALGORITHM DATASET ... | curve FOLDER]"
    parsed = _parsed(title, fields, flags)
    if not words:
        raise OffbenchError("tune names nothing to tune: offbench tune ALGORITHM DATASET --NAME LOW..HIGH")
    asked, search = picked(Options, parsed.run), picked(Search, parsed.search)
    algorithm, *datasets = words
    options = options_given(asked, usual, "a tuning")
    fqe = None if parsed.fqe == FQEConfig() else parsed.fqe
    wanted = study(algorithm, datasets, space_given(parsed.space), search, options, fqe)
    place = Place(asked.output, asked.device, asked.quiet)
    return title_of(algorithm, datasets), wanted, picked(Making, parsed.making), place


def _tuned(wanted: Study, folder: Path, making: Making, place: Place) -> int:
    """Tune, and print what came of it."""
    say = (lambda line: None) if place.quiet else (lambda line: tell(plain(line)))
    try:
        done = tune(wanted, folder, lambda runs: engine_for(runs, making, place), place.device, place.quiet, say)
    except Interrupted as error:
        raise Interrupted(f"{error}; offbench sweep status {plain(folder)} shows how far it is") from None
    for trial in done.notebook.distinct:
        for dataset, why in trial.outcome.failed.items() if trial.outcome else ():
            tell(f"error: trial {trial.number}, {plain(trial.method.name)} on {plain(dataset)}: {plain(why)}")
    for job in done.result:
        if job.folder in done.failed:
            tell(f"error: {plain(job.title)}: {plain(done.failed[job.folder])}")
    print(_told(wanted, done))
    finished = [record for job in done.result if job.folder not in done.failed for record in records_of(job)]
    if finished:
        show_scores(finished)
    print(f"trials, choice and result are in {plain(folder)}")
    return int(bool(done.failed))


def _told(wanted: Study, done: Tuned) -> str:
    """What was chosen, among what, and what the number is that it was chosen by."""
    spent = TuningRecord.model_validate(done.spent)
    failed = f", {spent.failed} failed" if spent.failed else ""
    seeds = ", ".join(map(str, wanted.seeds))
    value = done.chosen.value
    assert value is not None
    by = f"its score ({wanted.search.objective}) of {value:.1f} on the tuning seeds {seeds}, which flatters it"
    if wanted.by_fqe:
        by = f"what FQE says of its policies of the tuning seeds {seeds} ({value:.1f}, which is no score)"
    return (
        f"chosen: trial {done.chosen.number} of {wanted.search.trials}, {plain(done.chosen.method.name)} "
        f"({spent.brief}{failed})\n"
        f"chosen by {by}; the result is that of the test seeds {', '.join(map(str, wanted.test_seeds))}:"
    )


def curve(
    folder: tyro.conf.Positional[Path],
    /,
    output: Path | None = None,
    pulls: int = PULLS,
) -> None:
    """Show what the choice would have come to with fewer episodes: Unifloral's bandit over the trials of a tuning.

    Every seed of every trial is a policy. After each episode the one with the best mean so far is handed in; the number
    is its true mean over all episodes that were kept. Nothing is played or trained.

    Examples:
        offbench tune curve runs/tune-plan

    Args:
        folder: Of the tuning.
        output: Picture to write, FOLDER/budget.png if not given; PNG, PDF and the data as CSV of this name are made.
        pulls: Most episodes.
    """
    from offbench.report.budget_figure import draw
    from offbench.report.canvas import check_output, write
    from offbench.report.groups import group

    check_count("pulls", pulls)
    where = output or folder / "budget.png"
    check_output(where)
    table = read_table(folder)
    if not (folder / "trials").is_dir():
        raise OffbenchError(f"no trial of the tuning in {folder} has been trained yet")
    records = [record for record in read_records([folder / "trials"]) if record.is_trial]
    drawn = draw(records, pulls=pulls)
    groups, _ = group(records, trials=True)
    for dataset in dict.fromkeys(one.dataset for one in groups):
        rows = [row for row in drawn.data if row["dataset"] == dataset]
        own = [record for one in groups if one.dataset == dataset for record in one.records]
        print("\n".join(_curve(dataset, rows, own, table)))
    for path in write(drawn, where):
        print(f"wrote {plain(path)}")


def _curve(dataset: str, rows: Sequence[Mapping[str, Any]], records: Sequence[Any], table: dict[str, Any]) -> list[str]:
    """The curve of one dataset in numbers."""
    lines = [f"{plain(dataset)}: {rows[0]['policies']} policies", "episodes   score of what is chosen, 95% interval"]
    lines.append(f"{0:8}   {np.mean([one.final_score for one in records]):.1f} by chance")
    lines += _without_playing(records, table)
    wanted = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if k < len(rows)]
    for k in (*wanted, len(rows)):
        row = rows[k - 1]
        lines.append(f"{k:8}   {row['mean']:.1f} [{row['low']:.1f}, {row['high']:.1f}]")
    if len(rows) > 1:
        logs = [math.log(row["episodes"]) for row in rows]
        lines.append(f"mean over the logarithm of the episodes: {mean_height([row['mean'] for row in rows], logs):.1f}")
    return lines


def _without_playing(records: Sequence[Any], table: dict[str, Any]) -> list[str]:
    """What the choice by FQE returns, where the tuning made it so."""
    if table["study"]["search"]["select"] != "fqe":
        return []
    values = [one.get("value") for one in table["trials"]]
    known = [value for value in values if value is not None]
    if not known:
        return []
    number = values.index(max(known))
    scores = [one.final_score for one in records if one.tuning.trial == number]
    return [f"{0:8}   {np.mean(scores):.1f} by FQE (trial {number})"] if scores else []
