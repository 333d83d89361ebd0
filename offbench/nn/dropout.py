"""Dropout masks that are a pure function of (seed, update, layer): nothing to save, nothing to restore."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF


def dropout_masks(keys: Tensor, step: Tensor, name: str, sizes: Sequence[int], batch: int, rate: float) -> list[Tensor]:
    """Masks (seeds, batch, size) a layer: 0 with probability ``rate``, else 1 / (1 - rate).

    keys: (seeds,) int64, the seeds of the runs; step: () int64, the number of the update. Each unit hashes its own
    coordinates, so a mask does not depend on which seeds train together or where a run was interrupted.
    """
    masks = []
    for layer, size in enumerate(sizes):
        base = _mix(keys.to(torch.int64) ^ zlib.crc32(f"{name}/{layer}".encode())) ^ _mix(
            step.to(torch.int64) + 0x9E3779B9
        )
        units = torch.arange(batch * size, device=keys.device, dtype=torch.int64)
        uniform = _mix(_mix(base)[:, None] + units[None, :]).to(torch.float32) / 2.0**32
        masks.append((uniform >= rate).view(-1, batch, size) / (1 - rate))
    return masks


def _mix(x: Tensor) -> Tensor:
    """Bijective 32-bit mixing of int64 tensors (the finaliser "lowbias32" by C. Wellons)."""
    x = x & _MASK32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK32
    return x ^ (x >> 16)
