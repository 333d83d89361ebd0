"""What may befall the folder of a run: damage, a full disk, a folder that is read-only, a clock that is set back."""

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
from whole_runs import alike, checkpoint, finish

import offbench
from offbench.basis.compiler import compiler
from offbench.cli.main import main
from offbench.errors import OffbenchError
from offbench.formats import native
from offbench.training.folder import RunFolder

LAST, BEFORE = "checkpoint-000000036.safetensors", "checkpoint-000000024.safetensors"
LEARNER = f"{__name__}:Constant"


class Constant:
    """A learner whose policy is what its seed says; the fourth seed is interrupted once."""

    interrupted = False

    def fit(self, data, task, seed, budget):
        if seed == 3 and Constant.interrupted:
            Constant.interrupted = False
            raise KeyboardInterrupt
        self.value = seed / 10
        return self

    def act(self, observations):
        return np.full((len(observations), 1), self.value)


def training(data: Path, folder: Path, *more: str) -> list[str]:
    command = ["train", "iql", str(data), "--seeds", "2", "--steps", "60", "--hidden", "16", "--batch-size", "16"]
    command += ["--compile", "never", "--episodes", "1", "--evaluate-every", "30", "--checkpoint-every", "12"]
    return [*command, "--output", str(folder), *more]


@pytest.fixture(scope="module")
def whole(pendulum_file, tmp_path_factory) -> Path:
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(training(pendulum_file, folder))
    return folder


@pytest.fixture(scope="module")
def stopped(pendulum_file, tmp_path_factory) -> Path:
    """The run as it stands when it is killed after its checkpoint of step 36."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(os, "replace", failing_at("checkpoint-000000048", os.replace, KeyboardInterrupt()))
        assert main(training(pendulum_file, folder)) == 130
    names = sorted(path.name for path in folder.iterdir())
    assert names == [BEFORE, LAST, "manifest.before.json", "manifest.json"]
    return folder


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    """A copy of it, to be harmed."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def failing_at(name: str, function: Callable[..., None], error: BaseException) -> Callable[..., None]:
    """A function that raises an error where an argument has such a name."""

    def perform(*arguments: object, **more: object) -> None:
        if any(name in str(argument) for argument in [*arguments, *more.values()]):
            raise error
        return function(*arguments, **more)

    return perform


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sentence(capsys) -> str:
    """The one line that a command which ended with an error said last."""
    told = capsys.readouterr().err
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    return line


