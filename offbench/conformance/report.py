"""Runs checks one after the other, and keeps and prints what each of them found."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from offbench.algorithms import registry
from offbench.basis.blame import place
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.conformance import checks, generators, learners
from offbench.conformance.check import BrokenError, Check, NotCheckedError
from offbench.conformance.subject import Subject
from offbench.conformance.toys import LEARNING_STEPS
from offbench.evaluation.rollout import one_torch_thread
from offbench.training.checks import check_count

Outcome = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: name of the check.
        outcome: whether it passed, failed, or could say nothing.
        sentence: why not; empty where it passed.
        seconds: time it took.
    """

    check: str
    outcome: Outcome
    sentence: str
    seconds: float


def check(algorithm: str | type, *, steps: int = LEARNING_STEPS, **hyperparameters: Any) -> list[Finding]:
    """Check an algorithm, print each finding as it comes, and return them.

    Each fit of a learner is told on standard error before it begins, for it may take long.

    Args:
        algorithm: registered name, ``module:Class``, or the class itself.
        steps: updates in which an algorithm has to learn; the budget that a learner's fit is given.
        **hyperparameters: fields of its config that differ from those that checks use.

    Raises:
        OffbenchError: there is no such algorithm or hyperparameter, or steps are none.
    """
    check_count("steps", steps)
    found = registry.find(registry.name_of(algorithm))
    registry.configure(found, "", hyperparameters)
    ours = registry.is_algorithm(found)
    subject = (
        Subject(found, hyperparameters, steps)
        if ours
        else learners.Subject(found, hyperparameters, steps, lambda line: tell(f"  {line}"))
    )
    seen = []
    with one_torch_thread():
        for finding in findings(subject, checks.CHECKS if ours else learners.CHECKS):
            _show(finding)
            seen.append(finding)
    return seen


def _show(finding: Finding) -> None:
    print(f"  {finding.check:<22} {finding.outcome:<12} {finding.seconds:5.1f} s", flush=True)
    if finding.sentence:
        sentence = plain(finding.sentence, lines=True)
        print(textwrap.fill(sentence, 116, initial_indent=" " * 6, subsequent_indent=" " * 6), flush=True)


def findings(subject: Any, checks: Sequence[Check]) -> Iterator[Finding]:
    """One finding a check, in order, as they come.

    What the subject's own code raises is a finding too: a failure that names the exception.
    """
    failed: set[str] = set()
    for check in checks:
        started = time.perf_counter()
        outcome, sentence = _run(subject, check, failed)
        if outcome == "failed" or (outcome == "not checked" and failed & set(check.needs)):
            failed.add(check.name)
        yield Finding(check.name, outcome, sentence, time.perf_counter() - started)


def _run(subject: Any, check: Check, failed: set[str]) -> tuple[Outcome, str]:
    first = [name for name in check.needs if name in failed]
    if first:
        return "not checked", f"{first[0]} must pass first"
    try:
        with generators.kept():
            check.run(subject)
    except NotCheckedError as reason:
        return "not checked", str(reason)
    except BrokenError as reason:
        return "failed", str(reason)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of the code under test, which may raise anything, SystemExit too
        lines, where = str(error).strip().splitlines(), place(error)
        said = f"it raised {type(error).__name__}{': ' + lines[0] if lines else ''}"
        return "failed", f"{said} ({where})" if where else said
    return "passed", ""
