"""``offbench sweep``: many runs, by a plan, a suite, or lists of hyperparameters; ``status`` shows how far they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from offbench.algorithms import registry
from offbench.algorithms.method import Method, method
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
from offbench.leaderboard.running import Budget
from offbench.leaderboard.running import jobs as suite_jobs
from offbench.leaderboard.suite import suite
from offbench.sweep.board import summary, table
from offbench.sweep.job import Job
from offbench.sweep.plan import Plan, jobs, read_plan
from offbench.sweep.running import run_sweep
from offbench.sweep.space import expanded
from offbench.sweep.state import Sweep, standings
from offbench.training.checks import check_count
from offbench.training.interruption import Interrupted
from offbench.training.options import Options, check_names

EXAMPLES = """Examples:
    offbench sweep iql offbench/pointmaze/stitch-v0 --steps 10000 --expectile 0.5 0.7 0.9
    offbench sweep td3_bc offbench/hopper/medium-v0 --alpha 1..5 --actor-learning-rate 1e-4..1e-3:log --draws 20
    offbench sweep --suite starter-mini --algorithms iql td3_bc bc,top_fraction=0.1
    offbench sweep plan.toml --processes 8
    offbench sweep plan.toml --engine ray --address auto
    offbench sweep status runs/sweep-plan"""


@dataclass(frozen=True)
class Search:
    """Which of the combinations of hyperparameters are made."""

    draws: int | None = None
    """Combinations drawn by chance; all of the grid if not given."""
    search_seed: int = 0
    """Seed of the draws."""


@dataclass(frozen=True)
class Asked:
    """What a command comes to.

    Attributes:
        name: of the sweep.
        jobs: the runs, of the folder that they lie in.
        making: see there.
        place: see there.
    """

    name: str
    jobs: Callable[[Path], list[Job]]
    making: Making
    place: Place


def run(argv: list[str]) -> int:
    """Parse ``argv`` and make the runs.

    Returns:
        0; 1 where a run failed, which keeps the others from nothing.
    """
    words = list(takewhile(lambda word: not word.startswith("-"), argv))
    flags = argv[len(words) :]
    if words[:1] == ["status"]:
        return _status(words[1:], flags)
    with staying():
        if words and words[0].endswith(".toml"):
            asked = _of_plan(words, flags)
        elif len(words) > 1:
            asked = _of_words(words, flags)
        elif not words:
            asked = _of_suite(flags)
        else:
            raise OffbenchError(f"sweep {words[0]} names no dataset: offbench sweep ALGORITHM DATASET [options]")
        for count in ("processes", "cores"):
            check_count(count, getattr(asked.making, count))
    folder = asked.place.output or Path("runs") / f"sweep-{asked.name}"
    return _made(folder, asked.jobs(folder), asked.making, asked.place)


def _parsed(title: str, fields: Sequence[Any], flags: Sequence[str], about: str) -> Any:
    description = f"{about}\n\n{EXAMPLES}"
    kind = dataclasses.make_dataclass("Sweep", [*fields, part("making", Making())])
    return tyro.cli(kind, prog=f"offbench sweep {title}", description=description, args=flags)


def _of_plan(words: Sequence[str], flags: Sequence[str]) -> Asked:
    """The runs of a plan."""
    if len(words) > 1:
        raise OffbenchError(f"{words[1]} stands after the plan {words[0]}; datasets are named in the plan")
    about = "Make the runs that a plan names; those that are done are skipped, others go on where they stopped."
    parsed = _parsed(words[0], [part("place", Place())], flags, about)
    plan, place = read_plan(Path(words[0])), picked(Place, parsed.place)
    place = dataclasses.replace(place, output=place.output or plan.output)
    return Asked(Path(words[0]).stem, lambda folder: _planned(plan, folder), picked(Making, parsed.making), place)


def _planned(plan: Plan, folder: Path) -> list[Job]:
    if plan.suite is None:
        return jobs(plan, folder)
    fixed = set(plan.options) - {"seeds", "steps"}
    if fixed:
        raise OffbenchError(f"{sorted(fixed)[0]} is decided by the suite {plan.suite}; leave it out, or name datasets")
    return _suite_jobs(plan.suite, plan.methods, plan.options, folder)


def _suite_jobs(name: str, methods: Sequence[Method], options: Mapping[str, Any], folder: Path) -> list[Job]:
    chosen = suite(name)
    seeds, steps = options.get("seeds"), options.get("steps")
    for what, value in (("seeds", seeds), ("steps", steps)):
        check_count(what, value)
    budget = Budget(chosen.seeds if seeds is None else seeds, steps)
    short = budget.shortfall(chosen)
    if short:
        tell(f"this is not the budget of the suite {chosen.name} ({short}): the records cannot be an entry of it")
    return suite_jobs(chosen, methods, budget, folder)


def _of_suite(flags: Sequence[str]) -> Asked:
    """Methods on all tasks of a suite."""
    several = Annotated[tuple[str, ...], tyro.conf.arg(metavar="METHOD [METHOD ...]")]
    fields = [
        ("suite", Annotated[str, tyro.conf.arg(help="Suite; offbench leaderboard suites lists them.")]),
        ("algorithms", Annotated[several, tyro.conf.arg(help="Names, or NAME,HYPERPARAMETER=VALUE,...")]),
        ("seeds", Annotated[int | None, tyro.conf.arg(help="How many; the suite's if not given.")], None),
        ("steps", Annotated[int | None, tyro.conf.arg(help="Updates of each seed; the suite's if not given.")], None),
        part("place", Place()),
    ]
    about = (
        "Make many runs: of a plan (offbench sweep PLAN.toml), of all values of hyperparameters (offbench sweep "
        "ALGORITHM DATASET [DATASET ...] --NAME VALUE VALUE), or of methods on a suite. Runs that are done are "
        "skipped, others go on where they stopped."
    )
    parsed = _parsed("[PLAN.toml | ALGORITHM DATASET ... | status FOLDER]", fields, flags, about)
    methods = list({each.name: each for each in map(method, parsed.algorithms)}.values())
    options = {"seeds": parsed.seeds, "steps": parsed.steps}
    return Asked(
        parsed.suite,
        lambda folder: _suite_jobs(parsed.suite, methods, options, folder),
        picked(Making, parsed.making),
        picked(Place, parsed.place),
    )


def _of_words(words: Sequence[str], flags: Sequence[str]) -> Asked:
    """All combinations of the values of an algorithm's hyperparameters."""
    algorithm, *datasets = words
    found = registry.find(algorithm)
    check_names(found)
    fields = [part("run", Options()), part("search", Search()), part("space", space_flags(found))]
    about = "Train an algorithm on each dataset with all combinations of the values of its hyperparameters."
    parsed = _parsed(" ".join(map(plain, words)), fields, flags, about)
    check_count("draws", parsed.search.draws)
    methods = expanded(algorithm, space_given(parsed.space), parsed.search.draws, parsed.search.search_seed)
    asked = picked(Options, parsed.run)
    plan = Plan(methods, datasets, options=options_given(asked, Options(), "a sweep"))
    place = Place(asked.output, asked.device, asked.quiet)
    return Asked(title_of(algorithm, datasets), lambda folder: jobs(plan, folder), picked(Making, parsed.making), place)


