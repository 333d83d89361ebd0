"""Reading OGBench's ``.npz`` files; `offbench.formats.shards` joins the many that its largest datasets are.

Layout (Park et al. 2025, "OGBench: Benchmarking Offline Goal-Conditioned RL", https://arxiv.org/abs/2410.20092, and the
package's loader, https://github.com/seohongpark/ogbench), T+1 rows an episode of T steps::

    observations (N, observation) or pictures      actions (N, action), powderworld (N,) whole numbers
    terminals    (N,) 1 on the row of an episode's last state, whatever happened there
    qpos, qvel, button_states    (N, ...) the simulator's state, in some

The action of an episode's last row leads nowhere that is known. No dataset ends by a termination: every end is a
truncation, and its final observation is known. The package's loader also makes a *regular* layout, in which the last
rows are dropped, next_observations stand beside and terminals mark the last steps; what it calls *compact* has a column
``valids`` and is read by `offbench.formats.rows`, as are rewards and masks of its single tasks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.npz import read_arrays
from offbench.formats.rows import ROW_COLUMNS, flags, from_rows
from offbench.formats.source import Source
from offbench.formats.state_rows import from_state_rows

_KIND = "an .npz file of OGBench"
_NEEDED = {"observations", "actions", "terminals"}
_STATES = ("qpos", "qvel", "button_states", "oracle_reps")
_KNOWN = _NEEDED | {*_STATES, "next_observations"}


def recognises(source: Source) -> bool:
    """Whether it is an OGBench file.

    Its columns are few, without rewards, and its episodes are of one length to the last row: where a file of others has
    no rewards either, its episodes seldom are.
    """
    names = {name.removesuffix(".npy") for name in source.names}
    if not _NEEDED <= names <= _KNOWN:
        return False
    terminals = read_arrays(source.path, _KIND, only=("terminals",))["terminals"].reshape(-1)
    if len(terminals) == 0:
        return True
    ends = np.flatnonzero(terminals)
    return len(ends) > 0 and ends[-1] == len(terminals) - 1 and len(set(np.diff(ends, prepend=-1).tolist())) == 1


def read_ogbench(path: Path | str) -> Trajectories:
    """The trajectories of an OGBench file.

    Every end is a truncation. Simulator states become extras, of T+1 rows an episode where the file has them.

    Raises:
        DataError: the file is missing, damaged, or has no rows.
    """
    path = Path(path)
    arrays = read_arrays(path, _KIND)
    absent = sorted(_NEEDED - arrays.keys())
    if absent:
        raise DataError(f"{path} has no {', '.join(absent)}, which {_KIND} has")
    if arrays["terminals"].size == 0:
        raise DataError(f"{path} has no rows; OGBench's scripts write such validation files beside few episodes")
    rows = len(arrays["observations"])
    for name, array in arrays.items():
        if len(array) != rows:
            raise DataError(f"{name} of {path} has {len(array)} rows; {rows} would be right, as in observations")
    last = flags(path, "terminals", arrays["terminals"].reshape(-1))
    notes = ["OGBench's terminals are ends of episodes by the clock, and none is a termination"]
    states = {name: column for name, column in arrays.items() if name not in ROW_COLUMNS}
    actions = arrays["actions"]
    actions = actions.reshape(-1, 1) if actions.ndim == 1 else actions
    bounds = None
    if actions.dtype.kind == "f":
        bounds = (np.full(actions.shape[1:], -1, np.float32), np.full(actions.shape[1:], 1, np.float32))
    columns = {"observations": arrays["observations"], "actions": actions}
    if "next_observations" in arrays:
        columns |= {"next_observations": arrays["next_observations"], "ends": last}
        return from_rows(path, columns, states, notes, action_range=bounds)
    return from_state_rows(path, columns, states, last, None, notes, bounds)


def raw_rows(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """(columns, extras) as they lie in the file, with ``is_last`` for what it calls terminals."""
    arrays = read_arrays(path, _KIND)
    columns = {name: arrays.pop(name) for name in (*ROW_COLUMNS,) if name in arrays}
    ends = "ends" if "next_observations" in columns else "is_last"
    if "terminals" in columns:
        columns[ends] = columns.pop("terminals")
    return columns, arrays
