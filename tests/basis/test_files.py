import errno
import os
import subprocess
import sys

import pytest

from offbench.basis.files import atomic
from offbench.errors import OffbenchError


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_and_leaves_what_was_there(error, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    sentence = r"cannot write .*table.csv: No space left on device; what was there before is left"
    with pytest.raises(OffbenchError, match=sentence), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("ne")
        raise error
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("table.csv", "old")]


def test_other_errors_of_a_block_pass(tmp_path):
    with pytest.raises(KeyError), atomic(tmp_path / "x"):
        raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
from pathlib import Path
import safetensors.torch, torch
from offbench.basis.files import atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with atomic(Path(sys.argv[1])) as temporary:
    safetensors.torch.save_file({"x": torch.zeros(100_000)}, temporary)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of the size of a file")
def test_a_checkpoint_that_does_not_fit_is_told(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "state.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "UnwritableError: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
