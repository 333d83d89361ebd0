"""Tuning: trials on tuning seeds, the choice among them, and the chosen configuration on seeds that nothing knew.

tuning.json                what was asked for and what came of it
trials/NUMBER/DATASET      the runs of each trial
result/DATASET             those of the chosen configuration
sweep.json                 all of them, for offbench sweep status
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offbench.algorithms import registry
from offbench.basis.code import package_digest
from offbench.errors import OffbenchError
from offbench.evaluation.record import digest_of
from offbench.sweep.job import Job
from offbench.sweep.objectives import Say, by_fqe, check_scored, episodes, online
from offbench.sweep.proposals import check_space, next_batch, optuna_version
from offbench.sweep.running import Engine, claimed, make_missing
from offbench.sweep.state import Sweep
from offbench.sweep.study import Study
from offbench.sweep.trials import Notebook, Outcome, Trial, best

Measure = Callable[[Sequence[Trial]], Mapping[int, Outcome]]  # what trials come to, by number
Engines = Callable[[int], tuple[Engine, int]]  # who makes so many runs, and how many of them at once


@dataclass(frozen=True)
class Tuned:
    """What a tuning came to.

    Attributes:
        chosen: the trial whose configuration was chosen.
        notebook: all trials.
        spent: what the records say of it.
        result: the runs of the chosen configuration.
        failed: why, of those that could not be made, by folder.
    """

    chosen: Trial
    notebook: Notebook
    spent: Mapping[str, Any]
    result: Sequence[Job]
    failed: Mapping[Path, str]


def search(notebook: Notebook, measure: Measure) -> Trial:
    """Ask for trials and have them measured until the budget is spent, and choose the best.

    Raises:
        OffbenchError: all trials of the first batch failed, which is not kept, so that they are tried again; or see
            `offbench.sweep.proposals.next_batch`.
    """
    study = notebook.study
    while notebook.waiting or len(notebook.trials) < study.search.trials:
        if not notebook.waiting:
            notebook.ask(next_batch(study, notebook.trials))
        _measure(notebook, measure)
    return best(notebook.trials)


def _measure(notebook: Notebook, measure: Measure) -> None:
    waiting = notebook.waiting
    new = [trial for trial in waiting if notebook.first_like(trial) is trial]
    found = dict(measure(new)) if new else {}
    known = {trial.number: trial.outcome for trial in notebook.trials if trial.outcome is not None} | found
    if all(outcome.value is None for outcome in known.values()):
        reasons = [why for outcome in known.values() for why in outcome.failed.values()]
        raise OffbenchError(f"all {len(known)} trials have failed, the first because: {reasons[0]}")
    notebook.tell({trial.number: known[notebook.first_like(trial).number] for trial in waiting})


def tune(
    study: Study,
    folder: Path,
    engines: Engines,
    device: str = "auto",
    quiet: bool = False,
    say: Say = lambda line: None,
) -> Tuned:
    """Make the trials, choose, and train the chosen configuration on the test seeds; what is done is not done again.

    Args:
        study: what is tuned.
        folder: of the tuning.
        engines: who makes the runs.
        device: of FQE.
        quiet: show nothing of the runs.
        say: hears how far it is.

    Raises:
        OffbenchError: the folder holds another tuning or is in use, the space is too small, all trials failed, or what
            is left would be made by other code than the trials before.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    check_space(study)
    made_by = _made_by(study)
    with claimed(folder):
        runs = _Runs(Notebook.opened(study, folder, made_by), engines, device, quiet, say)
        if runs.is_left:
            check_scored(study)
            _check_hands(folder, runs.notebook.made_by, made_by)
        chosen = search(runs.notebook, runs.measure)
        return runs.result(chosen)


def _made_by(study: Study) -> dict[str, str | None]:
    code = digest_of([package_digest(), registry.source_digest(registry.find(study.algorithm))])
    return {"code": code, "optuna": optuna_version() if study.search.tuner == "tpe" else None}


