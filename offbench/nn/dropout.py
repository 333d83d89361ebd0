"""Dropout masks that are a pure function of (seed, update, layer): nothing to save, nothing to restore."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # keeps small consecutive numbers apart before they are mixed


def dropout_masks(keys: Tensor, step: Tensor, sizes: Sequence[int], batch: int, rate: float) -> list[Tensor]:
    """Masks (seeds, batch, size) a layer: 0 with probability ``rate``, else 1 / (1 - rate).

    keys: (seeds,) int64, the seeds of the runs; step: () int64, the number of the update. Each unit hashes its own
    coordinates, so a mask does not depend on which seeds train together or where a run was interrupted.
    """
    masks = []
    base = _mix(_mix(keys.to(torch.int64)) + _mix(step.to(torch.int64) + _GOLDEN))
    for layer, size in enumerate(sizes):
        units = torch.arange(batch * size, device=keys.device, dtype=torch.int64)
        words = _mix(_mix(base + layer * _GOLDEN)[:, None] + units[None, :])
        masks.append((words.to(torch.float32) / 2.0**32 >= rate).view(-1, batch, size) / (1 - rate))
    return masks


def _mix(x: Tensor) -> Tensor:
    """Bijective 32-bit mixing of int64 tensors (the finaliser "lowbias32" by C. Wellons)."""
    x = x & _MASK32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK32
    return x ^ (x >> 16)
