"""Methods trained and scored side by side on one dataset: what several studies are made of.

Each method is a run of `offbench.train` in a folder of its own, so that an interrupted study goes on where it was, and
the page is rebuilt from the records at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records
from offbench.evaluation.statistics import caution, student_interval
from offbench.report.canvas import DOTS_PER_INCH, METADATA
from offbench.studies.drawing import STYLE

Say = Callable[[str], None]
ABSENT = "–"  # noqa: RUF001 - the dash of printed tables


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
        name: of the row and, with letters and digits alone, of its folder.
        algorithm: registered name.
        settings: hyperparameters and options of its training that are not those of the comparison.
        left_out: why this budget does not run it; empty where it does.
        split: what of the comparison's dataset it is given (`offbench.data.supervision`); empty for all.
    """

    name: str
    algorithm: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""
    split: str = ""

    @property
    def folder(self) -> str:
        """Where its run lies, below the study's."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.name).split()).lower()


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how much is done.

    Attributes:
        title, text: of the page; the text says what the question is.
        dataset: id.
        methods: in the order of the page.
        seeds: numbers of the seeds of every method.
        steps: gradient updates of each.
        episodes: of an evaluation.
        evaluations: how many over the run.
        settings: options and hyperparameters that every run is given.
    """

    title: str
    text: str
    dataset: str
    methods: Sequence[Method]
    seeds: Sequence[int]
    steps: int
    episodes: int
    evaluations: int = 10
    settings: Mapping[str, Any] = field(default_factory=dict)


def some(comparison: Comparison, only: Sequence[str]) -> Comparison:
    """The comparison with ``only`` some of its methods, all if there are none of these.

    Raises:
        OffbenchError: no method has such a name.
    """
    names = [method.name for method in comparison.methods]
    if unknown := [name for name in only if name not in names]:
        raise OffbenchError(f"no method of this study is called {unknown[0]!r}; there are: {'; '.join(names)}")
    return replace(comparison, methods=tuple(each for each in comparison.methods if not only or each.name in only))


