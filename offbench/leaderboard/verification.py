"""Verifying an entry as a stranger's: first its bytes, then its numbers, then its policies."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from offbench.basis.files import atomic
from offbench.errors import OffbenchError
from offbench.evaluation.machine import describe_machine
from offbench.leaderboard import completeness, plausibility, remeasuring
from offbench.leaderboard.archive import VERDICT, opened
from offbench.leaderboard.contents import Contents, check_suite, read_contents
from offbench.leaderboard.entry import Check, Level, Remeasured, Verification
from offbench.leaderboard.results import Result, entry_digest, read_results
from offbench.leaderboard.rivals import check_rivals, entries_of_team
from offbench.leaderboard.sandbox import Limits, need_machine
from offbench.leaderboard.suite import Suite
from offbench.leaderboard.suite import suite as find_suite
from offbench.nn.random import stream

Say = Callable[[str], object]
NumberCheck = Callable[[Contents, Suite], str]

CHECKS: dict[str, NumberCheck] = {
    "suite": check_suite,
    "completeness": completeness.check_complete,
    "data": completeness.check_data,
    "tasks and simulators": completeness.check_tasks,
    "starts": completeness.check_starts,
    "method": completeness.check_method,
    "provenance": completeness.check_provenance,
    "tuning": completeness.check_tuning,
    "possible returns": plausibility.check_bounds,
    "spreads": plausibility.check_spreads,
    "copies within": plausibility.check_copies,
    "policies": remeasuring.check_policies,
}
# Without these the others may find nothing to look at.
DECISIVE = ("suite", "completeness")


@dataclass(frozen=True)
class Settings:
    """How an entry is verified.

    Attributes:
        episodes: of each policy on starts drawn afterwards; the suite's if None.
        start_seed: what those are drawn with; drawn itself if None, which is what keeps it secret.
        limits: of the sandbox.
        suite: the suite, where it is none of offbench's own, such as one with hidden tasks.
        strict: whether policies are played only where the kernel keeps them from files, by landlock or seccomp.
    """

    episodes: int | None = None
    start_seed: int | None = None
    limits: Limits = field(default_factory=Limits)
    suite: Suite | None = None
    strict: bool = False


def verify(
    path: Path,
    results: Path | None = None,
    settings: Settings | None = None,
    *,
    again: bool = False,
    say: Say = lambda text: None,
) -> Verification:
    """The verdict on an entry; nothing is written.

    Args:
        path: folder or archive.
        results: folder of the leaderboard's results, with whose entries this one is compared.
        settings: how; the defaults if None.
        again: whether a verdict that lies in the folder is passed over.
        say: told what is being done.

    Raises:
        OffbenchError: it is no entry that can be read: its files, digests or schemas are wrong. Everything later is a
            check of the verdict that did not pass. Or this machine can play no policies.
    """
    settings = settings or Settings()
    with opened(path, verified=again) as folder:
        contents = read_contents(folder)
        digest = entry_digest(folder)
    suite = settings.suite or find_suite(contents.entry.suite)
    if contents.policies:
        need_machine()  # that policies cannot be played here is no fault of the entry
    others = others_than(path, results)
    checks = number_checks(contents, suite, others)
    remeasured: list[Remeasured] = []
    protections: tuple[str, ...] = ()
    start_seed = None
    if contents.policies and all(check.passed for check in checks):
        start_seed = secrets.randbits(63) if settings.start_seed is None else settings.start_seed
        more, remeasured, protections = _played(contents, suite, settings, start_seed, say)
        checks += more
    level: Level = "re-evaluated" if remeasured and all(check.passed for check in checks) else "self-reported"
    return Verification(
        entry_digest=digest,
        level=level,
        checks=checks,
        remeasured=remeasured,
        start_seed=start_seed,
        protections=list(protections),
        verified=datetime.now(UTC),
        packages=describe_machine()[1],
    )


def number_checks(contents: Contents, suite: Suite, others: Sequence[Result] = ()) -> list[Check]:
    """All checks that need no simulator, in order; those after a decisive one that failed are left out."""
    every: dict[str, NumberCheck] = CHECKS | {
        "other entries": lambda entry, tasks: check_rivals(entry, tasks, others),
        "team": lambda entry, tasks: f"{entries_of_team(entry.entry.team, others)} entries of this team before",
    }
    checks = []
    for name, look in every.items():
        try:
            with np.errstate(all="ignore"):
                checks.append(Check(name=name, passed=True, message=look(contents, suite)))
        except OffbenchError as error:
            checks.append(Check(name=name, passed=False, message=str(error)))
            if name in DECISIVE:
                break
    return checks


def _played(
    contents: Contents, suite: Suite, settings: Settings, start_seed: int, say: Say
) -> tuple[list[Check], list[Remeasured], tuple[str, ...]]:
    """Checks that play the policies, what they earned and what kept them from the machine."""
    generator = stream(start_seed, "permutations")
    remeasured: list[Remeasured] = []
    protections: tuple[str, ...] = ()
    try:
        for task in suite.tasks:
            episodes = settings.episodes or suite.episodes_of(task)
            played, protections = remeasuring.play(
                contents, task, episodes, start_seed, settings.limits, say, strict=settings.strict
            )
            remeasuring.check_repetition(task, played)
            remeasured.append(remeasuring.compare(task.dataset, played, generator))
    except OffbenchError as error:
        return [Check(name="acting", passed=False, message=str(error))], [], protections
    acting = Check(name="acting", passed=True, message="every policy acts, and earns again what its record says")
    return [acting, remeasuring.check_agreement(remeasured)], remeasured, protections


def others_than(path: Path, results: Path | None) -> list[Result]:
    """All entries of the leaderboard but the one that lies at ``path``."""
    if results is None:
        return []
    if not results.is_dir():
        raise OffbenchError(f"there is no folder of results {results}")
    own = path.resolve()
    return [each for each in read_results(results) if each.folder.resolve() != own]


def write_verdict(verification: Verification, path: Path) -> Path:
    """Write a verdict; into the folder of its entry where ``path`` is that."""
    target = path / VERDICT if path.is_dir() else path
    with atomic(target) as temporary:
        temporary.write_text(verification.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return target
