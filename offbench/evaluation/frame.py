"""Run records as rows of plain values, and as a pandas data frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.index import IndexedRun, read_indexed
from offbench.evaluation.rows import Row, evaluation_rows

if TYPE_CHECKING:
    import pandas as pd

Per = Literal["run", "evaluation"]


def rows(runs: Sequence[IndexedRun], per: Per = "run") -> list[Row]:
    """Rows in the order of the runs, and of the steps within one; all have the same columns.

    Args:
        runs: records.
        per: ``run`` for a row a record (`offbench.evaluation.rows.run_row`), ``evaluation`` for a row an evaluation.

    Raises:
        UnknownNameError: ``per`` is neither.
    """
    if per not in get_args(Per):
        raise UnknownNameError("kind of rows", per, get_args(Per))
    found: list[Row] = []
    for run in runs:
        row: Row = {**run.row, "path": str(run.path)}
        found += [row] if per == "run" else evaluation_rows(row, run.curve)
    columns: dict[str, None] = {}
    for keys in dict.fromkeys(tuple(row) for row in found):
        columns |= dict.fromkeys(keys)
    # What only some records have, such as fields of other algorithms, stands after what all have.
    ordered = [name for name in columns if "." not in name] + sorted(name for name in columns if "." in name)
    return [{name: row.get(name) for name in ordered} for row in found]


def records(path: str | Path | Sequence[str | Path], per: Per = "run") -> pd.DataFrame:
    """The records of run folders as a data frame.

    ``offbench.records("runs").groupby(["dataset", "algorithm"]).final_score.mean()`` is a table.

    Args:
        path: a run folder, which is searched at any depth for ``seed-*.json``, such a file, or several of either.
        per: ``run`` for a row a record; ``evaluation`` for a row an evaluation, with its step and mean score.

    Returns:
        Columns as in `offbench.evaluation.rows.run_row`: algorithm, dataset, task, seed, steps, ``config.NAME`` for a
        hyperparameter, and of a run final_score, best_score, times, digests and versions; ``created`` is a time.

    Raises:
        OffbenchError: pandas is not installed, or a path has no records (`offbench.evaluation.index.read_indexed`).
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise OffbenchError(
            "records as a data frame need pandas: pip install 'offbench[pandas]'; "
            "offbench report records RUNS --format csv writes the same without it"
        ) from error
    paths = [path] if isinstance(path, str | Path) else path
    found = rows(read_indexed([Path(one) for one in paths]), per)
    names = list(found[0]) if found else []
    frame = pd.DataFrame({name: [row[name] for row in found] for name in names})
    return (
        frame.assign(created=pd.to_datetime(frame.created, format="ISO8601", utc=True)) if "created" in frame else frame
    )
