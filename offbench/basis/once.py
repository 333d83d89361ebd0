"""Numbers that compiled code computes before the loops that use them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("offbench", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("once(Tensor value) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("once", torch.clone, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]


def once(value: Tensor) -> Tensor:
    """``value``, which code that is compiled for a CPU computes once.

    A compiler takes what one number is made of into the innermost loop where it is used, to save the memory between; a
    power or a cosine in there, for each 16 elements, takes longer than all else. A GPU has a kernel fewer that way.
    """
    if value.device.type != "cpu" or not torch.compiler.is_compiling():
        return value
    return cast(Tensor, torch.ops.offbench.once(value))


def teach_compiler() -> None:
    """Let the compiler make it of no cost: what is computed is kept, and nothing is copied."""
    from torch._inductor.lowering import lowerings, register_lowering

    operation = torch.ops.offbench.once.default
    if operation not in lowerings:
        register_lowering(operation, type_promotion_kind=None)(_kept)


def _kept(value: Any) -> Any:
    value.realize()
    return value
