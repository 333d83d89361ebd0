import errno
import os
import re

import pytest
import torch

from offbench.basis.failures import disk_is_full, failure

TOO_LITTLE = "there is too little memory"


def system_error(number, *names):
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (system_error(errno.ENOSPC, "a/b"), "a/b: No space left on device; make room, or name a folder on another"),
        (system_error(errno.EDQUOT), "Disk quota exceeded; make room"),
        (system_error(errno.ENAMETOOLONG, "x" * 300), f"{'x' * 300}: File name too long; give a shorter name"),
        (system_error(errno.EACCES, b"a"), "a: Permission denied; name one that you may read and write"),
        (system_error(errno.EROFS, "a"), "a: Read-only file system; name a folder that can be written to"),
        (system_error(errno.EIO, "a"), "a: Input/output error"),
        (OSError("Can't write data (errno = 28, error message = 'No space left on device')"), "Can't write data"),
        (Exception("I/O error: No space left on device (os error 28)"), "I/O error: No space left"),
        (MemoryError(), f"{TOO_LITTLE}; ask for less"),
        (MemoryError("Unable to allocate 1 TiB"), rf"{TOO_LITTLE} \(Unable to allocate 1 TiB\); ask for less"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), rf"{TOO_LITTLE} \(CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), TOO_LITTLE),
        (system_error(errno.ENOMEM), TOO_LITTLE),
        (OverflowError("Python int too large to convert to C long"), "a number is larger than this machine can work"),
        (ValueError("Maximum allowed dimension exceeded"), "a number is larger than this machine can work"),
        (ValueError("embedded null byte"), "a name of a file holds a null character"),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(error, sentence):
    assert failure(error) is not None
    assert re.match(sentence, failure(error))


@pytest.mark.parametrize("error", [TypeError("no such thing"), KeyError("x"), ValueError("wrong"), OSError("odd")])
def test_anything_else_may_be_a_bug(error):
    assert failure(error) is None


def test_torch_says_so_when_memory_is_not_to_be_had():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**47, dtype=torch.float64)
    assert failure(caught.value).startswith(TOO_LITTLE)


def test_a_full_disk_is_known_by_whoever_met_it():
    assert disk_is_full(system_error(errno.ENOSPC))
    assert disk_is_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not disk_is_full(system_error(errno.EACCES))
