"""Where what a run left is damaged, it goes on from the checkpoint before, and ends as the one that nobody harmed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from whole_runs import BEFORE, LAST, alike, contents, cut, finish, short_run

import offbench
from offbench.cli.main import main
from offbench.errors import OffbenchError
from offbench.training.folder import RunFolder

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
def test_a_damaged_checkpoint_falls_back_to_the_one_before(name, kind, pendulum_file, run, undisturbed, capsys):
    if (name, kind) == ("manifest.json", "one bit"):
        (run / name).write_text((run / name).read_text().replace('"step":36', '"step":37', 1))
    else:
        DAMAGES[kind](run / name)
    linked = (name, kind) == ("manifest.json", "a link")  # which leads to what the run wrote
    assert RunFolder(run).manifest().progress.step == (24 if name == "manifest.json" and not linked else 36)
    kept = b"" if kind == "missing" else (run / name).read_bytes()
    finish(short_run(pendulum_file, run, "--resume"))
    told = capsys.readouterr().err
    assert ("goes on from the checkpoint before it" in told) == (not linked)
    assert name in told or linked
    assert str(run) in told or linked
    for aside in run.glob("damaged-*"):
        assert aside.name in told
        assert aside.read_bytes() == kept
        aside.unlink()
    (run / "elsewhere").unlink(missing_ok=True)
    assert alike(undisturbed, run)


def test_what_is_shown_to_be_the_runs_own_is_not_set_aside(pendulum_file, run, undisturbed):
    flip(run / LAST)  # whose header says of which run it is
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)


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


def test_the_checkpoint_before_stays_until_the_run_is_complete(undisturbed, stopped):
    assert RunFolder(stopped).manifest().checkpoint == LAST
    assert sorted(path.name for path in undisturbed.iterdir()) == [
        "checkpoint-000000060.safetensors",
        "manifest.json",
        "metrics.csv",
        "seed-0.json",
        "seed-1.json",
    ]


def test_a_run_that_was_saved_without_one_before_goes_on(pendulum_file, run, undisturbed):
    (run / "manifest.before.json").unlink()  # as earlier versions left it
    (run / BEFORE).unlink()
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)


def test_a_learner_falls_back_to_the_seeds_before(pendulum_file, tmp_path, capsys, monkeypatch):
    command = ["train", LEARNER, str(pendulum_file), "--seeds", "5", "--steps", "1", "--episodes", "1", "--output"]
    finish([*command, str(tmp_path / "undisturbed")])
    monkeypatch.setattr(Constant, "interrupted", True)
    assert main([*command, str(tmp_path / "run")]) == 130
    cut(tmp_path / "run" / "manifest.json")
    assert len(RunFolder(tmp_path / "run").manifest().progress.evaluations) == 2
    capsys.readouterr()
    finish([*command, str(tmp_path / "run"), "--resume"])
    assert "goes on from the checkpoint before it" in capsys.readouterr().err
    (aside,) = (tmp_path / "run").glob("damaged-*")
    aside.unlink()
    assert alike(tmp_path / "undisturbed", tmp_path / "run")


def test_a_run_that_is_stopped_where_it_was_just_saved_keeps_both(pendulum_file, run, monkeypatch, undisturbed):
    # A signal while the first update after the checkpoint is awaited: nothing was done since.
    from offbench.training.loop import Training

    def stop_at_once(self, stop, interrupted):
        os.kill(os.getpid(), 2)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_advance", stop_at_once)
        for _ in range(3):
            assert main(short_run(pendulum_file, run, "--resume")) == 130
            manifests = [RunFolder(run).manifest(), *RunFolder(run)._sound().values()]
            assert {manifest.progress.step for manifest in manifests} == {36}
            assert len({manifest.checkpoint for manifest in manifests}) == 2
    flip(run / RunFolder(run).manifest().checkpoint)
    finish(short_run(pendulum_file, run, "--resume"))
    assert alike(undisturbed, run)
