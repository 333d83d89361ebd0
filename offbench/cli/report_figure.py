"""``offbench report figure`` and ``offbench report curves``: pictures made from run records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.evaluation.record_files import read_records

if TYPE_CHECKING:
    from offbench.report.canvas import Drawn, Size
    from offbench.report.rollout_figure import Rollouts

Kind = Literal["curves", "intervals", "profiles", "improvement", "budget", "rollouts"]
Runs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
# Which width suits a figure where none is asked for.
SIZES: Mapping[str, Size] = {
    "curves": "two-column",
    "intervals": "two-column",
    "profiles": "one-column",
    "improvement": "one-column",
    "budget": "two-column",
    "rollouts": "two-column",
}


def curves(
    runs: Runs,
    /,
    output: Path = Path("curves.png"),
    size: Literal["one-column", "two-column", "page"] = "two-column",
    labels: Path | None = None,
    data: bool = True,
) -> None:
    """Draw the learning curves of runs: mean score and 95% interval over seeds, one panel a dataset.

    Examples:
        offbench report curves runs/demo --output runs/demo/curves.png

    Args:
        runs: Run folders, searched at any depth for seed-*.json, or such files.
        output: Picture to write; a PNG, a PDF and the data as CSV of this name are made.
        size: Width in print, a column or the text of a paper in two columns; page is as high as a page.
        labels: TOML file with short names of algorithms and datasets.
        data: Draw the mean and the best score of the data where these are at hand without a download.
    """
    figure("curves", runs, output=output, size=size, labels=labels, data=data)


def figure(
    kind: Annotated[Kind, tyro.conf.Positional],
    runs: Runs,
    /,
    output: Path | None = None,
    size: Literal["one-column", "two-column", "page"] | None = None,
    labels: Path | None = None,
    data: bool = True,
    over: str = "",
    pulls: int = 200,
    episodes: int = 3,
    frames: int = 8,
) -> None:
    """Draw runs: curves, intervals, profiles, improvement, budget or rollouts.

    curves: score against updates. intervals: IQM, mean, median and optimality gap over datasets. profiles: the share of
    runs above each score. improvement: how likely one algorithm beats another. budget: score against the episodes that
    tuning may take, all configurations and seeds of an algorithm being its policies. rollouts: pictures of episodes,
    worst to best, of one run or of a dataset by its id.

    Examples:
        offbench report figure intervals runs/iql runs/bc --output intervals.png
        offbench report figure rollouts offbench/pendulum/swingup-v0 --episodes 2

    Args:
        kind: What to draw.
        runs: Run folders, searched at any depth for seed-*.json, or such files; for rollouts a run or a dataset's id.
        output: Picture to write, KIND.png by default; a PNG, a PDF and the data as CSV of this name are made.
        size: Width in print, a column or the text of a paper in two columns; page is as high as a page.
        labels: TOML file with short names of algorithms and datasets.
        data: In curves, draw the mean and the best score of the data where these are at hand without a download.
        over: In improvement, compare all others with this algorithm alone.
        pulls: In budget, episodes that tuning may take.
        episodes: In rollouts, how many.
        frames: In rollouts, pictures of each.
    """
    from offbench.report.canvas import check_output, write

    where = output or Path(f"{kind}.png")
    check_output(where)
    chosen = size or SIZES[kind]
    if kind == "rollouts":
        from offbench.report.rollout_figure import draw

        drawn = draw(_rollouts(runs, episodes), chosen, frames=frames)
    else:
        drawn = _drawn(kind, runs, chosen, labels, data, over, pulls)
    for note in drawn.notes:
        print(plain(note), file=sys.stderr)
    for path in write(drawn, where):
        print(f"wrote {plain(path)}")


def _drawn(
    kind: Kind, runs: tuple[Path, ...], size: Size, labels: Path | None, data: bool, over: str, pulls: int
) -> Drawn:
    # Imported here because matplotlib is, too.
    from offbench.report import aggregate_figure, budget_figure, improvement_figure, profile_figure
    from offbench.report import curves as learning_curves
    from offbench.report.labels import read_labels

    names, records = read_labels(labels), read_records(runs)
    if kind == "curves":
        return learning_curves.draw(records, size, names, data=data)
    if kind == "improvement":
        return improvement_figure.draw(records, size, names, over_whom=over)
    if kind == "budget":
        return budget_figure.draw(records, size, names, pulls=pulls)
    draw = aggregate_figure.draw if kind == "intervals" else profile_figure.draw
    return draw(records, size, names)


def _rollouts(runs: tuple[Path, ...], episodes: int) -> Rollouts:
    from offbench.report.rollout_figure import of_dataset, of_run

    if len(runs) != 1:
        raise OffbenchError(f"rollouts are of one run or of one dataset; {len(runs)} were named")
    return of_run(runs[0], episodes) if (runs[0] / "manifest.json").exists() else of_dataset(str(runs[0]), episodes)
