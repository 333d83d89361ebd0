"""Run records as a pandas data frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offbench.errors import OffbenchError
from offbench.evaluation.index import read_indexed
from offbench.evaluation.rows import Per, rows

if TYPE_CHECKING:
    import pandas as pd


def records(path: str | Path | Sequence[str | Path], per: Per = "run") -> pd.DataFrame:
    """The records of run folders as a data frame.

    ``offbench.records("runs").groupby(["dataset", "algorithm"]).final_score.mean()`` is a table.

    Args:
        path: a run folder, which is searched at any depth for ``seed-*.json``, such a file, or several of either.
        per: ``run`` for a row a record; ``evaluation`` for a row an evaluation, with its step and mean score.

    Returns:
        Columns as in `offbench.evaluation.rows.rows`: algorithm, dataset, task, seed, steps, ``config.NAME`` for each
        hyperparameter, and of a run final_score, best_score, times, digests and versions.

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
    return pd.DataFrame({name: [row[name] for row in found] for name in names})
