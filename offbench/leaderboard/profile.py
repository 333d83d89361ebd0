"""The closed profile of policies that strangers hand in: what an ONNX file may be before any runtime sees it.

Operators of the standard domain that neither loop, branch, draw random numbers nor call anything; all weights within
the file; inputs and outputs as `offbench.training.export` writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.leaderboard.archive import LARGEST_POLICY
from offbench.leaderboard.onnx_structure import check_structure
from offbench.training.export import need_libraries

OPSETS = range(13, 24)
MOST_NODES = 20_000
MOST_AXES = 8  # of an array: numpy and the runtime have limits, and products of many sizes take hours
MOST_REMEMBERED = 2**17  # numbers an environment, of all parts of a memory
_LISTED = (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Cast CastLike Ceil Celu Clip "
    "Concat Constant ConstantOfShape Cos Cosh CumSum Div Einsum Elu Equal Erf Exp Expand Flatten Floor GRU Gather "
    "GatherElements GatherND Gelu Gemm Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity "
    "InstanceNormalization IsInf IsNaN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul "
    "Max Mean Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum "
    "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round "
    "ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign Split Sqrt "
    "Squeeze Sub Sum Tan Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor "
)
OPERATORS = frozenset(_LISTED.split())


@dataclass(frozen=True)
class Signature:
    """What a policy takes besides observations and gives besides actions.

    Attributes:
        memory: type and shape without environments of each part of what it remembers, by name; empty without a memory.
    """

    memory: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]


def check_policy(content: bytes, observation: int, action: int, what: str = "the policy") -> Signature:
    """What a policy remembers, once it is known to be within the profile.

    Args:
        content: bytes of the file.
        observation: length of one observation of the task.
        action: length of one action.
        what: whose policy, for messages.

    Raises:
        OffbenchError: it is no ONNX model, or one with something that no policy needs.
    """
    if len(content) > LARGEST_POLICY:
        raise OffbenchError(
            f"{what} has {len(content):,} bytes; an ONNX file of a policy has at most {LARGEST_POLICY:,}"
        )
    check_structure(content, what)
    need_libraries()
    onnx: Any = import_module("onnx")
    try:
        model = onnx.load_model_from_string(content)
        nodes = list(model.graph.node[: MOST_NODES + 1])
    except Exception as error:  # protobuf's errors have no common base but this
        raise OffbenchError(f"{what} is no ONNX model: it cannot be parsed") from error
    if not nodes or not model.opset_import:
        raise OffbenchError(f"{what} is no ONNX model: it has no graph of operators")
    _check_model(model, what)
    _check_nodes(onnx, nodes, what)
    for tensor in [*model.graph.initializer, *_parts(model.graph.sparse_initializer)]:
        _check_tensor(onnx, tensor, what)
    return _signature(onnx, model.graph, observation, action, what)


def _check_model(model: Any, what: str) -> None:
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            raise OffbenchError(f"{what} uses operators of {plain(opset.domain)[:60]}; standard ones alone are allowed")
        if opset.version not in OPSETS:
            raise OffbenchError(f"{what} uses opset {opset.version}; {OPSETS[0]} to {OPSETS[-1]} are allowed")
    if len(model.functions):
        raise OffbenchError(f"{what} defines functions of its own; standard operators alone are allowed")
    if len(model.metadata_props) or len(model.training_info):
        raise OffbenchError(f"{what} carries metadata or training steps, which a runtime may obey; leave them out")
    if len(model.graph.node) > MOST_NODES:
        raise OffbenchError(f"{what} has {len(model.graph.node):,} operators; at most {MOST_NODES:,} are allowed")


def _check_nodes(onnx: Any, nodes: list[Any], what: str) -> None:
    for node in nodes:
        if node.domain not in ("", "ai.onnx"):
            raise OffbenchError(
                f"{what} uses the operator {plain(node.op_type)[:60]} of {plain(node.domain)[:60]}; standard ones "
                "alone are allowed"
            )
        if node.op_type not in OPERATORS:
            raise OffbenchError(
                f"{what} uses the operator {plain(node.op_type)[:60]}; a policy needs no loops, branches, random "
                "numbers or strings, and what it needs is listed in docs/leaderboard.md"
            )
        for attribute in node.attribute:
            if attribute.HasField("g") or len(attribute.graphs):
                raise OffbenchError(f"{what} has a graph within an operator; a policy is one graph")
            sparse = [*([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])]
            plain_ones = [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
            for tensor in [*plain_ones, *_parts([*sparse, *attribute.sparse_tensors])]:
                _check_tensor(onnx, tensor, what)


def _parts(sparse: Iterable[Any]) -> Iterator[Any]:
    """The two tensors that a sparse one is made of, each of which could lie elsewhere."""
    for each in sparse:
        yield from (each.values, each.indices)


def _check_tensor(onnx: Any, tensor: Any, what: str) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.external_data):
        raise OffbenchError(f"{what} keeps weights in another file, which is not read; put them into the ONNX file")
    if tensor.data_type == onnx.TensorProto.STRING:
        raise OffbenchError(f"{what} holds texts; a policy needs numbers alone")
    if len(tensor.dims) > MOST_AXES:
        raise OffbenchError(f"{what} has a tensor of {len(tensor.dims):,} axes; at most {MOST_AXES} are allowed")
    count = math.prod(map(int, tensor.dims))
    if min(tensor.dims, default=0) < 0 or count > LARGEST_POLICY:
        raise OffbenchError(f"{what} has a tensor of {count:,} numbers, which its file does not hold")


def _signature(onnx: Any, graph: Any, observation: int, action: int, what: str) -> Signature:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    outputs = {value.name: value for value in graph.output}
    names = sorted(name.removeprefix("memory.") for name in inputs if name.startswith("memory."))
    wanted = {"observations"} | ({"rewards", "begins", *(f"memory.{name}" for name in names)} if names else set())
    if set(inputs) != wanted or set(outputs) != {"actions", *(f"next_memory.{name}" for name in names)}:
        shown = f"{sorted(inputs)} to {sorted(outputs)}"
        raise OffbenchError(
            f"{what} maps {plain(shown)[:300]}; observations to actions, with a memory or not, is right"
        )
    for name, value, size in (("observations", inputs, observation), ("actions", outputs, action)):
        kind, shape = _type(onnx, value[name], what)
        if kind != np.float32 or len(shape) != 1 or shape[0] not in (size, None):
            raise OffbenchError(
                f"{what} has {name} of type {kind} and shape (environments, {', '.join(map(str, shape))}); float32 and "
                f"(environments, {size}) are the task's"
            )
    memory, remembered = {}, 0
    for name in names:
        kind, shape = _type(onnx, inputs[f"memory.{name}"], what)
        sizes = tuple(size for size in shape if size is not None)
        remembered += math.prod(sizes)
        if len(sizes) != len(shape) or min(sizes, default=1) < 1 or remembered > MOST_REMEMBERED:
            raise OffbenchError(
                f"{what} remembers {plain(name)[:60]} without a fixed size; all that it remembers together has at most "
                f"{MOST_REMEMBERED:,} numbers"
            )
        memory[name] = kind, sizes
    return Signature(memory)


def _type(onnx: Any, value: Any, what: str) -> tuple[np.dtype[Any], tuple[int | None, ...]]:
    """Type of a tensor, and its shape without the first axis, None where a size is open."""
    tensor = value.type.tensor_type
    types = {
        onnx.TensorProto.FLOAT: np.float32,
        onnx.TensorProto.DOUBLE: np.float64,
        onnx.TensorProto.INT64: np.int64,
        onnx.TensorProto.INT32: np.int32,
        onnx.TensorProto.BOOL: np.bool_,
    }
    if tensor.elem_type not in types or not 1 <= len(tensor.shape.dim) <= MOST_AXES:
        raise OffbenchError(f"{what} has an input or output {plain(value.name)[:60]} that is no array of numbers")
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim[1:])
    return np.dtype(types[tensor.elem_type]), sizes