def play(comparison: Comparison, output: Path, say: Say) -> None:
    """Train what has not been trained; a method that cannot be is told and left out of the page.

    Raises:
        OffbenchError: no method could be trained.
    """
    import offbench

    failed: list[str] = []
    for method in comparison.methods:
        folder = output / method.folder
        if method.left_out:
            say(f"{method.name}: not run, {method.left_out}")
            continue
        if finished(folder):
            say(f"{method.name}: trained before, return {_interval(returns(read_records([folder])))}")
            continue
        say(f"{method.name}: {comparison.steps:,} updates, {len(comparison.seeds)} seeds")
        settings = {
            "seeds": list(comparison.seeds), "steps": comparison.steps, "episodes": comparison.episodes,
            "evaluate_every": max(1, comparison.steps // comparison.evaluations), "quiet": True,
            **comparison.settings, **method.settings,
        }  # fmt: skip
        try:
            run = offbench.train(
                method.algorithm,
                "?".join(filter(None, (comparison.dataset, method.split))),
                output=folder,
                resume=(folder / "manifest.json").exists(),
                **settings,
            )
        except OffbenchError as error:
            failed.append(f"{method.name}: {error}")
            say(f"{method.name}: failed: {error}")
            continue
        say(f"{method.name}: return {_interval(returns(run.records))}")
    tried = tuple(f"{method.name}: " for method in comparison.methods)
    before = [line for line in _failures(output) if not line.startswith(tried)]
    with atomic(output / "failed.txt") as temporary:
        temporary.write_text("".join(f"{line}\n" for line in before + failed), encoding="utf-8")


def _failures(output: Path) -> list[str]:
    """A line for each method that could not be trained: its name and why."""
    reasons = output / "failed.txt"
    return reasons.read_text(encoding="utf-8").splitlines() if reasons.exists() else []


def finished(folder: Path) -> bool:
    """Whether the run of a method has its records, which are written last."""
    return any(folder.glob("seed-*.json"))


def returns(records: Sequence[RunRecord]) -> list[float]:
    """Mean return of each seed at its last evaluation."""
    return [float(np.mean(record.evaluations[-1].returns)) for record in records]


RECENT = 5  # evaluations whose mean a page also shows: a policy that still learns changes from one to the next


def _recent(records: Sequence[RunRecord]) -> list[float]:
    """Mean return of each seed over its last evaluations, at most `RECENT`."""
    return [float(np.mean([np.mean(one.returns) for one in record.evaluations[-RECENT:]])) for record in records]


def write_page(comparison: Comparison, output: Path) -> list[Path]:
    """Write ``page.md`` and ``curves.png`` from the records in ``output``; returns their paths.

    Raises:
        OffbenchError: there is no record.
    """
    found = {
        method.name: read_records([output / method.folder])
        for method in comparison.methods
        if finished(output / method.folder)
    }
    if not found:
        raise OffbenchError(f"{output} holds no record of this study; run it without --page-only first")
    picture = _draw(comparison, found, output / "curves.png")
    page = output / "page.md"
    with atomic(page) as temporary:
        temporary.write_text(text(comparison, found, output), encoding="utf-8")
    return [page, picture]


def text(comparison: Comparison, found: Mapping[str, Sequence[RunRecord]], output: Path) -> str:
    """The page."""
    import offbench

    data = offbench.load(comparison.dataset)
    best = float(np.max(data.returns))
    one = next(iter(found.values()))[0]
    but = ", or as many as their flags say," if any("steps" in each.settings for each in comparison.methods) else ","
    lines = [
        f"# {comparison.title}",
        "",
        comparison.text,
        "",
        f"`{comparison.dataset}`: {len(data.returns):,} episodes, returns {np.mean(data.returns):.1f} on average, "
        f"{best:.1f} at best. {comparison.steps:,} updates each{but} seeds "
        f"{', '.join(map(str, comparison.seeds))}, {comparison.episodes} episodes an evaluation. Means over seeds of "
        f"the last evaluation (return, score) and of the last {RECENT}, [95% interval of the mean over seeds, Student "
        "t].",
        "",
    ]
    lines += _table(comparison, found, best)
    lines += ["", *(f"- {each.name}: {_flags(each)}" for each in comparison.methods if each.name in found)]
    for name, records in found.items():
        if warning := caution([record.final_score for record in records]):
            lines += ["", f"{name}: {warning}."]
    if comparison.settings:
        lines += ["", f"All of them: {_flags(comparison)}."]
    if len({record.code_digest for records in found.values() for record in records}) > 1:
        lines += ["", "The methods were trained by different versions of the code, as their records say."]
    lines += ["", f"Scored in `{one.task.name if one.task else '?'}`.", "", "![Returns over the run](curves.png)", ""]
    failed = _failures(output)
    absent = [method for method in comparison.methods if method.name not in found]
    told = {method.name for method in absent for line in failed if line.startswith(f"{method.name}: ")}
    not_run = [f"- {method.name}: {method.left_out or 'no record yet'}" for method in absent if method.name not in told]
    not_run += [f"- {line}" for line in failed]
    if not_run:
        lines += ["Not run:", "", *not_run, ""]
    return "\n".join(lines)


def _table(comparison: Comparison, found: Mapping[str, Sequence[RunRecord]], best: float) -> list[str]:
    """A row a method; where some seed earns more than the data's best episode, how many do."""
    exceeded = any(value > best for records in found.values() for value in returns(records))
    above = f" above {best:.1f} |" if exceeded else ""
    lines = [
        f"| | return | last {RECENT} | score |{above} each seed | minutes |",
        f"|---|---:|---:|---:|{'---:|' if above else ''}---|---:|",
    ]
    for method in comparison.methods:
        records = found.get(method.name)
        if records is None:
            continue
        last = returns(records)
        scores = [float(record.scores(record.evaluations[-1]).mean()) for record in records]
        cells = [method.name, _interval(last), _interval(_recent(records)), _interval(scores)]
        cells += [f"{sum(value > best for value in last)} of {len(last)}"] if above else []
        # Minutes are of the whole run, what updates rest on included.
        cells += [", ".join(f"{value:.0f}" for value in last), f"{records[0].wall_seconds / 60:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _flags(of: Method | Comparison) -> str:
    """What was set, and which split was learned from."""
    split = [f"`?{of.split}`"] if isinstance(of, Method) and of.split else []
    return " ".join(split + [f"`{name}={value}`" for name, value in of.settings.items()])


def _interval(values: Sequence[float]) -> str:
    """Mean and interval over seeds."""
    interval = student_interval(values)
    mean = f"{np.mean(values):.1f}"
    return mean if interval is None else f"{mean} [{interval[0]:.1f}, {interval[1]:.1f}]"


COLOURS, DASHES = 8, ("-", "--", "-.")  # more colours than these are not told apart


def _draw(comparison: Comparison, found: Mapping[str, Sequence[RunRecord]], path: Path) -> Path:
    """Mean return over updates, a line a method, with the interval over seeds; dotted: the best return of the data.

    The axis spans what any seed and the data returned; intervals of few seeds that reach beyond are cut.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    import offbench

    sns.set_theme(context="paper", style="whitegrid", rc=STYLE)  # type: ignore[no-untyped-call]
    figure, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    palette = sns.color_palette("colorblind", COLOURS)  # type: ignore[no-untyped-call]
    ends: list[float] = []
    for place, (name, records) in enumerate(found.items()):
        colour, dashes = palette[place % COLOURS], DASHES[place // COLOURS % len(DASHES)]
        steps = [evaluation.step for evaluation in records[0].evaluations]
        values = np.array([[np.mean(one.returns) for one in record.evaluations] for record in records])
        axes.plot(steps, values.mean(0), color=colour, linestyle=dashes, label=name)
        bands = [student_interval(column) or (np.nan, np.nan) for column in values.T]
        axes.fill_between(
            steps, *np.array(bands).T, color=colour, alpha=0.15 if len(found) <= COLOURS else 0.07, linewidth=0
        )
        ends += [values.min(), values.max()]
    best = float(np.max(offbench.load(comparison.dataset).returns))
    margin = 0.05 * (max(*ends, best) - min(ends))
    axes.set_ylim(min(ends) - margin, max(*ends, best) + margin)
    axes.axhline(best, color="0.4", linestyle=":", linewidth=1)
    axes.set(xlabel="Gradient updates", ylabel="Return")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata=METADATA[".png"])
    plt.close(figure)
    return path
