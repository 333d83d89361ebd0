"""``offbench check``: whether an algorithm does what every algorithm must do."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable
from typing import Any

import tyro

from offbench.algorithms import registry
from offbench.conformance import checks, learners
from offbench.conformance.report import Finding, findings
from offbench.errors import OffbenchError

DESCRIPTION = """Check whether an algorithm does what every algorithm must do, and say what it does wrong.

ALGORITHM is a registered name (offbench algorithms list) or module:Class, of a module in the current folder as well.
What is checked: docs/your-algorithm.md. Hyperparameters: offbench check ALGORITHM --help

Example: offbench check iql --expectile 0.9"""


def run(argv: list[str]) -> int:
    """Parse ``argv``, which begins with the algorithm, and check it."""
    if argv[:1] in (["-h"], ["--help"]):
        argv = [*argv[1:], argv[0]]
    named = bool(argv) and not argv[0].startswith("-")
    if not named and not {"-h", "--help"} & set(argv):
        raise OffbenchError("check needs an algorithm: offbench check NAME, or offbench check module:Class")
    found = registry.find(argv[0]) if named else registry.NoHyperparameters
    changes = _changes(found, "offbench check " + (argv[0] if named else "ALGORITHM"), argv[1:] if named else argv)
    if registry.is_algorithm(found):
        results = show(findings(checks.Subject(found, changes), checks.CHECKS))
    else:
        results = show(findings(learners.Subject(found, changes), learners.CHECKS))
    conclude(argv[0], results)
    return 0


def _changes(found: Any, program: str, flags: list[str]) -> dict[str, Any]:
    """The hyperparameters that were given as flags."""
    flat: Any = tyro.conf.OmitArgPrefixes
    default = found.Config(**found.quick) if registry.is_algorithm(found) else registry.configure(found, "", {})
    parsed = tyro.cli(flat[type(default)], prog=program, description=DESCRIPTION, args=flags, default=default)
    names = [field.name for field in dataclasses.fields(default) if field.init]
    return {name: getattr(parsed, name) for name in names if getattr(parsed, name) != getattr(default, name)}


def show(results: Iterable[Finding]) -> list[Finding]:
    """Print findings as they come: the check, its outcome and its seconds, and below that what is wrong."""
    seen = []
    for finding in results:
        print(f"  {finding.check:<22} {finding.outcome:<12} {finding.seconds:5.1f} s", flush=True)
        if finding.sentence:
            print(textwrap.fill(finding.sentence, 116, initial_indent=" " * 6, subsequent_indent=" " * 6), flush=True)
        seen.append(finding)
    return seen


def conclude(name: str, results: list[Finding]) -> None:
    """Say how it ended.

    Raises:
        OffbenchError: a check failed.
    """
    failed = [finding.check for finding in results if finding.outcome == "failed"]
    if failed:
        raise OffbenchError(f"{name} fails {len(failed)} of {len(results)} checks: {', '.join(failed)}")
    silent = [finding.check for finding in results if finding.outcome == "not checked"]
    rest = f"; not checked: {', '.join(silent)}" if silent else ""
    print(f"{name} passes {len(results) - len(silent)} checks{rest}")
