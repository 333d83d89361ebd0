"""``offbench data regenerate``: the policy in a D4RL file acts again, in the simulator of today."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from offbench.basis.plain import plain
from offbench.catalog.progress import shown
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError

if TYPE_CHECKING:
    from offbench.catalog.regeneration import Regeneration


def regenerate_dataset(
    source: Annotated[str, tyro.conf.Positional],
    /,
    transitions: int = 100_000,
    output: Path | None = None,
    seed: int = 0,
    task: str | None = None,
) -> None:
    """Roll out the policy that a D4RL file stores, in the simulator of today, and compare with the file's episodes.

    The policy is first checked against the log-probabilities stored with the data.

    Examples:
        offbench data regenerate d4rl/halfcheetah-medium-v2
        offbench data regenerate hopper_medium-v2.hdf5 --transitions 1000000 --output hopper.hdf5

    Args:
        source: D4RL HDF5 file, or the id of a dataset that is one.
        transitions: Least number of transitions; the last episode is recorded to its end.
        output: The file, NAME-regenerated.hdf5 by default: D4RL's HDF5, or a native file if it ends in .safetensors
            or .offbench.
        seed: Of starts and of the policy's noise; more transitions of a seed begin with the same episodes.
        task: Task to act in; by default that of the dataset.
    """
    # Imported here because it pulls in the simulators, which the other commands on data do without.
    from offbench.catalog.regeneration import regenerate

    where = output or Path(f"{Path(source).stem}-regenerated.hdf5")
    if where.exists():
        raise OffbenchError(f"{where} exists; name another file with --output, or remove it")
    with shown(where.name, "steps") as progress:
        made = regenerate(source, transitions, seed, task, progress)
    made.save(where)
    print(plain(_text(made), lines=True))
    print(f"written: {plain(where)}")


def _text(made: Regeneration) -> str:
    """The check of the policy and the returns of both datasets."""
    found, policy = made.agreement, made.policy
    units = ", ".join(str(weights.shape[1]) for weights, _ in policy.hidden)
    lines = [
        f"policy of {made.path.name}: {policy.origin or 'of unknown origin'}, hidden layers of {units} units",
        f"  log-probabilities of {found.rows:,} stored actions: 99% agree within {found.usual:.1e}, "
        f"all within {found.largest:.1e}",
        f"{'in ' + made.task.name:<22}{'episodes':>10}{'transitions':>13}{'mean return':>20}",
        _row("  regenerated", made.trajectories),
        _row("  in the file, complete", made.original),
    ]
    if made.card is not None and made.card.mean_return is not None:
        lines.append(f"{'  published':<45}{made.card.mean_return:>14,.1f}")
    return "\n".join(lines + [f"  known difference: {each}" for each in made.task.known_differences])


def _row(name: str, trajectories: Trajectories) -> str:
    counts = f"{name:<22}{len(trajectories):>10,}{trajectories.steps:>13,}"
    if not len(trajectories) or trajectories.rewards is None:
        return counts
    returns = trajectories.returns
    error = f" ± {returns.std(ddof=1) / len(returns) ** 0.5:,.1f}" if len(returns) > 1 else ""
    return counts + f"{returns.mean():>14,.1f}" + error
