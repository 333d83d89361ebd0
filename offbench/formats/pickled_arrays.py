"""Reading numbers out of a pickle without unpickling it.

A pickle is a program. Of its instructions this reader knows those by which numpy writes an array of numbers, and those
of a plain list of numbers; it calls nothing and imports nothing that the file names, and refuses everything else. An
array is taken from bytes that lie in the file, so that a file cannot ask for more memory than a multiple of its size.

(pickletools lists the instructions of a pickle without carrying them out, see its documentation.)
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError
from offbench.formats.foreign import check_readable

# A million labels of eight bytes, or a list of as many; the largest published file has 32,153 bytes.
_MOST_BYTES = 16 * 2**20
_MOST_INSTRUCTIONS = 2_000_000

_NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = {"BINPUT", "LONG_BINPUT"}
_GETS = {"BINGET", "LONG_BINGET"}

# What numpy's pickles name; the module moved with numpy 2.
_RECONSTRUCT = {(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
_FROM_BUFFER = {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
_SCALAR = {(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")}
_DTYPE = ("numpy", "dtype")
_NDARRAY = ("numpy", "ndarray")


class _Name(NamedTuple):
    """Something of a module that a pickle names; never looked up."""

    module: str
    attribute: str


class _Mark:
    """Where a tuple or a run of list elements begins on the stack."""


@dataclass
class _Dtype:
    code: str
    order: str = "<"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


@dataclass
class _Holder:
    """An array, which numpy's pickles fill after they have made it."""

    array: Array | None = None


class _RefusedError(Exception):
    """The pickle holds something other than numbers; the text says what."""


