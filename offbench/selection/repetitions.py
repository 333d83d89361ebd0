"""Several repetitions of an off-policy evaluation, read from the files that ``offbench ope --output`` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offbench.errors import OffbenchError


def read(path: Path) -> dict[str, Any]:
    """What one file holds.

    Raises:
        OffbenchError: it cannot be read, or is no such file, or its policies were not played.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for one in found["estimators"]:
            float(one["spearman"]), {k: float(value) for k, value in one["regret"].items()}, str(one["estimator"])
    except OSError as error:
        raise OffbenchError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OffbenchError(f"{path} is not what offbench ope --output writes of policies that were played") from error
    return found


def markdown(found: Sequence[dict[str, Any]]) -> str:
    """A table of the mean of each estimator over the repetitions, with what it was in each.

    Raises:
        OffbenchError: the repetitions judge by different k.
    """
    tops = list(found[0]["estimators"][0]["regret"])
    if any(list(one["regret"]) != tops for each in found for one in each["estimators"]):
        raise OffbenchError("the files have regrets of different k; give all of them the same --top")
    lines = [f"| estimator | Spearman | in each | {' | '.join(f'regret@{k} | in each' for k in tops)} |"]
    lines.append(f"|---|---:|---|{'---:|---|' * len(tops)}")
    for name in dict.fromkeys(one["estimator"] for each in found for one in each["estimators"]):
        own = [one for each in found for one in each["estimators"] if one["estimator"] == name]
        ranks = [one["spearman"] if one["defined"] else None for one in own]
        cells = [*_cells(ranks), *(cell for k in tops for cell in _cells([one["regret"][k] for one in own]))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    policies = sorted({len(each["policies"]) for each in found})
    lines += ["", f"{len(found)} repetitions, {' or '.join(map(str, policies))} policies each; means over repetitions."]
    return "\n".join(lines) + "\n"


def _cells(values: Sequence[float | None]) -> tuple[str, str]:
    """The mean, and what it is the mean of."""
    known = [value for value in values if value is not None]
    if not known:
        return "", ""
    return f"{np.mean(known):.2f}", ", ".join("none" if value is None else f"{value:.2f}" for value in values)
