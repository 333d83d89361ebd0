"""Structure and numbers of ONNX files, told from their bytes."""

import numpy as np
import onnx
import pytest
from honest_entries import linear, model
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from offbench.errors import OffbenchError
from offbench.leaderboard import onnx_structure as structure
from offbench.leaderboard.onnx_structure import check_structure


def size_of(content):
    return structure._structure(content, 0, len(content), structure._MODEL, 2**40)


@given(st.integers(1, 3000))
def test_numbers_are_no_structure(width):
    whole = linear(np.ones((3, width)), np.ones(width))
    numbers = 4 * (3 * width + width)
    small = size_of(whole)
    assert small == len(whole) - numbers
    assert small < 400


def test_numbers_of_constants_and_sparse_ones_are_none_either():
    many = onnx.numpy_helper.from_array(np.ones(1000, np.float32))
    places = onnx.numpy_helper.from_array(np.arange(1000))
    sparse = helper.make_sparse_tensor(many, places, [2000])
    nodes = [
        helper.make_node("Constant", [], ["a"], value=many),
        helper.make_node("Constant", [], ["b"], sparse_value=sparse),
        helper.make_node("Constant", [], ["c"], value_floats=[1.0] * 1000),
    ]
    content = model(nodes, {})
    assert size_of(content) <= len(content) - 4000 - 12_000


@given(st.binary(max_size=300))
def test_whatever_the_bytes_they_are_refused_or_counted(content):
    try:
        size = size_of(content)
    except (IndexError, ValueError):  # which `check_structure` tells in a sentence
        with pytest.raises(OffbenchError, match="it is no ONNX model"):
            check_structure(content, "it")
    else:
        assert 0 <= size <= len(content)
        check_structure(content, "it")


@pytest.mark.parametrize("content", [b"\x3a\xff\xff\xff\xff\x7f", b"\x3b\x3c", b"\xff" * 20, b"\x39\x00"])
def test_bytes_that_are_no_protocol_buffer_are_refused(content):
    with pytest.raises(OffbenchError, match="cannot be parsed"):
        check_structure(content, "it")
