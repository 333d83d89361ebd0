"""Pairs by who compared them: what the models of several raters (VPL, PAL) draw their batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_FLAT = 1e-6  # standard deviation below which a number does not vary


@dataclass(frozen=True, eq=False)
class Scale:
    """What numbers are shifted by and divided by."""

    mean: Float[Tensor, " size"]
    std: Float[Tensor, " size"]

    @staticmethod
    def of(*columns: Float[Array, "rows size"]) -> Scale:
        """Mean and standard deviation of all rows; numbers that do not vary are not divided."""
        rows = np.concatenate(columns).astype(np.float64)
        std = rows.std(0)
        return Scale(torch.from_numpy(rows.mean(0)), torch.from_numpy(np.where(std > _FLAT, std, 1.0)))

    def __call__(self, values: Float[Array, "*places size"], dtype: torch.dtype) -> Float[Tensor, "*places size"]:
        """The values as tensors, scaled."""
        return ((torch.from_numpy(np.array(values, np.float64)) - self.mean) / self.std).to(dtype)


def raters_of(preferences: Preferences) -> tuple[Int[Array, " raters"], Int[Array, " pairs"]]:
    """(The numbers of all raters in order, which of these gave each label).

    Raises:
        DataError: nobody says who gave which label.
    """
    if preferences.raters is None:
        name = preferences.provenance.dataset or "these preferences"
        raise DataError(f"{name} have no raters; Preferences.of_raters joins those of several, or pass raters=")
    found, places = np.unique(preferences.raters, return_inverse=True)
    return found, places


def table_of(preferences: Preferences, least: int) -> tuple[Int[Array, "raters most"], Int[Array, " raters"]]:
    """(The pairs of each rater, the rest of a row filled with the last of them; how many there are).

    Raises:
        DataError: no raters, or one with fewer pairs than ``least``.
    """
    known, places = raters_of(preferences)
    counts = np.bincount(places)
    if counts.min() < least:
        few = int(counts.argmin())
        raise DataError(f"rater {known[few]} compared {counts[few]} pairs; at least {least} of each rater are needed")
    order = np.argsort(places, kind="stable")
    first = np.cumsum(counts) - counts
    table: Array = order[first[:, None] + np.minimum(np.arange(counts.max()), counts[:, None] - 1)]
    return table, counts


def draw_sets(
    table: Int[Array, "raters most"],
    counts: Int[Array, " raters"],
    sets: int,
    size: int,
    generator: np.random.Generator,
) -> Int[Array, "{sets} {size}"]:
    """Pairs of random raters: of each set all are one rater's, none of them twice."""
    chosen = generator.integers(len(table), size=sets)
    keys = generator.random((sets, table.shape[1]))
    keys[np.arange(table.shape[1]) >= counts[chosen, None]] = np.inf
    drawn: Array = np.take_along_axis(table[chosen], np.argsort(keys, axis=1)[:, :size], axis=1)
    return drawn
