"""Matrix products of compiled code on a CPU, by the faster of the two libraries that torch has.

Torch takes float32 products from MKL, which uses half of the vector units of AMD's processors that have AVX-512; oneDNN
uses all. Measured on Zen 5 with one thread: 111 and 228 GFLOP/s for 256 x 256 x 256, a factor of 1.6 to 2.3 for hidden
layers of 128 to 1,024 units, and less than 1 below. Where that is so, the products of compiled graphs are replaced once
these are differentiated; nothing of torch's is changed for others. Of narrow results, such as a policy's actions, MKL
makes the transpose faster than them. The choice depends on the machine alone, so that a run is repeated to the last
bit, and each product of a stack is by itself, alike in any group of seeds.
"""

from __future__ import annotations

import math
import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import ir, lowering, mkldnn_ir
from torch._inductor.custom_graph_pass import CustomGraphPass

LEAST_SIDE, LEAST_PRODUCTS = 32, 2**22  # of a product: its shortest side, rows * inner size * columns
# A longer stack is one call of `product`: EDAC's ten critics, each on its own, compile in 39 and not 25 seconds.
LARGEST_STACK = 4
# The columns of a result whose transpose MKL makes faster, from 1.4 (16) to 4 times (4) at 256 rows and 256 inner;
# a column alone is fastest as it is, and with 24 or more there is no difference.
NARROW = range(2, 17)

_LIBRARY = torch.library.Library("offbench", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("product(Tensor one, Tensor other) -> Tensor")  # type: ignore[no-untyped-call]


@cache
def replaced_here() -> bool:
    """Whether oneDNN is the faster one on this machine."""
    mkl, onednn = torch.backends.mkl, torch.backends.mkldnn
    available = bool(mkl.is_available() and onednn.is_available())  # type: ignore[no-untyped-call]
    return available and torch.backends.cpu.get_cpu_capability() == "AVX512" and _vendor() == "AuthenticAMD"


def product(one: Tensor, other: Tensor) -> Tensor:
    """The products (stack, rows, columns) of (stack, rows, inner) and (stack, inner, columns), by oneDNN."""
    linear = torch.ops.mkldnn._linear_pointwise
    if len(one) == 1:
        made: Tensor = linear(one[0], dense(other[0]).t(), None, "none", [], "")
        return made.unsqueeze(0)
    out = _shaped(one, other)
    for number, (left, right) in enumerate(zip(one, other, strict=True)):
        out[number] = linear(left, dense(right).t(), None, "none", [], "")
    return out


def dense(factor: Tensor) -> Tensor:
    """A matrix without gaps between its rows or its columns: a copy where it is a part of a wider one.

    For a second factor with gaps oneDNN has but its reference code: 417 instead of 0.38 milliseconds for 1,280 x 128 x
    128. Of the first factor it makes nothing.
    """
    rows, columns = factor.shape
    return factor if factor.stride() in ((columns, 1), (1, rows)) else factor.contiguous()


def _shaped(one: Tensor, other: Tensor) -> Tensor:
    return one.new_empty(one.shape[0], one.shape[1], other.shape[2])


_LIBRARY.impl("product", product, "CPU")  # type: ignore[no-untyped-call]
_LIBRARY.impl("product", _shaped, "Meta")  # type: ignore[no-untyped-call]
PRODUCT = torch.ops.offbench.product.default
BMM, PERMUTE = torch.ops.aten.bmm.default, torch.ops.aten.permute.default


def in_generated_code(one: Any, other: Any) -> Any:
    """``product`` of two of the compiler's boxes, as calls of oneDNN that the generated code makes without Python.

    Of the same bits; IQL and TD3+BC are 1.05 times as fast by it and XQL 1.08 times.
    """
    stack = int(one.get_size()[0])
    if stack > LARGEST_STACK:
        called = lowering.fallback_handler(PRODUCT, add_to_fallback_set=False)  # type: ignore[no-untyped-call]
        return called(one, other)
    one.realize()
    other.realize()
    parts = [
        lowering.unsqueeze(_by_onednn(lowering.select(one, 0, number), lowering.select(other, 0, number)), 0)
        for number in range(stack)
    ]
    return parts[0] if stack == 1 else ir.TensorBox(ir.ConcatKernel.create(parts, 0))


def _by_onednn(one: Any, other: Any) -> Any:
    """A call of oneDNN's linear layer, with the other factor turned as it lies in memory; what torch makes copies."""
    kernel = ir.ExternKernel
    one, other = kernel.realize_input(one), kernel.realize_input(other)
    inner, columns = other.get_size()
    if tuple(other.get_stride()) not in ((columns, 1), (1, inner)):  # gaps, see `dense`
        other = kernel.realize_input(kernel.require_contiguous(other))
    turned = kernel.realize_input(lowering.permute(ir.TensorBox(other), [1, 0]))
    layout = ir.FixedLayout(device=one.get_device(), dtype=one.get_dtype(), size=[one.get_size()[0], columns])
    linear = mkldnn_ir.LinearUnary(layout, [one, turned], [None, "none", [-1], ""])
    return ir.TensorBox.create(mkldnn_ir._create_output_node(linear))  # type: ignore[no-untyped-call]


lowering.register_lowering(PRODUCT, type_promotion_kind=None)(in_generated_code)


class Replace(CustomGraphPass):
    """Puts `product` in the place of those products of a graph that it makes faster, and turns narrow ones."""

    def __call__(self, graph: torch.fx.Graph) -> None:
        """Replace them."""
        for node in graph.find_nodes(op="call_function", target=BMM):
            sides = _sides(node)
            if min(sides) >= LEAST_SIDE and math.prod(sides) >= LEAST_PRODUCTS:
                node.target = PRODUCT
            elif sides[2] in NARROW and min(sides[:2]) > NARROW[-1]:
                _turn(graph, node)

    def uuid(self) -> Any:
        """What compiled code depends on of this, for the cache of it."""
        return f"offbench products 3, to {LARGEST_STACK}, from {LEAST_SIDE} and {LEAST_PRODUCTS}, turned {NARROW}"


# The same object for all that is compiled: code made with another one would not be used again in this process.
REPLACE = Replace()


def _sides(node: torch.fx.Node) -> tuple[int, int, int]:
    """Rows, inner size and columns of a product in float32 on a CPU whose sizes are known; of others zeros."""
    one, other = (factor.meta.get("val") for factor in node.args if isinstance(factor, torch.fx.Node))
    if one is None or other is None or one.device.type != "cpu" or one.dtype != torch.float32:
        return 0, 0, 0
    rows, inner, columns = one.shape[1], one.shape[2], other.shape[2]
    known = all(isinstance(side, int) for side in (rows, inner, columns))
    return (rows, inner, columns) if known else (0, 0, 0)


def _turn(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """Let a product be made as the transpose of that of its transposed factors."""
    one, other = node.args

    def call(target: Any, *args: Any) -> torch.fx.Node:
        made = graph.call_function(target, args)
        made.meta["val"] = target(*(arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in args))
        return made

    with graph.inserting_before(node):
        turned = call(BMM, *(call(PERMUTE, factor, [0, 2, 1]) for factor in (other, one)))
        node.replace_all_uses_with(call(PERMUTE, turned, [0, 2, 1]))
    graph.erase_node(node)


def _vendor() -> str:
    """Who made the processor, as it says itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")
