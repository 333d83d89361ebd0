"""``offbench study``: experiments that write a page of tables and pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from offbench.studies.comparison import Comparison


def edge_of_reach(
    *, budget: Literal["small", "full"] = "small", output: Path = Path("runs/edge-of-reach"), page_only: bool = False
) -> None:
    """Show why Q explodes with perfect dynamics, and what mends it: base, oracle patch and RAVL in a plane.

    The same command goes on where it was interrupted, method by method.

    Examples:
        offbench study edge-of-reach --output runs/edge-of-reach

    Args:
        budget: small takes half an hour of one core, full is a GPU's.
        output: Folder of the records and the page.
        page_only: Rebuild the page from the records that are there.
    """
    from offbench.studies import edge_of_reach as study
    from offbench.studies.edge_page import write_page

    chosen = study.BUDGETS[budget]

    def otherwise(record: dict[str, Any]) -> str:
        wanted, found = (chosen.updates, chosen.seeds), (record["updates"], record["seeds"])
        told = f"of {found[0]:,} updates and {found[1]} seeds, not of {wanted[0]:,} and {wanted[1]}"
        return told if found != wanted else ""

    records = _records(study.METHODS, lambda part: study.run(part, chosen, _say), output, page_only, otherwise)
    _told(write_page(records, output))


def dynamics(
    *, budget: Literal["small", "full"] = "small", output: Path = Path("runs/dynamics-study"), page_only: bool = False
) -> None:
    """Show what value gradients, hold-out errors and a smoothed critic come to for learned dynamics.

    Small models among distractors; how far hold-out errors rank the policies that models train; a single model against
    an ensemble. The same command goes on where it was interrupted, part by part.

    Examples:
        offbench study dynamics --output runs/dynamics-study

    Args:
        budget: small takes some thirteen minutes of one core, full hours.
        output: Folder of the records and the page.
        page_only: Rebuild the page from the records that are there.
    """
    from dataclasses import asdict

    from offbench.studies import dynamics as study
    from offbench.studies.dynamics_page import write_page

    chosen = study.BUDGETS[budget]

    def otherwise(record: dict[str, Any]) -> str:
        return f"of another budget than {budget}" if record["budget"] != asdict(chosen) else ""

    records = _records(study.PARTS, lambda part: study.run(part, chosen, _say), output, page_only, otherwise)
    _told(write_page(records, output))


def coverage(*, output: Path = Path("runs/coverage"), page_only: bool = False) -> None:
    """Simulate how often intervals of 3, 5 and 10 seeds hold the mean, and how wide they are.

    Seeds that are normal, skewed, or succeed or fail; the rule that cautions against the last; shares of successes;
    aggregates over tasks. Two minutes of one core.

    Examples:
        offbench study coverage --output runs/coverage

    Args:
        output: Folder of the records and the page.
        page_only: Rebuild the page from the records that are there.
    """
    from offbench.studies import coverage as study
    from offbench.studies.coverage_page import write_page

    def otherwise(record: dict[str, Any]) -> str:
        wanted = study.SETS[record["part"]]
        return f"of {record['sets']:,} sets, not of {wanted:,}" if record["sets"] != wanted else ""

    records = _records(study.SETS, lambda part: study.run(part, _say), output, page_only, otherwise)
    _told(write_page(records, output))


def stitching(
    *,
    budget: Literal["small", "full"] = "small",
    output: Path = Path("runs/stitching"),
    page_only: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Ask who joins halves of two episodes: imitation, conditioned on returns or not, values, and models.

    The same command goes on where it was interrupted.

    Examples:
        offbench study stitching --output runs/stitching

    Args:
        budget: small takes twenty minutes of one core, full is a GPU's.
        output: Folder of the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies import stitching as study

    _compare(study.comparison(budget), output, page_only, only)


def penalties(
    *,
    budget: Literal["small", "full"] = "small",
    output: Path = Path("runs/penalties"),
    page_only: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Compare MOPO's penalties, each with the same number of weights to choose from.

    The same command goes on where it was interrupted.

    Examples:
        offbench study penalties --output runs/penalties

    Args:
        budget: small takes a quarter of an hour of one core, full is a GPU's.
        output: Folder of the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies import penalties as study

    _compare(study.comparison(budget), output, page_only, only)


def true_dynamics(
    *,
    budget: Literal["small", "medium", "full"] = "small",
    output: Path = Path("runs/true-dynamics"),
    page_only: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Show what is left of a method when its learned model becomes the simulator, by and by.

    The same command goes on where it was interrupted.

    Examples:
        offbench study true-dynamics --output runs/true-dynamics

    Args:
        budget: small takes an hour on two cores, medium minutes of a GPU beside 16 cores, full hours of them.
        output: Folder of the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies import true_dynamics as study

    _compare(study.comparison(budget), output, page_only, only)


def less_supervision(
    *,
    budget: Literal["small", "medium", "full"] = "small",
    output: Path = Path("runs/less-supervision"),
    page_only: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Show how far learning gets with actions in few episodes, or with comparisons in the place of rewards.

    The same command goes on where it was interrupted.

    Examples:
        offbench study less-supervision --output runs/less-supervision

    Args:
        budget: small takes minutes of a core, medium an hour of two, full is a GPU's.
        output: Folder of the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies import less_supervision as study

    _compare(study.comparison(budget), output, page_only, only, study.write_page)


def preferences(
    *,
    pairs: tuple[Path, ...],
    budget: Literal["small", "full"] = "small",
    output: Path = Path("runs/preferences"),
    page_only: bool = False,
) -> None:
    """Cross-validate reward models on published preferences: MLP, LSTM and Preference Transformer.

    Beside what always the majority comes to, and beside models of shuffled labels. The same command goes on where it
    was interrupted, model by model.

    Examples:
        offbench study preferences --pairs num100_human_train.npz num100_script_train.npz

    Args:
        pairs: Files of pairs as those of inverse preference learning (IPL).
        budget: small takes ten minutes of a core for two files of a hundred pairs, full is a GPU's.
        output: Folder of the records and the page.
        page_only: Rebuild the page from the records that are there.
    """
    from offbench.studies import preferences as study

    chosen, parts = study.BUDGETS[budget], study.parts(pairs)

    def otherwise(record: dict[str, Any]) -> str:
        return study.otherwise(record, pairs, chosen)

    records = _records(parts, lambda part: study.run(*parts[part], chosen, _say), output, page_only, otherwise)
    _told(study.write_page(records, output))


def labels(*, output: Path = Path("runs/labels"), page_only: bool = False, only: tuple[str, ...] = ()) -> None:
    """Show what learners take labels to say: by return, by regret, by factors, and with a quarter of them wrong.

    The same command goes on where it was interrupted. It takes half an hour of one core.

    Examples:
        offbench study labels --output runs/labels

    Args:
        output: Folder of the labels, the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies import labels as study

    if not page_only:
        output.mkdir(parents=True, exist_ok=True)
        study.write_labels(output, _say)
    _compare(study.comparison(output), output, page_only, only)


