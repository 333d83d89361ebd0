"""What may befall a run from outside: a full disk, a folder that is read-only, a clock that is set back."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from whole_runs import LAST, alike, checkpoint, contents, cut, failing_at, finish, short_run

import offbench
from offbench.basis.compiler import compiler
from offbench.cli.main import main
from offbench.formats import native
from offbench.training.folder import RunFolder


def modelled(data: Path) -> list[str]:
    """A run that fits dynamics."""
    command = ["train", "mopo", str(data), "--seeds", "1", "--steps", "3", "--hidden", "8", "--batch-size", "8"]
    return [*command, "--dynamics-hidden", "8", "--dynamics-epochs", "2", "--compile", "never", "--episodes", "1"]


def sentence(capsys) -> str:
    """The one line that a command which ended with an error said last."""
    told = capsys.readouterr().err
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    return line


# -------------------------------------------------------------------- a full disk


FULL = {
    "the first checkpoint": ("checkpoint-000000000", False),
    "a checkpoint": ("checkpoint-000000024", True),
    "the manifest before": ("manifest.before.json", True),
    "a record": ("seed-1.json", True),
}


@pytest.mark.parametrize("when", FULL)
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_once_there_is_room(
    when, pendulum_file, tmp_path, undisturbed, monkeypatch, capsys
):
    name, begun = FULL[when]
    with monkeypatch.context() as patched:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patched.setattr(os, "replace", failing_at(name, os.replace, full))
        assert main(short_run(pendulum_file, tmp_path / "run")) == 2
    line = sentence(capsys)
    assert f"cannot write {tmp_path / 'run'}" in line
    assert "No space left on device" in line
    assert ("--resume to go on" in line) == begun
    if begun:
        step = RunFolder(tmp_path / "run").manifest().progress.step
        assert f"the run in {tmp_path / 'run'} stands at step {step}" in line
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    finish(short_run(pendulum_file, tmp_path / "run", "--resume"))
    assert alike(undisturbed, tmp_path / "run")


LIMITED = """
import resource, sys
from offbench.cli.main import main
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of the size of a file")
def test_a_file_that_may_not_grow_is_one_sentence_with_what_was_kept(pendulum_file, run, undisturbed):
    before = contents(run)
    size = str(len(before[LAST]) // 2)
    command = [sys.executable, "-c", LIMITED, size, *short_run(pendulum_file, run, "--resume")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert "stands at step 36" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(run) == before
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, and a way to mount it otherwise."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "offbench-test", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        return place

    mount("size=10m")
    yield mount
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full(disk, pendulum_file, undisturbed, capsys):
    place = disk("remount,size=10m")
    # Room for the first checkpoint, and not for the second beside it.
    size = (undisturbed / "checkpoint-000000060.safetensors").stat().st_size
    disk(f"remount,size={size + size // 2 + 20_000}")
    assert main(short_run(pendulum_file, place / "run")) == 2
    assert "No space left on device" in sentence(capsys)
    assert RunFolder(place / "run").manifest().progress.step == 0
    assert not [path for path in (place / "run").iterdir() if path.name.startswith(".")]
    disk("remount,size=10m")
    finish(short_run(pendulum_file, place / "run", "--resume"))
    assert alike(undisturbed, place / "run")


def test_a_full_cache_folder_costs_time_alone(disk, tmp_path, undisturbed, pendulum_file, monkeypatch, capsys):
    place = disk("remount,size=40k")
    (place / "filling").write_bytes(bytes(7 * 4096))
    monkeypatch.setenv("OFFBENCH_CACHE", str(place / "cache"))
    data = native.load(pendulum_file)
    steps = np.arange(data.steps) + np.repeat(np.arange(len(data)), data.lengths)
    with h5py.File(tmp_path / "tiny.hdf5", "w") as file:
        file["observations"], file["actions"] = data.observations[steps], data.actions
        file["rewards"], file["terminals"], file["timeouts"] = data.rewards, data.terminations, data.truncations
    finish(short_run(tmp_path / "tiny.hdf5", tmp_path / "run", "--task", "pendulum"))
    assert "no cache file could be written" in capsys.readouterr().err
    left = [path for path in place.rglob("*") if path.name.startswith(".")]
    assert not left


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_a_cache_folder_too_full_for_compiled_code_is_one_sentence(disk, pendulum_file, tmp_path, monkeypatch, capsys):
    place = disk("remount,size=40k")
    monkeypatch.setenv("OFFBENCH_CACHE", str(place))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    command = [sys.executable, "-m", "offbench", *short_run(pendulum_file, tmp_path / "run", "--compile", "always")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    told = f"cannot write compiled code to {place}: No space left on device; name a folder on another disk"
    assert told in done.stderr
    assert "stands at step 0" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_compiled_code_that_was_cut_is_compiled_anew(pendulum_file, tmp_path):
    environment = os.environ | {"OFFBENCH_CACHE": str(tmp_path / "cache")}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    for number in range(2):
        flags = short_run(pendulum_file, tmp_path / str(number), "--compile", "always")
        command = [sys.executable, "-m", "offbench", *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        for library in (tmp_path / "cache" / "compiled").rglob("*.so"):
            cut(library)
    assert alike(tmp_path / "0", tmp_path / "1")


def test_dynamics_that_cannot_be_kept_are_used_and_that_is_said(pendulum_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    command = modelled(pendulum_file)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing_at("cache/dynamics", os.replace, full))
        finish([*command, "--output", str(tmp_path / "run")])
    assert "dynamics: seed 0 is not kept for the next run: cannot write" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "cache" / "dynamics").iterdir() if path.suffix != ".lock"]
    finish([*command, "--output", str(tmp_path / "again")])
    assert alike(tmp_path / "run", tmp_path / "again")


# -------------------------------------------------------------------- a folder that is read-only


def test_a_folder_that_became_read_only_is_one_sentence(pendulum_file, run, undisturbed, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        refused = OSError(errno.EROFS, os.strerror(errno.EROFS))
        patched.setattr(tempfile, "mkstemp", failing_at("checkpoint-000000048", tempfile.mkstemp, refused))
        assert main(short_run(pendulum_file, run, "--resume")) == 2
    line = sentence(capsys)
    assert "Read-only file system; name a folder that can be written to; the run in" in line
    assert "stands at step 36" in line
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)


def test_a_disk_that_is_really_read_only(disk, pendulum_file, stopped, undisturbed, capsys):
    place = disk("remount,size=10m")
    shutil.copytree(stopped, place / "run")
    shutil.copytree(undisturbed, place / "whole")
    before = contents(place / "run")
    disk("remount,ro")
    for folder in ("run", "new"):
        assert main(short_run(pendulum_file, place / folder, "--resume")) == 2
        line = sentence(capsys)
        assert f"cannot write {place / folder}: Read-only file system; name a folder that can be written to" in line
    assert contents(place / "run") == before
    assert offbench.Run(place / "whole").policy().seeds == 2  # what is finished can be read
    disk("remount,rw")
    finish(short_run(pendulum_file, place / "run", "--resume"))
    assert alike(undisturbed, place / "run")


def test_dynamics_in_a_cache_folder_that_is_read_only_are_read(disk, pendulum_file, tmp_path, monkeypatch, capsys):
    place = disk("remount,size=10m")
    monkeypatch.setenv("OFFBENCH_CACHE", str(place / "cache"))
    finish([*modelled(pendulum_file), "--output", str(tmp_path / "run")])
    left = place / "cache" / "dynamics"
    disk("remount,ro")
    capsys.readouterr()
    finish([*modelled(pendulum_file), "--output", str(tmp_path / "again")])
    assert f"dynamics: seeds 0 lie in {left}" in capsys.readouterr().err
    assert alike(tmp_path / "run", tmp_path / "again")


# -------------------------------------------------------------------- a clock that is set back


def test_a_clock_that_goes_backwards_changes_nothing(pendulum_file, run, undisturbed, monkeypatch):
    for path in run.iterdir():  # written in what is the future now
        os.utime(path, (4e9, 4e9))
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    monkeypatch.setattr(time, "time_ns", lambda: int(backwards() * 1e9))
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)
    assert set(checkpoint(run)) == set(checkpoint(undisturbed))
    for record in offbench.Run(run).records:
        assert record.wall_seconds > 0
        assert record.evaluation_seconds > 0
