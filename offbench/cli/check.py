"""``offbench check``: whether an algorithm does what every algorithm must do."""

from __future__ import annotations

import dataclasses
from typing import Any

import tyro

from offbench.algorithms import registry
from offbench.basis.plain import plain
from offbench.cli.flags import part
from offbench.conformance.report import Finding, check
from offbench.conformance.toys import LEARNING_STEPS
from offbench.errors import OffbenchError
from offbench.training.options import check_names

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
    if named:
        check_names(found)
    budget, changes = _parse(
        found, "offbench check " + (plain(argv[0]) if named else "ALGORITHM"), argv[1:] if named else argv
    )
    results = check(argv[0], steps=budget.steps, **changes)
    conclude(argv[0], results)
    return 0


@dataclasses.dataclass(frozen=True)
class Effort:
    """What a check may spend."""

    steps: int = LEARNING_STEPS
    """Updates in which an algorithm has to learn; the budget that a learner's fit is given."""


def _parse(found: Any, program: str, flags: list[str]) -> tuple[Effort, dict[str, Any]]:
    """What may be spent, and the hyperparameters that were given as flags."""
    default = found.Config(**found.quick) if registry.is_algorithm(found) else registry.configure(found, "", {})
    kind = dataclasses.make_dataclass("Check", [part("effort", Effort()), part("hyperparameter", default)])
    parsed: Any = tyro.cli(kind, prog=program, description=DESCRIPTION, args=flags)
    given = parsed.hyperparameter
    names = [field.name for field in dataclasses.fields(default) if field.init]
    changes = {name: getattr(given, name) for name in names if getattr(given, name) != getattr(default, name)}
    return Effort(parsed.effort.steps), changes


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
    print(f"{plain(name)} passes {len(results) - len(silent)} checks{rest}")
