import asyncio
import os
import subprocess
import sys

import pytest

from offbench.basis.foreign import foreign, staying
from offbench.errors import OffbenchError


class UnprintableError(Exception):
    def __str__(self):
        raise TypeError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no\nluck"), "ValueError: no luck"),
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopIteration(), "StopIteration"),
        (UnprintableError(), "UnprintableError"),
        (OffbenchError("theirs"), "OffbenchError: theirs"),
    ],
)
def test_whatever_is_raised_is_told(error, said):
    told = rf"^it failed: {said} \(.*test_foreign\.py, line \d+, in test_whatever_is_raised_is_told: raise error\)$"
    with pytest.raises(OffbenchError, match=told) as caught, foreign("it", "it failed: {}".format):
        raise error
    assert caught.value.__cause__ is error


def test_ctrl_c_passes_and_so_does_a_sentence_that_is_asked_for():
    with pytest.raises(KeyboardInterrupt), foreign("it", str):
        raise KeyboardInterrupt
    with pytest.raises(OffbenchError, match=r"^mine$"), foreign("it", "failed: {}".format, ours=True):
        raise OffbenchError("mine")


FORK = """
import os, sys
from offbench.basis.foreign import foreign
try:
    with foreign("it", str):
        if os.fork() == 0:
            {child}
        else:
            print("status", os.waitstatus_to_exitcode(os.wait()[1]))
    print("went on")
finally:
    print("tidied up")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.parametrize(
    ("child", "status", "told"),
    [
        ("pass", 2, "the copy of this process came back; it ends here"),
        ("raise ValueError('x')", 2, "the copy of this process failed (ValueError: x); it ends here"),
        ("raise KeyboardInterrupt", 2, "the copy of this process failed (KeyboardInterrupt); it ends here"),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(5)", 5, ""),
        ("os._exit(3)", 3, ""),
    ],
)
def test_a_copy_that_leaves_the_block_ends(child, status, told):
    command = [sys.executable, "-c", FORK.format(child=child)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"status {status}\nwent on\ntidied up\n"
    assert told in done.stderr
    assert bool(told) == bool(done.stderr)


def test_the_working_directory_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(KeyError), staying():  # noqa: PT012
        os.chdir("elsewhere")
        raise KeyError
    assert os.getcwd() == str(tmp_path)
