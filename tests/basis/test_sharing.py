import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.basis.sharing import SharedMemory, bind, room

DTYPES = [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16]
shapes = st.lists(st.integers(0, 4), max_size=3)


@given(st.lists(st.tuples(shapes, st.sampled_from(DTYPES)), max_size=6))
@settings(deadline=None, max_examples=60)
def test_tensors_that_move_into_memory_keep_their_values_and_are_seen_from_elsewhere(kinds):
    tensors = [torch.randint(0, 2, shape).to(dtype) for shape, dtype in kinds]
    before = [tensor.clone() for tensor in tensors]
    others = [torch.zeros_like(tensor) for tensor in tensors]
    memory = SharedMemory(room(tensors))
    assert bind(tensors, memory.tensor(), 0, keep=True) == room(tensors)
    bind(others, SharedMemory(memory.size, memory.descriptor).tensor(), 0, keep=False)
    for was, mine, theirs in zip(before, tensors, others, strict=True):
        assert torch.equal(was, mine)
        assert mine.is_contiguous()
        mine.copy_(1 - was.to(torch.int8))
        assert torch.equal(mine, theirs)  # written in one place, read in the other


def test_whoever_holds_a_tensor_holds_the_shared_one_afterwards():
    tensor = torch.ones(3)
    held, memory = {"a": tensor}, SharedMemory(64)
    bind([tensor], memory.tensor(), 0, keep=True)
    held["a"].mul_(5)
    assert memory.tensor()[:12].view(torch.float32).tolist() == [5, 5, 5]


@pytest.mark.skipif(os.name != "posix", reason="descriptors are inherited on POSIX systems")
def test_a_process_that_inherits_the_descriptor_shares_the_memory():
    memory = SharedMemory(64)
    program = (
        "import sys; from offbench.basis.sharing import SharedMemory; "
        "SharedMemory(64, int(sys.argv[1])).tensor()[:4] += 7"
    )
    command = [sys.executable, "-c", program, str(memory.descriptor)]
    subprocess.run(command, pass_fds=[memory.descriptor], check=True)
    assert memory.tensor()[:5].tolist() == [7, 7, 7, 7, 0]


def test_shared_tensors_of_several_types_are_updated_by_compiled_code():
    """In one storage, the eighth of the integers would be taken for a part of the numbers, and compiling fail."""
    numbers, integers = torch.ones(1000), torch.zeros(10, dtype=torch.int64)
    memory = SharedMemory(room([numbers, integers]))
    bind([numbers, integers], memory.tensor(), 0, keep=True)

    def update(numbers: torch.Tensor, integers: torch.Tensor) -> None:
        numbers.mul_(2)
        integers.add_(1)

    torch.compile(update, backend="aot_eager", fullgraph=True)(numbers, integers)
    assert numbers.tolist() == [2.0] * 1000
    assert integers.tolist() == [1] * 10
    assert memory.tensor()[:8].view(torch.float32).tolist() == [2.0, 2.0]