def _made(folder: Path, todo: Sequence[Job], making: Making, place: Place) -> int:
    """Make the runs, and print what came of them."""
    engine, workers = engine_for(len(todo), making, place)
    try:
        sweep = run_sweep(folder, todo, engine, workers, place.quiet)
    except Interrupted as error:
        raise Interrupted(f"{error}; offbench sweep status {plain(folder)} shows how far it is") from None
    for job in todo:
        if job.folder in sweep.failed:
            tell(f"error: {plain(job.title)}: {plain(sweep.failed[job.folder])}")
    done = [job for job in todo if job.folder not in sweep.failed]
    if done:
        show_scores(read_records([job.folder / f"seed-{seed}.json" for job in done for seed in job.seeds]))
    print(f"{len(done)} of {len(todo)} runs are in {plain(folder)}")
    return int(bool(sweep.failed))


def _status(words: Sequence[str], flags: Sequence[str]) -> int:
    """Show how far the sweep in a folder is."""
    if len(words) != 1 or flags:
        raise OffbenchError("the folder of a sweep is what status takes: offbench sweep status runs/sweep-NAME")
    folder = Path(words[0])
    sweep = Sweep.read(folder)
    found = standings(sweep)
    Console().print(table(found))
    print(summary(found, sweep.workers))
    return 0
