"""A short run as nobody disturbed it, and as it stands when it was killed on its way."""

import os
import shutil
from pathlib import Path

import pytest
from whole_runs import BEFORE, LAST, failing_at, finish, short_run

from offbench.cli.main import main


@pytest.fixture(scope="session")
def undisturbed(pendulum_file, tmp_path_factory) -> Path:
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(short_run(pendulum_file, folder))
    return folder


@pytest.fixture(scope="session")
def stopped(pendulum_file, tmp_path_factory) -> Path:
    """The run as it stands when it is killed after its checkpoint of step 36."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(os, "replace", failing_at("checkpoint-000000048", os.replace, KeyboardInterrupt()))
        assert main(short_run(pendulum_file, folder)) == 130
    names = sorted(path.name for path in folder.iterdir())
    assert names == [BEFORE, LAST, "manifest.before.json", "manifest.json", "metrics.csv"]
    return folder


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    """A copy of it, to be harmed."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))
