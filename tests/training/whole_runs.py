"""What tests of whole runs share."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch

from offbench.cli.main import main
from offbench.evaluation.record_files import read_records

SMALL = {"hidden": (16,), "batch_size": 16, "quiet": True, "compile": "never"}


def checkpoint(folder) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("checkpoint-*.safetensors")
    return safetensors.torch.load_file(path)


def outcome(folder) -> list[dict]:
    """Everything in the records that must not depend on when and how often the run was interrupted."""
    records = [record.model_dump(mode="json") for record in read_records([folder])]
    for record in records:
        for name in ("created", "wall_seconds", "evaluation_seconds", "git_commit", "hardware", "group_size"):
            del record[name]
    return records


def same(one, other) -> bool:
    a, b = checkpoint(one), checkpoint(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) and outcome(one) == outcome(other)


def alike(one, other) -> bool:
    """Whether two finished runs hold the same files and the same results; a learner's have no checkpoint."""
    files = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    if files[0] != files[1] or any(name.startswith(".") for name in files[0]):
        return False
    return same(one, other) if list(one.glob("checkpoint-*")) else outcome(one) == outcome(other)


COMMAND = """
import sys, offbench
from offbench.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def start(arguments) -> subprocess.Popen:
    """The command line in a process of its own, which a test means to harm."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(arguments) -> None:
    """The command line in this process, which has started already."""
    assert main(arguments) == 0


def wait_for_step(folder, step, process):
    """Until the run's manifest has come to a step."""
    for _ in range(6000):
        manifest = folder / "manifest.json"
        if manifest.exists() and json.loads(manifest.read_text())["progress"]["step"] >= step:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"the run never came to step {step}")


# -------------------------------------------------------------------- runs that are harmed

# Its checkpoints when it is killed after step 36.
LAST, BEFORE = "checkpoint-000000036.safetensors", "checkpoint-000000024.safetensors"


def short_run(data: Path, folder: Path, *more: str) -> list[str]:
    """A run of half a second with five checkpoints."""
    command = ["train", "iql", str(data), "--seeds", "2", "--steps", "60", "--hidden", "16", "--batch-size", "16"]
    command += ["--compile", "never", "--episodes", "1", "--evaluate-every", "30", "--checkpoint-every", "12"]
    return [*command, "--output", str(folder), *more]


def failing_at(name: str, function: Callable[..., None], error: BaseException) -> Callable[..., None]:
    """A function that raises an error where an argument has such a name."""

    def perform(*arguments: object, **more: object) -> None:
        if any(name in str(argument) for argument in [*arguments, *more.values()]):
            raise error
        return function(*arguments, **more)

    return perform


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cut(path: Path) -> None:
    """Take the last bytes of a file."""
    path.write_bytes(path.read_bytes()[:-50])
