"""Regenerating a dataset: the policy that a D4RL file stores acts again, in the task that its card names.

What comes out has as many transitions as asked for and is compared with what the file holds, which shows how far the
simulator of today is D4RL's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offbench import __version__
from offbench.basis.shapes import Array
from offbench.behaviours.tanh_gaussian import TanhGaussianPolicy
from offbench.catalog.cards import Card, card, cards
from offbench.catalog.content import digest
from offbench.catalog.loading import fetch_shown, load
from offbench.data.trajectories import Provenance, Trajectories
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.environments.task import task as find_task
from offbench.errors import DataError, OffbenchError
from offbench.formats import native
from offbench.formats.d4rl_policy import StoredPolicy, read_policy
from offbench.formats.writers import write_d4rl
from offbench.generation.recording import record_transitions

Progress = Callable[[int, int], None]
"""Called with the number of steps done and the number of all."""

# Episodes that are stepped together. With another number, as with another number of BLAS's threads, the products of the
# network round differently in their last bit, and the episodes of a seed would be others.
BATCH = 32

CHECKED_ROWS = 10_000  # evenly spread over the file
# In two published files all rows agree within 1.3e-5, which is the rounding of float32. Trained longer, a policy has
# smaller standard deviations and amplifies it, most of all where tanh is flat: so a larger bound, and for 99% of rows.
# With the means' weights off by a thousandth, those files miss it by a factor of twenty.
TOLERANCE, SHARE = 1e-3, 0.99
# Nearer to 1, a float32 action no longer tells what was squashed.
_LAST_TOLD = 0.999999


@dataclass(frozen=True)
class Agreement:
    """How well a stored policy explains the log-probabilities that are stored beside it.

    Attributes:
        rows: number of rows compared.
        usual: 99% of the rows differ by no more than this.
        largest: difference.
    """

    rows: int
    usual: float
    largest: float


@dataclass(frozen=True)
class Regeneration:
    """A regenerated dataset beside its original.

    Attributes:
        trajectories: what was regenerated, float32, with ``action_log_probs`` as an extra column.
        original: the complete episodes of the file.
        path: the file.
        policy: what acted.
        agreement: of the file's log-probabilities with the policy.
        task: what it acted in.
        card: the card of the file, where one is known.
        seed: what the episodes were drawn from.
    """

    trajectories: Trajectories
    original: Trajectories
    path: Path
    policy: StoredPolicy
    agreement: Agreement
    task: Task
    card: Card | None
    seed: int

    def save(self, output: Path) -> None:
        """Write the trajectories: natively if the file is called so, else as a D4RL file, which keeps the policy too.

        Raises:
            OffbenchError: the file cannot be written.
        """
        if output.suffix in (native.SUFFIX, ".safetensors"):
            native.save(self.trajectories, output)
            return
        made = {f"note{i}": note for i, note in enumerate(self.trajectories.provenance.notes)}
        algorithm = {"algorithm": self.policy.origin} if self.policy.origin else {}
        write_d4rl(self.trajectories, output, {**algorithm, **made, **self.policy.metadata()})


def regenerate(
    source: str | Path,
    transitions: int = 100_000,
    seed: int = 0,
    task: str | None = None,
    progress: Progress = lambda done, size: None,
) -> Regeneration:
    """Roll out the policy stored in a D4RL file, after a check that it is the one that made the file's data.

    Whole episodes are recorded until there are at least ``transitions`` steps, so none is cut. More transitions of the
    same seed begin with the same episodes. The same arguments give the same bytes on the same machine with the same
    packages and the same number of threads (OMP_NUM_THREADS).

    Args:
        source: the file, or the id of a dataset, which is downloaded if need be.
        transitions: least number of steps.
        seed: of starts and of the policy's noise.
        task: name of the task to act in; by default that of the dataset's card, which a file is known by its name.
        progress: hears of (steps done, all).

    Raises:
        DataError: the file holds no such policy, or one that does not explain its data or does not fit the task.
        OffbenchError: no task is known, or a number is too small.
    """
    if transitions < 1 or seed < 0:
        raise OffbenchError(f"transitions must be at least 1 and the seed at least 0, not {transitions} and {seed}")
    path, known = _locate(source)
    policy = read_policy(path)
    name = task or (known.task if known else None)
    if name is None:
        raise OffbenchError(f"no dataset is known whose file is called {path.name}; name its task with --task")
    chosen = find_task(name)
    original = load(path)
    simulator = make_simulator(chosen, BATCH)
    try:
        _check_sizes(policy, simulator, chosen)
        agreement = check_log_probs(policy, original, (simulator.action_low, simulator.action_high))
        trajectories = _roll_out(policy, simulator, transitions, seed, progress)
    finally:
        simulator.close()
    provenance = Provenance(f"{path.stem}-regenerated", task=chosen.name, notes=_notes(path, policy, chosen, seed))
    whole = (original.terminations | original.truncations)[original.offsets[1:] - 1]
    return Regeneration(
        replace(trajectories, provenance=provenance), original[whole], path, policy, agreement, chosen, known, seed
    )


def check_log_probs(policy: StoredPolicy, data: Trajectories, bounds: tuple[Array, Array]) -> Agreement:
    """Compare the log-probabilities stored with data with those that a policy gives to the same actions.

    The authors computed them with rlkit's TanhNormal from the action before tanh, in its exact form
    ``2 (log 2 - x - softplus(-2x))`` for the logarithm of tanh's slope. (The older form, log(1 - a^2 + 1e-6), is off by
    up to 9e-3 on the published files.) Only rows whose actions stay within 0.999999 are compared: nearer to 1, the
    rounding of the action decides.

    Args:
        policy: what is said to have acted.
        data: observations, actions and ``action_log_probs``.
        bounds: (low, high), each (action,), of the actions.

    Raises:
        DataError: there are no log-probabilities, or they are not those of the policy.
    """
    stored = data.extras.get("action_log_probs")
    if stored is None or stored.shape != (data.steps,) or data.actions is None:
        raise DataError(
            f"{data.name} has no infos/action_log_probs of one number a step, which tell whether the stored policy "
            "made the data"
        )
    sizes = data.observations.shape[1:], data.actions.shape[1:]
    if sizes != ((policy.observation_size,), (policy.action_size,)):
        raise DataError(
            f"the policy of {data.name} takes observations of {policy.observation_size} numbers and gives actions of "
            f"{policy.action_size}; those of the data have shapes {sizes[0]} and {sizes[1]}"
        )
    rows = np.unique(np.linspace(0, data.steps - 1, CHECKED_ROWS).round().astype(np.int64))
    low, high = bounds
    centred = np.abs(2 * data.actions[rows] - low - high) / (high - low)
    rows = rows[(centred <= _LAST_TOLD).all(axis=1)]
    if not len(rows):
        raise DataError(
            f"all actions of {data.name} lie at the bounds, so that the policy cannot be compared with them"
        )
    seen = data.observations[rows + np.searchsorted(data.offsets, rows, side="right") - 1]
    found = _acting(policy, low, high).log_prob(seen, data.actions[rows])
    differences = np.abs(found - stored[rows])
    usual = float(np.quantile(differences, SHARE, method="higher"))
    if not usual <= TOLERANCE:
        raise DataError(
            f"the policy in {data.name} did not make its data: in 1% of {len(rows):,} rows, the stored log-probability "
            f"of the action differs from the policy's by {usual:.3g} or more, and {TOLERANCE:g} would be rounding"
        )
    return Agreement(len(rows), usual, float(differences.max()))


# -------------------------------------------------------------------- helpers


def _locate(source: str | Path) -> tuple[Path, Card | None]:
    """The file and the card of a file or of a dataset id."""
    if isinstance(source, str) and source in cards():
        chosen = card(source)
        if chosen.reader != "d4rl" or len(chosen.files) != 1:
            raise OffbenchError(f"{source} is no dataset of one D4RL file, which would hold a policy")
        return fetch_shown(chosen, chosen.files[0]), chosen
    path = Path(source).expanduser()
    named = [each for each in cards().values() if [file.name for file in each.files] == [path.name]]
    return path, named[0] if len(named) == 1 else None


def _acting(policy: StoredPolicy, low: Array, high: Array, seeds: list[int] | None = None) -> TanhGaussianPolicy:
    return TanhGaussianPolicy(policy.hidden, policy.mean, policy.log_std, low, high, seeds)


def _check_sizes(policy: StoredPolicy, simulator: Simulator, task: Task) -> None:
    sizes = simulator.observation_size, len(simulator.action_low)
    if (policy.observation_size, policy.action_size) != sizes:
        raise DataError(
            f"the policy takes observations of {policy.observation_size} numbers and gives actions of "
            f"{policy.action_size}, but the task {task.name} has {sizes[0]} and {sizes[1]}; name the task that the "
            "data come from"
        )


def _roll_out(
    policy: StoredPolicy, simulator: Simulator, transitions: int, seed: int, progress: Progress
) -> Trajectories:
    """Float32 episodes with log-probabilities of the actions."""
    low, high = simulator.action_low, simulator.action_high
    data = record_transitions(
        simulator,
        lambda seeds: _acting(policy, low, high, seeds),
        transitions,
        [seed],
        lambda done: progress(done, transitions),
    )
    assert data.actions is not None
    before = data.sources
    log_probs = _acting(policy, low, high).log_prob(data.observations[before], data.actions)
    return replace(data, extras={"action_log_probs": log_probs.astype(np.float32)})


def _notes(path: Path, policy: StoredPolicy, task: Task, seed: int) -> tuple[str, ...]:
    origin = f" ({policy.origin})" if policy.origin else ""
    versions = ", ".join(f"{name} {version}" for name, version in task.simulator_versions().items())
    dynamics = " in D4RL's dynamics" if task.dynamics == "d4rl" else ""
    return (
        f"made with the policy{origin} stored in {path.name}, sha256 {digest(path)}",
        f"recorded in {task.environment} of {versions}{dynamics} by offbench {__version__} from seed {seed}",
        *task.known_differences,
    )
