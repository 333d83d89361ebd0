"""``offbench ope``: what policies are worth by the data alone, beside what they return; ``offbench select`` chooses."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.basis.streams import tell
from offbench.errors import OffbenchError, UnknownNameError
from offbench.selection.fqe import FQEConfig

if TYPE_CHECKING:
    from offbench.selection.candidates import Candidate
    from offbench.selection.estimation import Predictions

Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
Files = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")]
Config = Annotated[FQEConfig, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class How:
    """How values are estimated."""

    seed: int = 0
    """Of everything that is drawn."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one."""
    trust: bool = False
    """Import modules that runs name as module:Class, which runs their code."""
    quiet: bool = False
    """Show no progress."""


Options = Annotated[How, tyro.conf.arg(name="")]
DEFAULTS, HOW = FQEConfig(), How()


def ope(
    runs: Runs,
    /,
    dataset: str | None = None,
    episodes: int = 100,
    top: tuple[int, ...] = (1, 3),
    output: Path | None = None,
    config: Config = DEFAULTS,
    how: Options = HOW,
) -> None:
    """Estimate what policies are worth from the data that they learned from, and play them to say how good that was.

    Every seed of every run is a policy. Estimators: fitted Q evaluation, weighted importance sampling, doubly robust;
    beside them what people use, the learner's own Q and the nearness to the data, and chance.

    Examples:
        offbench ope runs/iql-0.5 runs/iql-0.7 runs/iql-0.9 --updates 20000
        offbench ope table ope-1.json ope-2.json        (what --output wrote, several repetitions side by side)

    Args:
        runs: Folders of finished runs that learned from one dataset.
        dataset: Id or file of the data that the runs learned from; the id that they name if not given.
        episodes: Episodes of each policy that the truth is the mean of; 0 to play none.
        top: k of regret@k.
        output: File for all numbers, JSON.
        config: Of fitted Q evaluation.
        how: How values are estimated.
    """
    from offbench.selection.candidates import true_values
    from offbench.selection.outcome import markdown, outcome

    found, predictions = _predicted(runs, dataset, config, how)
    truth = scored = None
    if episodes:
        task = found[0].run.manifest.plan.whole_task
        if task is None:
            raise OffbenchError(f"{runs[0]} was trained without a task to play in; use --episodes 0")
        if not how.quiet:
            tell(f"playing {len(found)} policies, {episodes} episodes each in {plain(task.name)}")
        truth, scored = true_values(found, task, episodes, config.discount)
    numbers = outcome([one.name for one in found], predictions, truth, scored, top)
    sys.stdout.write(plain(markdown(numbers, config.discount), lines=True))
    if output is not None:
        _write(output, numbers, config, how)


def select(runs: Runs, /, dataset: str | None = None, config: Config = DEFAULTS, how: Options = HOW) -> None:
    """Choose among runs by fitted Q evaluation, without playing: the mean over the seeds of each run.

    Examples:
        offbench select runs/iql-0.5 runs/iql-0.7 runs/iql-0.9 --updates 20000

    Args:
        runs: Folders of finished runs that learned from one dataset.
        dataset: Id or file of the data that the runs learned from; the id that they name if not given.
        config: Of fitted Q evaluation; the same for all, and never tuned on returns.
        how: How values are estimated.
    """
    from offbench.selection.estimation import FQE

    found, predictions = _predicted(runs, dataset, config, how)
    values = predictions.values[FQE]
    means = {
        run: sum(float(value) for one, value in zip(found, values, strict=True) if one.run.folder == run)
        / sum(one.run.folder == run for one in found)
        for run in dict.fromkeys(one.run.folder for one in found)
    }
    for run in sorted(means, key=lambda each: -means[each]):
        print(f"{means[run]:12,.3f}  {plain(run)}")
    print(
        f"chosen: {plain(max(means, key=lambda each: means[each]))}, by FQE: mean value at the first states of the "
        f"data, discounted with {config.discount:g}, where the data's own episodes come to {predictions.behaviour:,.3f}"
    )


def _predicted(
    runs: tuple[Path, ...], dataset: str | None, config: FQEConfig, how: How
) -> tuple[list[Candidate], Predictions]:
    """The policies and what is said of them."""
    from offbench.catalog.loading import load
    from offbench.selection.candidates import candidates, view_of
    from offbench.selection.estimation import predict

    found = candidates(runs, how.trust)
    plan = found[0].run.manifest.plan
    try:
        data = load(dataset or plan.dataset)
    except UnknownNameError as error:
        if dataset is not None:
            raise
        raise OffbenchError(f"{runs[0]} learned from a file of {plan.dataset}; name it with --dataset") from error
    view = view_of(found, data, dataset or plan.dataset, how.device)
    say = (lambda line: None) if how.quiet else (lambda line: tell(plain(line)))
    return found, predict(found, view, config, how.seed, say)


def _write(path: Path, numbers: dict[str, Any], config: FQEConfig, how: How) -> None:
    kept = {"config": asdict(config), "seed": how.seed, **numbers}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    tell(f"wrote {plain(path)}")


def table(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")], /
) -> None:
    """Show what offbench ope --output wrote, of one evaluation or of several repetitions.

    Examples:
        offbench ope table docs/selection/pendulum-0.json docs/selection/pendulum-1.json

    Args:
        files: Files that offbench ope --output wrote, of policies that were played.
    """
    from offbench.selection import outcome, repetitions

    found = [repetitions.read(path) for path in files]
    if not found:
        raise OffbenchError("ope table takes the files that offbench ope --output wrote")
    single = len(found) == 1
    text = outcome.markdown(found[0], found[0]["config"]["discount"]) if single else repetitions.markdown(found)
    sys.stdout.write(plain(text, lines=True))


def run(argv: list[str]) -> int:
    """Parse ``argv`` and estimate, or show what was estimated."""
    if argv[:1] == ["table"]:
        tyro.cli(table, prog="offbench ope table", args=argv[1:])
        return 0
    tyro.cli(ope, prog="offbench ope", args=argv)
    return 0
