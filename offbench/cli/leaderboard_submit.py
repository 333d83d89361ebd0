"""``offbench leaderboard submit`` and ``verify``: handing an entry in, and checking one as a stranger's."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.leaderboard.archive import VERDICT, opened
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.entry import Verification
from offbench.leaderboard.packing import Authors, pack
from offbench.leaderboard.results import entry_digest, read_result
from offbench.leaderboard.suite import suite as find_suite
from offbench.leaderboard.verification import Settings, verify, write_verdict

REFUSED = 2
LONGEST_NAME = 100  # of an entry's folder; systems have names of 255 bytes
Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]


def submit(
    runs: Runs,
    /,
    suite: str,
    method: str,
    team: str,
    output: Path,
    paper: str | None = None,
    code: str | None = None,
    trust: bool = False,
) -> None:
    """Pack finished runs on a suite into an entry: one folder or archive, which anybody can verify.

    Examples:
        offbench leaderboard submit runs/starter/iql --suite starter --method IQL --team us --output iql.tar.gz

    Args:
        runs: Run folders, or folders above them: together the tasks and seeds of the suite, and nothing else.
        suite: Name of the suite.
        method: Name of the method, as tables show it.
        team: Who hands it in; entries are counted by it.
        output: A new folder, .zip or .tar.gz.
        paper: Address of the paper.
        code: Address of the code.
        trust: Import the module of an algorithm that the runs name as module:Class, which runs its code.
    """
    entry = pack(runs, find_suite(suite), Authors(method, team, paper, code), output, trust=trust, say=_say)
    policies = sum(name.startswith("policies/") for name in entry.files)
    print(f"{plain(output)}: {len(entry.files) - policies} records, {policies} policies")
    print(f"next: offbench leaderboard verify {plain(output)}")


def verify_entry(
    entry: Annotated[Path, tyro.conf.Positional],
    results: Path | None = None,
    episodes: int | None = None,
    seed_file: Path | None = None,
    output: Path | None = None,
    suite: str | None = None,
    add: bool = False,
    again: bool = False,
) -> int:
    """Verify an entry as a stranger's: its bytes, its numbers, and its policies on starts drawn now.

    Ends with 2 where it is refused, after saying why.

    Examples:
        offbench leaderboard verify iql.tar.gz
        offbench leaderboard verify leaderboards/results/starter/iql --results leaderboards/results

    Args:
        entry: Folder or archive.
        results: Folder of a leaderboard's results, with whose entries it is compared; where the entry lies in it, its
            verdict is written beside it.
        episodes: Episodes of each policy on starts drawn now; the suite's if not given.
        seed_file: File with one number, with which the starts are drawn; a secret one is drawn if not given.
        output: File for the verdict.
        suite: Name or TOML file of the suite, where it is none that comes with offbench; that which the entry names if
            not given.
        add: Copy the entry into results once it is accepted.
        again: Pass over a verdict that lies in the folder, and write it anew.
    """
    if add and results is None:
        raise OffbenchError("say with --results where the entry is to be added")
    if add and results is not None and not results.exists():
        results.mkdir(parents=True)  # the first entry of a leaderboard of one's own
    chosen = None if suite is None else find_suite(suite)
    settings = Settings(episodes=_positive(episodes), start_seed=seed_of(seed_file), suite=chosen)
    verdict = verify(entry, results, settings, again=again, say=_say)
    show(verdict)
    if output is not None:
        print(f"verdict: {plain(write_verdict(verdict, output))}")
    if verdict.accepted and add and results is not None:
        print(f"added: {plain(added(entry, results, verdict))}")
    elif results is not None and entry.is_dir() and entry.resolve().is_relative_to(results.resolve()):
        print(f"verdict: {plain(write_verdict(verdict, entry))}")
    return 0 if verdict.accepted else REFUSED


def check_results(
    results: Annotated[Path, tyro.conf.Positional], episodes: int | None = None, strict: bool = False
) -> int:
    """Verify every entry of a folder of results that has no verdict yet, and write the verdicts.

    Of those that have one it looks whether their records are still the same.

    What the workflow of pull requests does. Ends with 2 where one is refused, after looking at all.

    Examples:
        offbench leaderboard check leaderboards/results

    Args:
        results: Folder of a leaderboard's results: SUITE/ENTRY/entry.json.
        episodes: Episodes of each policy on starts drawn now; the suite's if not given.
        strict: Refuse to play policies where neither landlock nor seccomp is in force.
    """
    if not results.is_dir():
        raise OffbenchError(f"there is no folder of results {results}")
    settings = Settings(episodes=_positive(episodes), strict=strict)
    entries = [path.parent for path in sorted(results.glob("*/*/entry.json"))]
    waiting = [each for each in entries if not (each / VERDICT).exists()]
    refused = _changed(each for each in entries if each not in waiting)
    print(f"{len(waiting)} entries without a verdict")
    for entry in waiting:
        print(plain(entry.relative_to(results)))
        try:
            verdict = verify(entry, results, settings, say=_say)
        except OffbenchError as error:
            print(f"REFUSED {plain(error)}")
            refused += 1
            continue
        show(verdict)
        refused += not verdict.accepted
        write_verdict(verdict, entry)
    return REFUSED if refused else 0


def _changed(verified: Iterable[Path]) -> int:
    """How many entries with a verdict are no longer what was verified; each is told."""
    count = 0
    for entry in verified:
        try:
            read_result(entry)
        except OffbenchError as error:
            print(f"REFUSED {plain(error)}")
            count += 1
    return count


def show(verdict: Verification) -> None:
    """Print a verdict: each check, claimed and measured scores, protections, and the level."""
    for check in verdict.checks:
        print(f"{'ok     ' if check.passed else 'REFUSED'} {check.name}: {plain(check.message)}")
    for each in verdict.remeasured:
        print(
            f"        {plain(each.dataset)}: claimed {each.claimed:.1f}, measured {each.measured:.1f} over "
            f"{each.seeds} x {each.episodes} episodes (p = {each.p_value:.2g}), replayed {each.replayed:.1f}"
        )
    for again in verdict.retrained:
        claimed = f"{sum(again.claimed) / len(again.claimed):.1f}" if again.claimed else "nothing"
        measured = sum(again.measured) / len(again.measured)
        print(
            f"        {plain(again.dataset)}: claimed {claimed}, trained anew {measured:.1f} over "
            f"{len(again.seeds)} seeds ({'not tested' if again.p_value is None else f'p = {again.p_value:.2g}'})"
        )
    if verdict.protections:
        print(f"sandbox: {'; '.join(map(plain, verdict.protections))}")
    print(f"accepted: {verdict.level}" if verdict.accepted else f"refused for {len(verdict.refusals)} reasons")


def added(path: Path, results: Path, verdict: Verification) -> Path:
    """Copy an accepted entry into a folder of results, under a name made of its method's and its team's."""
    with opened(path, verified=True) as folder:
        entry = read_contents(folder).entry
        if entry_digest(folder) != verdict.entry_digest:
            raise OffbenchError(f"{path} was changed while it was verified; verify it anew")
        name = f"{entry.method} {entry.team}".lower()[:LONGEST_NAME]
        slug = "".join(c if c.isalnum() and c.isascii() else "-" for c in name)
        target = results / entry.suite / slug
        if target.exists():
            raise OffbenchError(f"{target} exists; move it elsewhere, or name the method otherwise")
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("verification.json"))
    write_verdict(verdict, target)
    return target


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr)


def _positive(episodes: int | None) -> int | None:
    if episodes is not None and episodes < 2:
        raise OffbenchError(f"episodes must be at least 2, not {episodes}")
    return episodes


def seed_of(path: Path | None) -> int | None:
    """The number in a file, None where none is named.

    Raises:
        OffbenchError: it cannot be read, or holds no number that seeds can be drawn with.
    """
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OffbenchError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OffbenchError(f"{path} holds no number") from error
    if not isinstance(found, int) or not 0 <= found < 2**63:
        raise OffbenchError(f"{path} holds no whole number from 0 to 2**63")
    return found
