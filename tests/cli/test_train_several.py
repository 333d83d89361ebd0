"""One command that trains on several datasets: a run each, and what fails keeps the others from nothing."""

import shutil

import numpy as np
import pytest

from offbench.cli.main import main
from offbench.formats import native

QUICK = [
    "--steps",
    "4",
    "--seeds",
    "1",
    "--episodes",
    "1",
    "--hidden",
    "8",
    "--batch-size",
    "8",
    "--compile",
    "never",
    "--workers",
    "1",
    "--quiet",
]


@pytest.fixture
def files(pendulum_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = native.load(pendulum_file)
    for name, part in (("a", data[:5]), ("b", data[5:10])):
        native.save(part, tmp_path / f"{name}.offbench")
    shutil.copy(pendulum_file, tmp_path / "c.offbench")
    (tmp_path / "broken.offbench").write_bytes(b"no dataset")
    return tmp_path


def test_each_dataset_has_a_run_in_the_folder_that_is_named(files, capsys):
    assert main(["train", "IQL", "a.offbench", "b.offbench", "--output", "out", *QUICK]) == 0
    told = capsys.readouterr().out
    assert told.count("run: ") == 2
    assert [path.parent.name for path in sorted((files / "out").glob("*/seed-0.json"))] == ["a.offbench", "b.offbench"]


def test_without_a_folder_each_has_its_own(files):
    assert main(["train", "bc", "a.offbench", "b.offbench", *QUICK]) == 0
    assert len(list((files / "runs").glob("*/seed-0.json"))) == 2


def test_what_fails_lets_the_others_run_and_they_are_not_run_again(files, capsys):
    command = ["train", "bc", "a.offbench", "broken.offbench", "nowhere.offbench", "b.offbench", "--output", "out"]
    assert main([*command, *QUICK]) == 1
    told = capsys.readouterr()
    assert told.out.count("run: ") == 2
    assert "error: broken.offbench: " in told.err
    assert told.err.endswith("2 of 4 datasets failed: broken.offbench, nowhere.offbench\n")
    before = (files / "out" / "a.offbench" / "seed-0.json").stat().st_mtime_ns
    shutil.copy(files / "c.offbench", files / "broken.offbench")
    native.save(native.load(files / "c.offbench")[np.arange(3)], files / "nowhere.offbench")
    assert main([*command, *QUICK, "--resume"]) == 0
    assert (files / "out" / "a.offbench" / "seed-0.json").stat().st_mtime_ns == before
    assert len(list((files / "out").glob("*/seed-0.json"))) == 4


def test_what_has_one_folder_twice_is_refused_before_anything_is_trained(files, capsys):
    assert main(["train", "bc", "a.offbench", "a.offbench", *QUICK]) == 2
    assert "a.offbench is named twice" in capsys.readouterr().err
    (files / "sub").mkdir()
    shutil.copy(files / "a.offbench", files / "sub" / "a.offbench")
    assert main(["train", "bc", "a.offbench", "sub/a.offbench", "--output", "out", *QUICK]) == 2
    assert "a.offbench and sub/a.offbench have one folder" in capsys.readouterr().err
    assert not (files / "out").exists()


def test_an_unknown_flag_ends_the_command_at_once(files, capsys):
    assert main(["train", "bc", "a.offbench", "b.offbench", "--expectile", "0.9"]) == 2
    assert not (files / "runs").exists()
