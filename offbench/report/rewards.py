"""Two rewards of the same transitions compared, as text, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Literal

from offbench.basis.plain import plain
from offbench.labelling.sampled_rewards import Measured, RewardComparison

Form = Literal["terminal", "csv", "json"]
MISSING = "–"  # noqa: RUF001 - the dash of printed tables

# What each number is, in the order of the table: (title, its unit of counting, definition).
MEASURES: dict[str, tuple[str, str, str]] = {
    "starc": (
        "STARC distance",
        "points",
        "0 where both order all policies alike, 1 where they are opposite: sqrt((1 - c) / 2), c the correlation of "
        "r + discount V(s') - V(s) by either, V the value under the policy that made the data",
    ),
    "epic": (
        "EPIC distance",
        "points",
        "the same with F in the place of V, F(s) the mean of a fit of r over the data's actions, which invents what "
        "actions earn that were not taken",
    ),
    "steps": ("Pearson, steps", "steps", "correlation of the rewards of steps"),
    "segments": ("Pearson, segments", "segments", "correlation of the sums of rewards of random segments"),
    "accuracy": (
        "Accuracy, pairs",
        "pairs",
        "share of random pairs of segments, not tied by A, that B orders as A does; ties of B count half",
    ),
}


def render(found: RewardComparison, names: tuple[str, str], settings: dict[str, float], form: Form = "terminal") -> str:
    """The numbers of a comparison.

    Args:
        found: the comparison.
        names: of the datasets, that of the measure first.
        settings: what it was made with, by name.
        form: a table for a terminal, CSV or JSON.
    """
    numbers: dict[str, Measured] = {name: getattr(found, name) for name in MEASURES}
    if form == "json":
        told = {"a": names[0], "b": names[1], "settings": settings, "explained": [_known(e) for e in found.explained]}
        return json.dumps(told | {"measures": {name: _as_json(name, one) for name, one in numbers.items()}}) + "\n"
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("measure", "value", "low", "high", "count", "unit"))
        for name, one in numbers.items():
            low, high = one.interval or (math.nan, math.nan)
            cells = ("" if math.isnan(each) else repr(each) for each in (one.value, low, high))
            writer.writerow((name, *cells, one.count, MEASURES[name][1]))
        return buffer.getvalue()
    lines = [f"A: {plain(names[0])}", f"B: {plain(names[1])}", ""]
    lines += [f"{'':<18}{'value':>8}  {'95% interval':<16} count", "─" * 60]
    for name, one in numbers.items():
        title, unit, _ = MEASURES[name]
        value = MISSING if math.isnan(one.value) else f"{one.value:.3f}"
        interval = MISSING if one.interval is None else f"[{one.interval[0]:.3f}, {one.interval[1]:.3f}]"
        lines.append(f"{title:<18}{value:>8}  {interval:<16} {one.count:,} {unit}")
    lines += ["", *(f"{title}: {definition}." for title, _, definition in MEASURES.values())]
    shares = " and ".join(MISSING if math.isnan(e) else f"{100 * e:.0f}%" for e in found.explained)
    lines.append(
        f"Intervals: episodes drawn with replacement; of the accuracy Wilson's, for independent pairs. "
        f"Discount {settings['discount']:g}, segments of {settings['length']:g} steps. EPIC's fit explains {shares} of "
        "the variance of A and B."
    )
    return "\n".join(lines) + "\n"


def _as_json(name: str, one: Measured) -> dict[str, object]:
    title, unit, definition = MEASURES[name]
    interval = None if one.interval is None else list(one.interval)
    told: dict[str, object] = {"value": _known(one.value), "interval": interval, "count": one.count, "unit": unit}
    return told | {"title": title, "definition": definition}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
