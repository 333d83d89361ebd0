"""How much of an ONNX file is structure and how much numbers, told from its bytes before a parser takes them.

A parser takes some hundred bytes of memory for an operator or a name of two, so that a file of 64 MiB could ask for
gigabytes. The numbers of tensors are packed, and grow little. By the encoding of protocol buffers, and the places that
``onnx.proto`` gives to tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offbench.errors import OffbenchError

LARGEST_STRUCTURE = 2 * 2**20  # bytes; the largest of ours, an exported DT, has 52,602

# Messages on the way to numbers, by number of their field; True stands for numbers that are packed.
_TENSOR: Mapping[int, Any] = {4: True, 5: True, 7: True, 9: True, 10: True, 11: True}
_SPARSE = {1: _TENSOR, 2: _TENSOR}
_ATTRIBUTE = {5: _TENSOR, 7: True, 8: True, 10: _TENSOR, 22: _SPARSE, 23: _SPARSE}
_MODEL = {7: {1: {5: _ATTRIBUTE}, 5: _TENSOR, 15: _SPARSE}}
_VARINT, _EIGHT, _PACKED, _FOUR = 0, 1, 2, 5


def check_structure(content: bytes, what: str) -> None:
    """Refuse a file with more structure than a policy has.

    Raises:
        OffbenchError: it has more than `LARGEST_STRUCTURE` bytes of it, or is no protocol buffer.
    """
    try:
        size = _structure(content, 0, len(content), _MODEL, LARGEST_STRUCTURE)
    except (IndexError, ValueError) as error:
        raise OffbenchError(f"{what} is no ONNX model: it cannot be parsed") from error
    if size > LARGEST_STRUCTURE:
        raise OffbenchError(
            f"{what} has more than {LARGEST_STRUCTURE:,} bytes besides its numbers; no policy has so many operators"
        )


def _structure(content: bytes, place: int, end: int, known: Mapping[int, Any], most: int) -> int:
    """Bytes of a message that are no packed numbers; the count ends where it is above ``most``."""
    size = 0
    while place < end and size <= most:
        begin = place
        key, place = _varint(content, place)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            place = _varint(content, place)[1]
        elif kind in (_EIGHT, _FOUR):
            place += 8 if kind == _EIGHT else 4
        elif kind == _PACKED:
            length, place = _varint(content, place)
            inner = known.get(field)
            size += place - begin
            begin, stop = place, place + length
            if stop > end:
                raise ValueError("a field is longer than what it is in")
            if inner is True:
                begin = stop
            elif inner is not None:
                size += _structure(content, place, stop, inner, most - size)
                begin = stop
            place = stop
        else:
            raise ValueError("groups, which ONNX does not use")
        size += place - begin
    if place > end:
        raise ValueError("a field is longer than what it is in")
    return size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, the lowest first, and where it ends."""
    found = 0
    for shift in range(0, 70, 7):
        byte = content[place]
        place += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, place
    raise ValueError("a number of more than ten bytes")
