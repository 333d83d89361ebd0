"""The page of the dynamics study, rebuilt from its records at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.studies import distractors, mismatch, single_model
from offbench.studies.drawing import figure, mean_cell, write_figure

Records = Mapping[str, dict[str, Any]]
# What the description of the experiment had, in a world of the same kind that was not described to the last number.
EXPECTED = {
    (4, "MSE"): 0.145, (4, "VaGraM"): 0.091, (4, "inner product"): 0.102,
    (16, "MSE"): 0.119, (16, "VaGraM"): 0.025, (16, "inner product"): 0.028,
    (128, "MSE"): 0.140, (128, "VaGraM"): 0.023, (128, "inner product"): 0.023,
}  # fmt: skip
JUDGES = {"nll": "negative log-likelihood", "mse": "mean square error (log)", "value_error": "value error (log)"}
VARIANTS = {
    "single": "one network",
    "stopped": "one network, stopped early",
    "smoothed": "one network, critic smoothed (weight 0.1)",
    "smoothed-stopped": "one network, stopped early, critic smoothed (weight 0.1)",
    "smoother": "one network, critic smoothed (weight 1)",
    "bounded": "one network, critic's layers bounded by 3",
    "ensemble": "seven networks",
}


def write_page(records: Records, folder: Path) -> list[Path]:
    """Write ``index.md`` with a picture for each experiment that has records; returns their paths."""
    drawn = [
        write_figure(draw(records), folder / f"{name}.png") for name, _, draw in EXPERIMENTS if _recorded(records, name)
    ]
    page = folder / "index.md"
    with atomic(page) as temporary:
        temporary.write_text(text(records), encoding="utf-8")
    return [page, *drawn]


def text(records: Records) -> str:
    """The page."""
    lines = [
        "# Dynamics and values",
        "",
        "Means over seeds with 95% intervals (Student t), unless it is said otherwise.",
        "",
    ]
    for name, section, _ in EXPERIMENTS:
        if _recorded(records, name):
            lines += [*section(records), "", f"![{name}]({name}.png)", ""]
    return "\n".join(lines)


def _recorded(records: Records, name: str) -> bool:
    return any(part.startswith(name) for part in records)


# -------------------------------------------------------------------- value gradients among distractors


def distractor_section(records: Records) -> list[str]:
    """The table of value errors."""
    record = records["distractors"]
    lines = [
        "## Value gradients among distractors",
        "",
        f"Two dimensions that matter and {distractors.DISTRACTORS} larger ones that do not, "
        f"{distractors.TRANSITIONS:,} transitions, one hidden layer, {record['epochs']} epochs, {record['seeds']} "
        f"seeds. Value error: the mean of |V(s^') - V(s')| over {distractors.TESTED:,} new transitions; MSE over all "
        "dimensions.",
        "",
        "| units | loss | value error | MSE | value error there |",
        "|---:|---|---:|---:|---:|",
    ]
    for row in record["rows"]:
        cells = [str(row["hidden"]), row["loss"], mean_cell(row["value_error"]), mean_cell(row["mse"])]
        lines.append(f"| {' | '.join(cells)} | {EXPECTED[row['hidden'], row['loss']]:.3f} |")
    return lines


def draw_distractors(records: Records) -> Any:
    """Value error and mean square error over the width, a line a loss, a dot a seed."""
    drawing, panels, colours = figure(2)
    rows = records["distractors"]["rows"]
    for axes, name, label in zip(panels, ("value_error", "mse"), ("Mean |V(ŝ') - V(s')|", "MSE"), strict=True):
        for colour, loss in zip(colours, distractors.LOSSES, strict=False):
            own = [row for row in rows if row["loss"] == loss]
            axes.plot([row["hidden"] for row in own], [np.mean(row[name]) for row in own], color=colour, label=loss)
            for row in own:
                axes.plot([row["hidden"]] * len(row[name]), row[name], ".", color=colour, markersize=4)
        axes.set(xscale="log", yscale="log" if name == "value_error" else "linear", xlabel="Units", ylabel=label)
    panels[0].legend(frameon=False)
    return drawing


# -------------------------------------------------------------------- the objective mismatch


def mismatch_section(records: Records) -> list[str]:
    """The checkpoints, and how what they are judged by goes with returns."""
    record = records["mismatch"]
    rows, (judges, returns) = record["rows"], mismatch.pairs_of(record)
    lines = [
        "## The objective mismatch",
        "",
        f"Single models of the pendulum, fitted to {record['episodes']} episodes; {record['seeds']} seeds a "
        f"checkpoint, {record['updates']:,} updates of a policy in each, which branches off states of the data and "
        f"sees no transition of theirs. Returns are the mean over the last {mismatch.SCORED} evaluations.",
        "",
        "| hidden | epochs | NLL | MSE | value error | error after 1, 5, 20 steps | return |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        steps = ", ".join(f"{np.mean(row['by_step'][step - 1]):.2g}" for step in (1, 5, mismatch.STEPS))
        cells = [row["size"], str(row["epochs"]), *(f"{np.mean(row[name]):.3g}" for name in mismatch.JUDGES), steps]
        lines.append(f"| {' | '.join(cells)} | {np.mean(row['returns']):.0f} |")
    lines += [
        "",
        f"Correlations with the return over the {len(rows)} checkpoints, with 95% bootstrap intervals (checkpoints "
        "drawn again):",
        "",
        "| | Pearson | Spearman |",
        "|---|---:|---:|",
    ]
    for name, title in JUDGES.items():
        cells = []
        for statistic in (mismatch.pearson, mismatch.spearman):
            low, high = mismatch.interval(statistic, judges[name], returns)
            cells.append(f"{statistic(judges[name], returns):.2f} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    for name in ("nll", "mse"):
        columns = judges["value_error"], judges[name], returns
        low, high = mismatch.interval(mismatch.closer, *columns)
        lines += [
            "",
            f"|Spearman| of the value error minus that of the {JUDGES[name]}: {mismatch.closer(*columns):+.2f} "
            f"[{low:+.2f}, {high:+.2f}].",
        ]
    return lines


def draw_mismatch(records: Records) -> Any:
    """Returns over what checkpoints are judged by, and their errors by step; a colour a size."""
    drawing, panels, colours = figure(3)
    record = records["mismatch"]
    judges, returns = mismatch.pairs_of(record)
    for place, (row, one) in enumerate(zip(record["rows"], returns, strict=True)):
        colour, stage = colours[list(mismatch.SIZES).index(row["size"])], place % len(mismatch.STAGES)
        for axes, name in zip(panels, ("mse", "value_error"), strict=False):
            axes.plot(judges[name][place], one, "ov^"[stage], color=colour, markersize=4)
        steps = np.mean(row["by_step"], 1)
        label = row["size"] if stage == 0 else None
        panels[2].plot(range(1, len(steps) + 1), steps, color=colour, alpha=0.4 + 0.3 * stage, label=label)
    panels[0].set(xlabel="log10 hold-out MSE", ylabel="Return")
    panels[1].set(xlabel="log10 value error", ylabel="Return")
    panels[2].set(xlabel="Steps", ylabel="Median distance (deviations)", yscale="log")
    panels[2].legend(frameon=False, fontsize=8, loc="lower right")
    return drawing


# -------------------------------------------------------------------- a single model


def single_section(records: Records) -> list[str]:
    """Returns, and what the models cost."""
    found = {name: records[f"single-model-{name}"] for name in VARIANTS if f"single-model-{name}" in records}
    one = next(iter(found.values()))
    lines = [
        "## A single model and a smooth critic",
        "",
        f"{200 * single_model.EPISODES:,} transitions of the pendulum, {one['seeds']} seeds, {one['updates']:,} "
        "updates, no penalty. Fitting: seconds of one core for a model of one seed. Memory: its parameters, their "
        "gradient and Adam's moments.",
        "",
        "| | return, last 2 evaluations | best evaluation | epochs | hold-out MSE, best member | fitting | memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, record in found.items():
        returns = np.array(record["returns"])
        cells = [mean_cell(returns[-mismatch.SCORED :].mean(0).tolist()), mean_cell(returns.max(0).tolist())]
        epochs = dict.fromkeys((min(record["epochs"]), max(record["epochs"])))
        cells += [" to ".join(map(str, epochs)), f"{np.mean(record['hold_out']):.3f}"]
        cells += [f"{record['fit_seconds']:.1f} s", f"{record['bytes'] / 2**20:.1f} MiB"]
        lines.append(f"| {VARIANTS[name]} | {' | '.join(cells)} |")
    return lines


def draw_single(records: Records) -> Any:
    """Returns over the updates, the mean over seeds and a dot a seed."""
    drawing, (axes, aside), colours = figure(2)
    for colour, (name, title) in zip(colours, VARIANTS.items(), strict=False):
        if (record := records.get(f"single-model-{name}")) is None:
            continue
        returns = np.array(record["returns"])
        updates = record["updates"] // len(returns) * np.arange(1, len(returns) + 1)
        axes.plot(updates, returns.mean(1), color=colour, label=title)
        axes.plot(updates, returns, ".", color=colour, markersize=3)
    axes.set(xlabel="Gradient updates", ylabel="Return")
    aside.axis("off")
    aside.legend(*axes.get_legend_handles_labels(), loc="center left", frameon=False, fontsize=9)
    return drawing


EXPERIMENTS: tuple[tuple[str, Callable[[Records], list[str]], Callable[[Records], Any]], ...] = (
    ("distractors", distractor_section, draw_distractors),
    ("mismatch", mismatch_section, draw_mismatch),
    ("single-model", single_section, draw_single),
)