def _check_hands(folder: Path, before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    for name, what in (("code", "code of offbench or of the algorithm"), ("optuna", "version of Optuna")):
        if before.get(name) != now[name]:
            raise OffbenchError(
                f"the trials in {folder} were made with another {what}, and a choice among runs of both would say "
                "nothing; begin anew with another --output"
            )


class _Runs:
    """The runs of a tuning."""

    def __init__(self, notebook: Notebook, engines: Engines, device: str, quiet: bool, say: Say) -> None:
        self.notebook, self.study, self.engines, self.say = notebook, notebook.study, engines, say
        self.device, self.quiet = device, quiet
        self.version = notebook.made_by.get("optuna")

    @property
    def is_left(self) -> bool:
        """Whether anything is yet to be made."""
        notebook = self.notebook
        if notebook.waiting or len(notebook.trials) < self.study.search.trials:
            return True
        return not all(job.is_done for job in self._of_result(best(notebook.trials), self.spent(best(notebook.trials))))

    def of(self, trial: Trial) -> list[Job]:
        """The runs of a trial, one a dataset."""
        tuning = self.study.record(self.version, "trial", trial.number)
        folder = self.notebook.folder / "trials" / f"{trial.number:03d}"
        return self.study.jobs(trial.method, folder, self.study.seeds, tuning)

    def measure(self, trials: Sequence[Trial]) -> dict[int, Outcome]:
        """Make the runs of trials, and say what they are worth."""
        self.say(f"trials {trials[0].number} to {trials[-1].number} of {self.study.search.trials}")
        sweep = self._made([job for trial in self.notebook.distinct for job in self.of(trial)])
        failed = {
            trial.number: {
                job.dataset: sweep.failed[job.folder] for job in self.of(trial) if job.folder in sweep.failed
            }
            for trial in trials
        }
        done = [trial for trial in trials if not failed[trial.number]]
        runs = [self.of(trial) for trial in done]
        if self.study.by_fqe and done:
            values = by_fqe(self.study, runs, self.device, self.say)
        else:
            values = [online(jobs, self.study.search.objective) for jobs in runs]
        worth = dict(zip((trial.number for trial in done), values, strict=True))
        return {trial.number: Outcome(worth.get(trial.number), failed[trial.number]) for trial in trials}

    def result(self, chosen: Trial) -> Tuned:
        """Train the chosen configuration on the test seeds."""
        spent = self.spent(chosen)
        jobs = self._of_result(chosen, spent)
        if not all(job.is_done for job in jobs):
            self.say(f"trial {chosen.number} is chosen: {chosen.method.name}; now on the test seeds")
        trials = [job for trial in self.notebook.distinct for job in self.of(trial)]
        sweep = self._made([*trials, *jobs])
        failed = {job.folder: sweep.failed[job.folder] for job in jobs if job.folder in sweep.failed}
        return Tuned(chosen, self.notebook, spent, jobs, failed)

    def spent(self, chosen: Trial) -> dict[str, Any]:
        """What the records of the result say of the whole tuning; a configuration that came twice was made once."""
        trials = self.notebook.distinct
        jobs = [job for trial in trials for job in self.of(trial)]
        return self.study.record(
            self.version,
            "result",
            chosen.number,
            failed=sum(trial.value is None for trial in trials),
            runs=len(jobs) * len(self.study.seeds),
            episodes=0 if self.study.by_fqe else episodes(jobs, self.study.search.objective),
        )

    def _of_result(self, chosen: Trial, spent: Mapping[str, Any]) -> list[Job]:
        return self.study.jobs(chosen.method, self.notebook.folder / "result", self.study.test_seeds, spent)

    def _made(self, jobs: Sequence[Job]) -> Sweep:
        """Make those runs that are missing; trials that failed once are spent."""
        folders = {
            job.folder: trial.outcome.failed[job.dataset]
            for trial in self.notebook.distinct
            if trial.outcome is not None
            for job in self.of(trial)
            if job.dataset in trial.outcome.failed
        }
        engine, workers = self.engines(len(jobs))
        return make_missing(self.notebook.folder, jobs, engine, workers, self.quiet, folders)
