"""Random numbers that are a pure function of (seed, update, name): nothing to save, nothing to restore.

Each number hashes its own coordinates, so it does not depend on which seeds train together, on the device, or on where
a run was interrupted, and it is computed inside the compiled update.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

_MASK32 = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # keeps small consecutive numbers apart before they are mixed


def standard_normal(
    keys: Int64[Tensor, " seeds"], step: Int64[Tensor, ""], name: str, shape: Sequence[int], dtype: torch.dtype
) -> Float[Tensor, "seeds ..."]:
    """Independent N(0, 1) numbers (seeds, *shape) for the seeds ``keys`` in update ``step``.

    Box and Muller 1958, from two uniform numbers of 32 bits each; the largest possible value is 6.7.
    """
    size = math.prod(shape)
    radius = (_words(keys, step, _stream(name), size).to(torch.float64) + 1) / 2.0**32
    angle = _words(keys, step, _stream(f"{name}/angle"), size).to(torch.float64) / 2.0**32
    normal = torch.sqrt(-2 * torch.log(radius)) * torch.cos(2 * math.pi * angle)
    return normal.to(dtype).view(-1, *shape)


def uniform(
    keys: Int64[Tensor, " seeds"], step: Int64[Tensor, ""], name: str, shape: Sequence[int]
) -> Float64[Tensor, "seeds ..."]:
    """Independent U[0, 1) numbers (seeds, *shape), multiples of 2^-32, for the seeds ``keys`` in update ``step``."""
    words = _words(keys, step, _stream(name), math.prod(shape))
    return (words.to(torch.float64) / 2.0**32).view(-1, *shape)


def dropout_masks(
    keys: Int64[Tensor, " seeds"],
    step: Int64[Tensor, ""],
    sizes: Sequence[int],
    batch: int,
    rate: float,
    first: int = 0,
) -> list[Float[Tensor, "seeds {batch} _"]]:
    """A mask a layer of the given sizes: 0 with probability ``rate``, else 1 / (1 - rate).

    keys: the seeds of the runs; step: the number of the update; first: number of the first layer, which masks of other
    layers in the same update must not share.
    """
    masks = []
    for layer, size in enumerate(sizes, start=first):
        words = _words(keys, step, layer * _GOLDEN, batch * size)
        masks.append((words.to(torch.float32) / 2.0**32 >= rate).view(-1, batch, size) / (1 - rate))
    return masks


def _stream(name: str) -> int:
    return zlib.crc32(name.encode())


# This is all that torch.compiler.assume_constant_result does, besides importing the compiler: 1.6 of the 4.7 seconds of
# processor time that importing offbench.training took, in every process.
_stream._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _words(
    keys: Int64[Tensor, " seeds"], step: Int64[Tensor, ""], stream: int, size: int
) -> Int64[Tensor, "seeds {size}"]:
    """Uniform words of 32 bits, another set for every seed, step and stream."""
    base = _mix(_mix(keys.to(torch.int64)) + _mix(step.to(torch.int64) + _GOLDEN))
    units = torch.arange(size, device=keys.device, dtype=torch.int64)
    return _mix(_mix(base + stream)[:, None] + units[None, :])


def _mix(x: Tensor) -> Tensor:
    """Bijective 32-bit mixing of int64 tensors (the finaliser "lowbias32" by C. Wellons)."""
    x = x & _MASK32
    x = _settled(((x ^ (x >> 16)) * 0x7FEB352D) & _MASK32)
    x = _settled(((x ^ (x >> 15)) * 0x846CA68B) & _MASK32)
    return x ^ (x >> 16)


def _settled(x: Tensor) -> Tensor:
    """x itself, which a compiler computes once: it would write out each x of x ^ (x >> 16) with all that led to it.

    Compiling ``standard_normal`` took 10 seconds without, and takes 0.5.
    """
    return x.as_strided(x.shape, x.stride())
