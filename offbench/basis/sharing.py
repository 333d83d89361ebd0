"""Memory that several processes share, without a name that could be left behind."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_ALIGNMENT = 64  # bytes; the widest loads of vector units want it


class SharedMemory:
    """Anonymous memory that a process shares with those that inherit its descriptor.

    It lives as long as one of them has it open: whatever kills them, nothing is left.
    """

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        """Make ``size`` zero bytes, or map those behind an inherited ``descriptor``.

        Raises:
            OSError: there is no room for them.
        """
        size = max(size, 1)
        self.descriptor = _anonymous(size) if descriptor is None else descriptor
        self.size, self._map = size, mmap.mmap(self.descriptor, size)

    def tensor(self) -> Tensor:
        """All of it, (bytes,) uint8."""
        import torch

        return torch.frombuffer(self._map, dtype=torch.uint8)


def room(tensors: Iterable[Tensor]) -> int:
    """Bytes that `bind` needs for them."""
    return sum(_padded(tensor.nelement() * tensor.element_size()) for tensor in tensors)


def bind(tensors: Iterable[Tensor], memory: Tensor, offset: int, keep: bool) -> int:
    """Let contiguous tensors live in memory (bytes,) uint8 from ``offset`` on, one after the other; where they end.

    With ``keep`` the memory takes their values, else they take those that are there. Whoever holds the tensors holds
    the shared ones afterwards.
    """
    import torch

    buffer = memory.numpy()
    for tensor in tensors:
        size = tensor.nelement() * tensor.element_size()
        if size:
            # A storage of its own: of tensors in one storage the compiler compares offsets in elements, which are of
            # different sizes, and takes some for overlapping that are not.
            shared = torch.frombuffer(buffer, dtype=tensor.dtype, count=tensor.nelement(), offset=offset)
            shared = shared.view(tensor.shape)
            if keep:
                shared.copy_(tensor)
            tensor.set_(shared)  # type: ignore[call-overload]
        offset += _padded(size)
    return offset


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _anonymous(size: int) -> int:
    """Descriptor of a file of zeros that no folder names."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("offbench")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
