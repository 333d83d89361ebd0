"""``offbench evaluate``: score the policies of a finished run on fresh starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.cli.scores import show_scores
from offbench.errors import OffbenchError
from offbench.evaluation.record import write_record
from offbench.training.folder import RunFolder
from offbench.training.run import evaluate as evaluate_run


def evaluate(
    run: Annotated[Path, tyro.conf.Positional], episodes: int = 100, task: str | None = None, output: Path | None = None
) -> None:
    """Score the policies of a finished run on fresh starts.

    Example: offbench evaluate runs/demo/iql --episodes 200

    Args:
        run: The run's folder.
        episodes: Episodes of each seed.
        task: Task to score in; the run's own if not given.
        output: Folder for the records of this evaluation, one a seed; nothing is written if not given.
    """
    # The folder of a run holds the records of its training, under the same names.
    if output is not None and (RunFolder(output).exists or output.resolve().is_relative_to(run.resolve())):
        raise OffbenchError(f"{output} lies in the folder of a run, whose records it must not mix with; name another")
    records = evaluate_run(run, episodes=episodes, task=task)
    show_scores(records)
    if output is not None:
        for record in records:
            write_record(record, output / f"seed-{record.seed}.json")
        print(f"records: {output}")


def run(argv: list[str]) -> int:
    """Parse ``argv`` and evaluate."""
    tyro.cli(evaluate, prog="offbench evaluate", args=argv)
    return 0