def value_pretraining(
    *, output: Path = Path("runs/value-pretraining"), page_only: bool = False, only: tuple[str, ...] = ()
) -> None:
    """Show what values learned without actions are worth to IQL with few: features phi(s), states, random features.

    The same command goes on where it was interrupted. It takes half an hour of one core.

    Examples:
        offbench study value-pretraining --output runs/value-pretraining

    Args:
        output: Folder of the runs and the page.
        page_only: Rebuild the page from the records that are there.
        only: Names of methods; the others are left for another time, or another process.
    """
    from offbench.studies.value_pretraining import comparison

    _compare(comparison(), output, page_only, only)


def _compare(
    comparison: Comparison,
    output: Path,
    page_only: bool,
    only: tuple[str, ...],
    write: Callable[[Comparison, Path], list[Path]] | None = None,
) -> None:
    """Train what has not been trained, of all methods or ``only`` of some, and ``write`` the page of all.

    Raises:
        OffbenchError: no method has such a name.
    """
    from offbench.studies.comparison import play, some, write_page

    chosen = some(comparison, only)
    output.mkdir(parents=True, exist_ok=True)
    if not page_only:
        play(chosen, output, _say)
    _told((write or write_page)(comparison, output))


def _records(
    parts: Iterable[str],
    run: Callable[[str], dict[str, Any]],
    output: Path,
    page_only: bool,
    otherwise: Callable[[dict[str, Any]], str],
) -> dict[str, dict[str, Any]]:
    """The records of a study's parts, those that are missing made now unless it is the page alone.

    Raises:
        OffbenchError: a record is of another budget, ``otherwise`` saying of which, or there is none.
    """
    output.mkdir(parents=True, exist_ok=True)
    records: dict[str, dict[str, Any]] = {}
    for part in parts:
        path = output / f"{part}.json"
        if not path.exists() and not page_only:
            record = run(part)
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(record), encoding="utf-8")
        if path.exists():
            records[part] = json.loads(path.read_text(encoding="utf-8"))
            if not page_only and (told := otherwise(records[part])):
                raise OffbenchError(f"{path} is {told}; name another --output")
    if not records:
        raise OffbenchError(f"{output} holds no record of this study; run it without --page-only first")
    return records


def _say(line: str) -> None:
    print(plain(line), file=sys.stderr, flush=True)


def _told(paths: Iterable[Path]) -> None:
    for path in paths:
        print(f"wrote {plain(path)}")


commands: dict[str, Callable[..., Any]] = {
    "coverage": coverage,
    "dynamics": dynamics,
    "edge-of-reach": edge_of_reach,
    "labels": labels,
    "less-supervision": less_supervision,
    "penalties": penalties,
    "preferences": preferences,
    "stitching": stitching,
    "true-dynamics": true_dynamics,
    "value-pretraining": value_pretraining,
}
