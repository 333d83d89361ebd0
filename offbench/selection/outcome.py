"""Predictions beside the truth, as plain data and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from offbench.basis.shapes import Array
from offbench.selection.estimation import CLONING, FQE, Predictions
from offbench.selection.metrics import agreement, interval

CHANCE = "chance"


def outcome(
    names: Sequence[str],
    predictions: Predictions,
    truth: Float[Array, " policies"] | None,
    scored: Float[Array, " policies"] | None,
    top: Sequence[int],
) -> dict[str, Any]:
    """All numbers as JSON holds them.

    Args:
        names: of the policies.
        predictions: of each.
        truth: mean discounted returns, if the policies were played.
        scored: mean undiscounted returns then, which scores are made of.
        top: k of regret@k.
    """
    policies: list[dict[str, Any]] = []
    for row, name in enumerate(names):
        one: dict[str, Any] = {"policy": name} | {
            estimator: _number(values[row]) for estimator, values in predictions.values.items()
        }
        one |= {"FQE spread": float(predictions.spreads[row]), "effective": float(predictions.effective[row])}
        if truth is not None and scored is not None:
            one |= {"discounted return": float(truth[row]), "return": float(scored[row])}
        policies.append(one)
    found: dict[str, Any] = {"behaviour": predictions.behaviour, "policies": policies}
    if truth is not None and scored is not None and np.ptp(truth) > 0:
        found["estimators"] = [
            _judged(name, values, truth, top)
            for name, values in {**predictions.values, "the undiscounted truth": scored}.items()
            if np.isfinite(values).all()
        ]
        found["estimators"].append(_chance(truth, top))
    return found


def _judged(
    name: str, values: Float[Array, " policies"], truth: Float[Array, " policies"], top: Sequence[int]
) -> dict[str, Any]:
    one = agreement(truth, values, top)
    low, high = interval(truth, values, top)
    # A distance from the data ranks policies; it predicts no return, and a return of another discount neither.
    error = None if name == CLONING or name.startswith("the undiscounted") else one.error
    ends = None if error is None else [low.error, high.error]
    return {
        "estimator": name,
        "error": error,
        "error interval": ends,
        "spearman": one.spearman,
        "spearman interval": [low.spearman, high.spearman],
        "defined": one.defined,
        "regret": {str(k): value for k, value in one.regret.items()},
        "regret interval": {str(k): [low.regret[k], high.regret[k]] for k in top},
    }


def _chance(truth: Float[Array, " policies"], top: Sequence[int]) -> dict[str, Any]:
    """What a choice by lot regrets on average: of k policies drawn without replacement the best counts."""
    regret = np.sort((truth.max() - truth) / np.ptp(truth))
    count, expected = len(truth), {}
    for k in top:
        # The chance that the j-th best is the best of k drawn, one after the other.
        left, mean = 1.0, 0.0
        for place in range(count):
            here = k / (count - place) if count - place > k else 1.0
            mean += left * here * regret[place]
            left *= 1 - here
        expected[str(k)] = float(mean)
    none: dict[str, Any] = {"error": None, "error interval": None, "spearman": 0.0, "spearman interval": None}
    return {"estimator": CHANCE, **none, "defined": False, "regret": expected, "regret interval": None}


def markdown(found: dict[str, Any], discount: float) -> str:
    """The tables, as the command prints and docs show them."""
    played = "return" in found["policies"][0]
    columns = [name for name in found["policies"][0] if name not in ("policy", "FQE spread", "effective")]
    lines = [f"| policy | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [
        f"| {one['policy']} | {' | '.join(_cell(one[name]) for name in columns)} |"
        for one in sorted(found["policies"], key=lambda each: -each[FQE])
    ]
    lines += [
        "",
        f"Values are discounted with {discount:g}, means over the first states of the data; the data's own episodes "
        f"come to {_cell(found['behaviour'])}. The highest FQE first; nearness is minus the mean square distance of "
        "actions.",
    ]
    shares = [one["effective"] for one in found["policies"]]
    lines.append(f"Importance sampling rests on {100 * min(shares):.2g}% to {100 * max(shares):.2g}% of the episodes.")
    if "estimators" not in found:
        return "\n".join(lines) + ("\nAll policies return the same.\n" if played else "\n")
    tops = list(found["estimators"][0]["regret"])
    lines += ["", f"| estimator | error | Spearman | {' | '.join(f'regret@{k}' for k in tops)} |"]
    lines.append(f"|---|---:|---:|{'---:|' * len(tops)}")
    for one in found["estimators"]:
        regrets = [_with(one["regret"][k], one["regret interval"] and one["regret interval"][k]) for k in tops]
        error = "" if one["error"] is None else _with(one["error"], one["error interval"])
        rank = _with(one["spearman"], one["spearman interval"]) if one["defined"] else "not defined"
        lines.append(f"| {one['estimator']} | {error} | {rank} | {' | '.join(regrets)} |")
    judged = {one["estimator"] for one in found["estimators"]}
    lines += [f"\nNot judged, as some policies have none: {name}." for name in _estimators(found) if name not in judged]
    lines += [
        "",
        "Against the discounted return of the policies as they are played. Error and regret are in shares of the way "
        "from the worst to the best of them; regret@k is that of the best of the k highest. 95% intervals by "
        "resampling policies. The undiscounted truth is what the best ranking by a discount can come to.",
    ]
    return "\n".join(lines) + "\n"


def _estimators(found: dict[str, Any]) -> list[str]:
    """Names of all that predicted, judged or not."""
    others = {"policy", "FQE spread", "effective", "discounted return", "return"}
    return [name for name in found["policies"][0] if name not in others]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _with(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:.2f}" + ("" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]")
