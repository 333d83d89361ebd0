"""Charts as SVG within a page: they take its colours, in light, dark and print, and need no library.

Every chart has a name for screen readers, and the page has its numbers as a table or as JSON beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import summarize

if TYPE_CHECKING:
    from jaxtyping import Float64
    from markupsafe import Markup

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 10, 30
BINS = 30


@dataclass(frozen=True)
class Curve:
    """Learning curve of some seeds at the steps that all of them share.

    Attributes:
        steps: gradient updates.
        mean: over seeds.
        interval: of the mean at each step; empty for one seed.
        seeds: by seed the mean score at each step.
    """

    steps: list[int]
    mean: list[float]
    interval: list[tuple[float, float]]
    seeds: dict[int, list[float]]


def curve_of(records: Sequence[RunRecord]) -> Curve | None:
    """The curve of seeds of one run; None where they share fewer than two steps."""
    shared = sorted(set.intersection(*({each.step for each in record.evaluations} for record in records)))
    if len(shared) < 2:
        return None
    seeds = {
        record.seed: [float(record.scores(each).mean()) for each in record.evaluations if each.step in shared]
        for record in records
    }
    summaries = [summarize(list(column)) for column in zip(*seeds.values(), strict=True)]
    intervals = [one.interval for one in summaries if one.interval is not None]
    return Curve(shared, [one.mean for one in summaries], intervals, seeds)


@dataclass(frozen=True)
class Frame:
    """Maps values to places in a chart and draws its axes."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> str:
        """A point as SVG has it."""
        across = LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        up = HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{up:.1f}"

    def path(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """The points of a line."""
        return " ".join(self.at(x, y) for x, y in zip(xs, ys, strict=True))

    def axes(self, x_label: str) -> str:
        """Horizontal rules with their numbers, numbers below, and what these are."""
        parts = []
        for value in ticks(*self.y, most=4):
            start, end = self.at(self.x[0], value), self.at(self.x[1], value)
            parts.append(f'<polyline class="rule" points="{start} {end}"/>')
            parts.append(_text(start, short(value), "end", -5, 4))
        parts += [_text(self.at(x, self.y[0]), short(x), "middle", 0, 13) for x in ticks(*self.x, most=4)]
        middle = self.at((self.x[0] + self.x[1]) / 2, self.y[0])
        return "".join([*parts, _text(middle, x_label, "middle", 0, 26)])


def learning_curve(curve: Curve, name: str) -> Markup:
    """Mean over seeds with the band of its interval, and each seed as a thin line."""
    every = [value for line in curve.seeds.values() for value in line] + [v for pair in curve.interval for v in pair]
    frame = Frame((curve.steps[0], curve.steps[-1]), _range(every))
    body = frame.axes("gradient updates")
    if curve.interval:
        lower, upper = zip(*curve.interval, strict=True)
        around = [*curve.steps, *reversed(curve.steps)]
        body += f'<polygon class="band" points="{frame.path(around, [*lower, *reversed(upper)])}"/>'
    for line in curve.seeds.values():
        body += f'<polyline class="seed" points="{frame.path(curve.steps, line)}"/>'
    body += f'<polyline class="mean" points="{frame.path(curve.steps, curve.mean)}"/>'
    return _svg(body, name)


def histogram(counts: Sequence[int], edges: Sequence[float], name: str, label: str) -> Markup:
    """Bars of counts between edges (counts + 1)."""
    frame = Frame((edges[0], edges[-1]), (0, max(counts) * 1.05))
    bars = ""
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        corners = frame.path([low, low, high, high], [0, count, count, 0])
        bars += f'<polygon class="bar" points="{corners}"/>' if count else ""
    return _svg(frame.axes(label) + bars, name)


def profile(
    line: Float64[Array, " thresholds"],
    others: Sequence[Float64[Array, " thresholds"]],
    thresholds: Float64[Array, " thresholds"],
    name: str,
) -> Markup:
    """The share of runs above each score, of one method, before the lines of others."""
    frame = Frame((float(thresholds[0]), float(thresholds[-1])), (0.0, 1.0))
    body = frame.axes("score")
    for each in others:
        body += f'<polyline class="seed" points="{frame.path(thresholds, each)}"/>'
    body += f'<polyline class="mean" points="{frame.path(thresholds, line)}"/>'
    above = float(line[np.argmin(np.abs(thresholds - 50))])
    return _svg(body, f"{name}: {100 * above:.0f}% of the runs score above 50")


def bar_of(low: float, middle: float, high: float, span: tuple[float, float]) -> Markup:
    """An interval as a line with a mark at its middle, which stretches to the width of a table's column."""
    from markupsafe import Markup

    x1, x, x2 = (round(100 * (value - span[0]) / (span[1] - span[0]), 2) for value in (low, middle, high))
    return Markup(
        '<svg class="interval" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="range" x1="{}" x2="{}" y1="8" y2="8"/><line class="point" x1="{}" x2="{}" y1="2" y2="14"/></svg>'
    ).format(x1, x2, x, x)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two others, ``most`` + 1 at most."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def short(value: float) -> str:
    """``20k``, ``1M``, ``0.5``: a number at an axis."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}".replace("-", "\N{MINUS SIGN}")
    return f"{round(value, 6):g}".replace("-", "\N{MINUS SIGN}")


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _text(at: str, text: str, anchor: str, right: float, down: float) -> str:
    x, y = (float(part) for part in at.split(","))
    return f'<text x="{x + right:.1f}" y="{y + down:.1f}" text-anchor="{anchor}">{text}</text>'


def _svg(body: str, name: str) -> Markup:
    """The only place where text from outside may come in: as the name, which is escaped."""
    from markupsafe import Markup

    opening = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title>').format(WIDTH, HEIGHT, name)
    return opening + Markup(body) + Markup("</svg>")  # numbers and our own words


def counted(values: Float64[Array, " values"]) -> tuple[list[int], list[float]]:
    """A histogram (counts, edges) of finite values; one bar where all are equal."""
    counts, edges = np.histogram(values, bins=BINS if np.ptp(values) > 0 else 1)
    return [int(count) for count in counts], [float(edge) for edge in edges]