# -------------------------------------------------------------------- damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def flip(path: Path) -> None:
    """One bit of the last byte of the weights."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DAMAGES = {
    "cut": cut,
    "one bit": flip,
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "a link": replace_by_link,
    "of something else": lambda path: path.write_bytes(b"weights of something else"),
}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", [LAST, "manifest.json"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(name, kind, pendulum_file, run, whole, capsys):
    if (name, kind) == ("manifest.json", "one bit"):
        (run / name).write_text((run / name).read_text().replace('"step":36', '"step":37', 1))
    else:
        DAMAGES[kind](run / name)
    linked = (name, kind) == ("manifest.json", "a link")  # which leads to what the run wrote
    assert RunFolder(run).manifest().progress.step == (24 if name == "manifest.json" and not linked else 36)
    kept = b"" if kind == "missing" else (run / name).read_bytes()
    finish(training(pendulum_file, run, "--resume"))
    told = capsys.readouterr().err
    assert ("goes on from the checkpoint before it" in told) == (not linked)
    assert name in told or linked
    assert str(run) in told or linked
    for aside in run.glob("damaged-*"):
        assert aside.name in told
        assert aside.read_bytes() == kept
        aside.unlink()
    (run / "elsewhere").unlink(missing_ok=True)
    assert alike(whole, run)


def test_what_is_shown_to_be_the_runs_own_is_not_set_aside(pendulum_file, run, whole):
    flip(run / LAST)  # whose header says of which run it is
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((LAST, BEFORE), f"{LAST} is not the one that the run wrote: .*, nor can it go on from .*{BEFORE} is not the"),
        (("manifest.json", "manifest.before.json"), "manifest.json is not a run's manifest"),
        (("manifest.json", BEFORE), f"manifest.json is not a run's manifest.*{BEFORE} is not the one that the run"),
        ((LAST, "manifest.before.json"), f"{LAST} is not the one .*before.json is not a run's manifest"),
    ],
)
def test_where_both_are_damaged_one_sentence_says_so_and_nothing_is_removed(names, told, pendulum_file, run):
    for name in names:
        cut(run / name)
    before = contents(run)
    with pytest.raises(OffbenchError, match=told) as error:
        again(pendulum_file, run)
    assert "\n" not in str(error.value)
    assert contents(run) == before


def again(data: Path, folder: Path) -> None:
    settings = {"seeds": 2, "steps": 60, "hidden": (16,), "batch_size": 16, "compile": "never", "episodes": 1}
    settings |= {"evaluate_every": 30, "checkpoint_every": 12, "quiet": True}
    offbench.train("iql", data, output=folder, resume=True, **settings)


def test_the_checkpoint_before_stays_until_the_run_is_complete(whole, stopped):
    assert RunFolder(stopped).manifest().checkpoint == LAST
    assert sorted(path.name for path in whole.iterdir()) == [
        "checkpoint-000000060.safetensors",
        "manifest.json",
        "seed-0.json",
        "seed-1.json",
    ]


def test_a_run_that_was_saved_without_one_before_goes_on(pendulum_file, run, whole):
    (run / "manifest.before.json").unlink()  # as earlier versions left it
    (run / BEFORE).unlink()
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)


def test_a_learner_falls_back_to_the_seeds_before(pendulum_file, tmp_path, capsys, monkeypatch):
    command = ["train", LEARNER, str(pendulum_file), "--seeds", "5", "--steps", "1", "--episodes", "1", "--output"]
    finish([*command, str(tmp_path / "whole")])
    monkeypatch.setattr(Constant, "interrupted", True)
    assert main([*command, str(tmp_path / "run")]) == 130
    cut(tmp_path / "run" / "manifest.json")
    assert len(RunFolder(tmp_path / "run").manifest().progress.evaluations) == 2
    capsys.readouterr()
    finish([*command, str(tmp_path / "run"), "--resume"])
    assert "goes on from the checkpoint before it" in capsys.readouterr().err
    (aside,) = (tmp_path / "run").glob("damaged-*")
    aside.unlink()
    assert alike(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_is_stopped_where_it_was_just_saved_keeps_both(pendulum_file, run, monkeypatch, whole):
    # A signal while the first update after the checkpoint is awaited: nothing was done since.
    from offbench.training.loop import Training

    def stop_at_once(self, stop, interrupted):
        os.kill(os.getpid(), 2)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_advance", stop_at_once)
        for _ in range(3):
            assert main(training(pendulum_file, run, "--resume")) == 130
            manifests = [RunFolder(run).manifest(), *RunFolder(run)._sound().values()]
            assert {manifest.progress.step for manifest in manifests} == {36}
            assert len({manifest.checkpoint for manifest in manifests}) == 2
    flip(run / RunFolder(run).manifest().checkpoint)
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)


# -------------------------------------------------------------------- a full disk


FULL = {
    "the first checkpoint": ("checkpoint-000000000", False),
    "a checkpoint": ("checkpoint-000000024", True),
    "the manifest before": ("manifest.before.json", True),
    "a record": ("seed-1.json", True),
}


@pytest.mark.parametrize("when", FULL)
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_once_there_is_room(
    when, pendulum_file, tmp_path, whole, monkeypatch, capsys
):
    name, begun = FULL[when]
    with monkeypatch.context() as patched:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patched.setattr(os, "replace", failing_at(name, os.replace, full))
        assert main(training(pendulum_file, tmp_path / "run")) == 2
    line = sentence(capsys)
    assert f"cannot write {tmp_path / 'run'}" in line
    assert "No space left on device" in line
    assert ("--resume to go on" in line) == begun
    if begun:
        step = RunFolder(tmp_path / "run").manifest().progress.step
        assert f"the run in {tmp_path / 'run'} stands at step {step}" in line
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    finish(training(pendulum_file, tmp_path / "run", "--resume"))
    assert alike(whole, tmp_path / "run")


LIMITED = """
import resource, sys
from offbench.cli.main import main
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of the size of a file")
def test_a_file_that_may_not_grow_is_one_sentence_with_what_was_kept(pendulum_file, run, whole):
    before = contents(run)
    size = str(len(before[LAST]) // 2)
    command = [sys.executable, "-c", LIMITED, size, *training(pendulum_file, run, "--resume")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert "stands at step 36" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(run) == before
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)


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


def test_a_disk_that_is_really_full(disk, pendulum_file, whole, capsys):
    place = disk("remount,size=10m")
    # Room for the first checkpoint, and not for the second beside it.
    size = (whole / "checkpoint-000000060.safetensors").stat().st_size
    disk(f"remount,size={size + size // 2 + 20_000}")
    assert main(training(pendulum_file, place / "run")) == 2
    assert "No space left on device" in sentence(capsys)
    assert RunFolder(place / "run").manifest().progress.step == 0
    assert not [path for path in (place / "run").iterdir() if path.name.startswith(".")]
    disk("remount,size=10m")
    finish(training(pendulum_file, place / "run", "--resume"))
    assert alike(whole, place / "run")


def test_a_full_cache_folder_costs_time_alone(disk, tmp_path, whole, pendulum_file, monkeypatch, capsys):
    place = disk("remount,size=8k")
    (place / "filling").write_bytes(bytes(4096))
    monkeypatch.setenv("OFFBENCH_CACHE", str(place / "cache"))
    data = native.load(pendulum_file)
    steps = np.arange(data.steps) + np.repeat(np.arange(len(data)), data.lengths)
    with h5py.File(tmp_path / "tiny.hdf5", "w") as file:
        file["observations"], file["actions"] = data.observations[steps], data.actions
        file["rewards"], file["terminals"], file["timeouts"] = data.rewards, data.terminations, data.truncations
    finish(training(tmp_path / "tiny.hdf5", tmp_path / "run", "--task", "pendulum"))
    assert "no cache file could be written" in capsys.readouterr().err
    left = [path for path in place.rglob("*") if path.name.startswith(".")]
    assert not left


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_a_cache_folder_too_full_for_compiled_code_is_one_sentence(disk, pendulum_file, tmp_path, monkeypatch, capsys):
    place = disk("remount,size=40k")
    monkeypatch.setenv("OFFBENCH_CACHE", str(place))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    command = [sys.executable, "-m", "offbench", *training(pendulum_file, tmp_path / "run", "--compile", "always")]
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
        flags = training(pendulum_file, tmp_path / str(number), "--compile", "always")
        command = [sys.executable, "-m", "offbench", *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        for library in (tmp_path / "cache" / "compiled").rglob("*.so"):
            cut(library)
    assert alike(tmp_path / "0", tmp_path / "1")


def test_dynamics_that_cannot_be_kept_are_used_and_that_is_said(pendulum_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    command = ["train", "mopo", str(pendulum_file), "--seeds", "1", "--steps", "3", "--hidden", "8", "--batch-size"]
    command += ["8", "--dynamics-hidden", "8", "--dynamics-epochs", "2", "--compile", "never", "--episodes", "1"]
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing_at("cache/dynamics", os.replace, full))
        finish([*command, "--output", str(tmp_path / "run")])
    assert "dynamics: seed 0 is not kept for the next run: cannot write" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "cache" / "dynamics").iterdir() if path.suffix != ".lock"]
    finish([*command, "--output", str(tmp_path / "again")])
    assert alike(tmp_path / "run", tmp_path / "again")


