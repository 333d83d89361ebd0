"""The page of the edge-of-reach study, rebuilt from its records at any time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.files import atomic
from offbench.studies import plane
from offbench.studies.drawing import figure, mean_cell, write_figure

Records = Mapping[str, dict[str, Any]]
TITLES = {"base": "base", "patched": "oracle patch", "ravl": "RAVL"}


def write_page(records: Records, folder: Path) -> list[Path]:
    """Write ``page.md`` with its pictures ``curves.png`` and ``q.png``; returns their paths."""
    drawn = [
        write_figure(_draw_curves(records), folder / "curves.png"),
        write_figure(_draw_surfaces(records), folder / "q.png"),
    ]
    page = folder / "page.md"
    with atomic(page) as temporary:
        temporary.write_text(text(records), encoding="utf-8")
    return [page, *drawn]


def text(records: Records) -> str:
    """The page."""
    best = best_return()
    one = next(iter(records.values()))
    lines = [
        "# The edge of reach",
        "",
        f"Branches of {plane.LENGTH} steps in a plane whose true dynamics play them, so that no model is wrong. "
        f"{one['updates']:,} updates, {one['seeds']} seeds, mean over the last evaluation with 95% intervals of the "
        f"mean over seeds (Student t). A return is the sum of {plane.HORIZON} rewards; the best policy earns "
        f"{best:.1f}. Rewards are at most 1 and gamma is 0.99, so that discounted rewards add up to at most 100; Q "
        "also counts the policy's entropy, which is below 1.4 a step, times the temperature.",
        "",
        "| | return | each seed | mean Q of a batch | largest over the run | next states at the edge |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name, record in records.items():
        last, curves = record["curves"][-1], record["curves"]
        largest = max(max(map(abs, row["q"])) for row in curves)
        edge = np.mean([row["edge"] for row in curves])
        each = ", ".join(f"{value:.1f}" for value in last["returns"])
        cells = [mean_cell(last["returns"]), each, mean_cell(last["q"]), f"{largest:.3g}", f"{100 * edge:.1f}%"]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    lines += ["", "How far the critics differ, mean - min:", "", "| | within reach | at the edge |", "|---|---:|---:|"]
    for name, record in records.items():
        within, at_edge = (mean_cell(record["penalty"][place]) for place in ("within", "edge"))
        lines.append(f"| {TITLES[name]} | {within} | {at_edge} |")
    lines += ["", "![Q and return over the run](curves.png)", "", "![Q over the plane](q.png)", ""]
    return "\n".join(lines)


def best_return() -> float:
    """What the way straight to the hill earns from the evaluation's starts."""
    import torch

    states, total = plane.starts(1000), 0.0
    for _ in range(plane.HORIZON):
        states = states + (torch.tensor(plane.GOAL) - states).clamp(-plane.STRIDE, plane.STRIDE)
        total += float(plane.reward(states).mean())
    return total


def _draw_curves(records: Records) -> Any:
    """Q on a logarithmic scale, and returns, over updates; a line a seed."""
    drawing, (left, right), colours = figure(2)
    for colour, (name, record) in zip(colours, records.items(), strict=False):
        updates = [row["updates"] for row in record["curves"]]
        for seed in range(record["seeds"]):
            label = TITLES[name] if seed == 0 else None
            left.plot(updates, [abs(row["q"][seed]) for row in record["curves"]], color=colour, label=label)
            right.plot(updates, [row["returns"][seed] for row in record["curves"]], color=colour)
    left.set(yscale="log", xlabel="Gradient updates", ylabel="|mean Q of a batch|")
    left.axhline(100, color="0.5", linestyle=":", linewidth=1)
    right.axhline(best_return(), color="0.5", linestyle=":", linewidth=1)
    right.set(xlabel="Gradient updates", ylabel="Return")
    left.legend(frameon=False)
    return drawing


def _draw_surfaces(records: Records) -> Any:
    """min Q of the first seed at the policy's actions; boxes: the data, and what branches act in."""
    drawing, panels, _ = figure(len(records))
    for axes, (name, record) in zip(np.atleast_1d(panels), records.items(), strict=True):
        axis, q = np.array(record["surface"]["axis"]), np.array(record["surface"]["q"])
        picture = axes.pcolormesh(axis, axis, q.T, shading="nearest", cmap="viridis", rasterized=True)
        drawing.colorbar(picture, ax=axes, shrink=0.8)
        for reach in (plane.START, plane.START + (plane.LENGTH - 1) * plane.STRIDE):
            axes.plot([-reach, reach, reach, -reach, -reach], [-reach, -reach, reach, reach, -reach], "w--", lw=1)
        axes.plot(*plane.GOAL, "w*")
        axes.set(title=f"{TITLES[name]}: min Q(s, π(s))", aspect="equal")
        axes.grid(visible=False)
    return drawing