def read_pickled_array(path: Path) -> Array:
    """The array, or the list of numbers, in a pickle.

    Raises:
        DataError: the file is missing, too large, no pickle, damaged, or holds anything else.
    """
    check_readable(path, "a pickled array of labels or indices")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; a pickle of up to {_MOST_BYTES:,} is read")
        found = _run(path.read_bytes())
        if isinstance(found, _Holder) and found.array is not None:
            return found.array
        if isinstance(found, list) and found:
            return np.array(found)
        raise _RefusedError("no array")
    except _RefusedError as error:
        raise DataError(f"{path} is a pickle with {error}; only an array or a list of numbers is read") from error
    except (OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no pickle, or a damaged one ({reason}); fetch it anew") from error


def _run(data: bytes) -> object:
    """What the instructions leave on the stack."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for count, (instruction, argument, position) in enumerate(pickletools.genops(data)):
        name = instruction.name
        if count > _MOST_INSTRUCTIONS:
            raise _RefusedError(f"more than {_MOST_INSTRUCTIONS:,} instructions")
        if name == "STOP":
            if len(stack) != 1 or position != len(data) - 1:
                raise _RefusedError("more than one thing in it")
            return stack[0]
        try:
            _step(name, argument, stack, memo)
        except (IndexError, KeyError) as error:
            raise ValueError(f"instruction {name} at byte {position} finds nothing to work on") from error
    raise ValueError("it has no end")


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Carry out one instruction."""
    if name in ("PROTO", "FRAME"):
        return
    if name in _NUMBERS or name in _TEXTS:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name == "MARK":
        stack.append(_Mark())
    elif name in _TUPLES:
        stack.append(tuple(_take(stack, _TUPLES[name])))
    elif name == "TUPLE":
        stack.append(tuple(_to_mark(stack)))
    elif name == "EMPTY_LIST":
        stack.append([])
    elif name in ("APPEND", "APPENDS"):
        elements = _to_mark(stack) if name == "APPENDS" else _take(stack, 1)
        _extend(elements, stack)
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in _PUTS:
        memo[argument] = stack[-1]
    elif name in _GETS:
        stack.append(memo[argument])
    elif name == "GLOBAL":
        stack.append(_Name(*argument.split(" ", 1)))
    elif name == "STACK_GLOBAL":
        module, attribute = _take(stack, 2)
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise _RefusedError("a name that is no text")
        stack.append(_Name(module, attribute))
    elif name == "REDUCE":
        function, arguments = _take(stack, 2)
        stack.append(_make(function, arguments))
    elif name == "BUILD":
        (state,) = _take(stack, 1)
        _fill(state, stack[-1])
    else:
        raise _RefusedError(f"the instruction {name}")


def _take(stack: list[Any], size: int) -> list[Any]:
    """The uppermost values, in the order in which they were laid."""
    if len(stack) < size:
        raise IndexError
    taken = stack[len(stack) - size :]
    del stack[len(stack) - size :]
    return taken


def _to_mark(stack: list[Any]) -> list[Any]:
    """The values above the last mark; the mark goes too."""
    place = len(stack) - 1
    while not isinstance(stack[place], _Mark):  # ends with IndexError where there is none
        place -= 1
    taken = stack[place + 1 :]
    del stack[place:]
    return taken


def _extend(elements: list[Any], stack: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise _RefusedError("elements appended to something that is no list")
    for element in elements:
        # An integer of any length would make an array of objects.
        if type(element) not in (int, float) or (type(element) is int and abs(element) >= 2**63):
            raise _RefusedError("a list of something other than numbers")
    stack[-1].extend(elements)


def _make(function: object, arguments: object) -> object:
    """What a call in numpy's pickles makes; calls of anything else are refused by name."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise _RefusedError("a call of something that is no function")
    if function == _DTYPE and len(arguments) == 3 and isinstance(arguments[0], str):
        if not re.fullmatch(r"[fiu][1248]|b1", arguments[0]) or arguments[0] == "f1":
            raise _RefusedError(f"an array of dtype {arguments[0][:20]!r}")
        return _Dtype(arguments[0])
    if function in _RECONSTRUCT and len(arguments) == 3 and arguments[0] == _NDARRAY:
        return _Holder()
    if function in _FROM_BUFFER and len(arguments) == 4:
        data, dtype, shape, order = arguments
        return _Holder(_array(shape, dtype, order == "F", data))
    if function in _SCALAR and len(arguments) == 2:
        return _array((), arguments[0], False, arguments[1]).item()
    if function == ("_codecs", "encode") and len(arguments) == 2 and arguments[1] == "latin1":
        return str(arguments[0]).encode("latin1")  # how protocols below 3 write bytes
    if function == ("__builtin__", "bytes") and arguments == ():
        return b""  # and how they write none
    raise _RefusedError(f"a call of {str(function.module)[:40]}.{str(function.attribute)[:40]}")


def _fill(state: object, made: object) -> None:
    """Give a dtype its byte order, or an array its content."""
    if not isinstance(state, tuple):
        raise _RefusedError("a state that numpy does not write")
    if isinstance(made, _Dtype) and len(state) >= 2 and state[0] == 3 and state[1] in ("<", ">", "|"):
        if any(part is not None for part in state[2:5]):
            raise _RefusedError("an array of records")
        made.order = state[1]
    elif isinstance(made, _Holder) and len(state) == 5 and state[0] == 1:
        _, shape, dtype, fortran, data = state
        made.array = _array(shape, dtype, fortran is True, data)
    else:
        raise _RefusedError("a state that numpy does not write")


def _array(shape: object, dtype: object, fortran: bool, data: object) -> Array:
    """An array over bytes of the file, whose number its shape must match."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise _RefusedError("an array of something other than numbers")
    if not all(type(length) is int and length >= 0 for length in shape) or len(shape) > 8:
        raise _RefusedError("an array of a shape that no array has")
    if math.prod(shape) * dtype.numpy.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and dtype {dtype.numpy} lies in {len(data)} bytes")
    if dtype.code == "b1" and data.translate(None, b"\0\1"):
        raise ValueError("an array of bools holds a byte that is neither 0 nor 1")
    array = np.frombuffer(data, dtype=dtype.numpy).reshape(shape, order="F" if fortran else "C")
    native: Array = array.astype(dtype.numpy.newbyteorder("="))
    return native