# -------------------------------------------------------------------- a folder that is read-only


def test_a_folder_that_became_read_only_is_one_sentence(pendulum_file, run, whole, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        refused = OSError(errno.EROFS, os.strerror(errno.EROFS))
        patched.setattr(tempfile, "mkstemp", failing_at("checkpoint-000000048", tempfile.mkstemp, refused))
        assert main(training(pendulum_file, run, "--resume")) == 2
    line = sentence(capsys)
    assert "Read-only file system; name a folder that can be written to; the run in" in line
    assert "stands at step 36" in line
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)


def test_a_disk_that_is_really_read_only(disk, pendulum_file, stopped, whole, capsys):
    place = disk("remount,size=10m")
    shutil.copytree(stopped, place / "run")
    shutil.copytree(whole, place / "whole")
    before = contents(place / "run")
    disk("remount,ro")
    for folder in ("run", "new"):
        assert main(training(pendulum_file, place / folder, "--resume")) == 2
        line = sentence(capsys)
        assert f"cannot write {place / folder}: Read-only file system; name a folder that can be written to" in line
    assert contents(place / "run") == before
    assert offbench.Run(place / "whole").policy().seeds == 2  # what is finished can be read
    disk("remount,rw")
    finish(training(pendulum_file, place / "run", "--resume"))
    assert alike(whole, place / "run")


# -------------------------------------------------------------------- a clock that is set back


def test_a_clock_that_goes_backwards_changes_nothing(pendulum_file, run, whole, monkeypatch):
    for path in run.iterdir():  # written in what is the future now
        os.utime(path, (4e9, 4e9))
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    monkeypatch.setattr(time, "time_ns", lambda: int(backwards() * 1e9))
    finish(training(pendulum_file, run, "--resume"))
    assert alike(whole, run)
    assert set(checkpoint(run)) == set(checkpoint(whole))
    for record in offbench.Run(run).records:
        assert record.wall_seconds > 0
        assert record.evaluation_seconds > 0
