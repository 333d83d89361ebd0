import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from whole_runs import SMALL, checkpoint, finish, outcome, same, start, wait_for_step

import offbench
from offbench.algorithms import registry
from offbench.cli.main import main
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.evaluation.rollout import environment_seeds, returns
from offbench.formats import native
from offbench.training import run as run_module

ONCE = SMALL | {"evaluate_every": 1000}  # only at the end, where nothing is said of the course of the scores


def test_a_run_is_recorded_scored_and_opened_again(pendulum_file, tmp_path):
    run = offbench.train("iql", pendulum_file, seeds=2, steps=40, episodes=3, output=tmp_path / "run", **SMALL)
    record = run.records[1]
    assert (record.algorithm, record.dataset, record.seed, record.steps) == ("iql", "tiny", 1, 40)
    assert record.config["hidden"] == [16]
    assert [transform["name"] for transform in record.transforms] == ["normalise_states", "scale_actions"]
    assert [evaluation.step for evaluation in record.evaluations] == list(range(4, 41, 4))
    assert record.evaluations[-1].environment_seeds == environment_seeds(1, 9, 3)
    drawn = [seed for evaluation in record.evaluations for seed in evaluation.environment_seeds]
    assert len(set(drawn)) == 30  # every evaluation meets fresh starts
    assert [loss.step for loss in record.losses][-1] == 40
    assert record.task.name == "pendulum"
    assert run.scores == [pytest.approx(r.final_score) for r in offbench.Run(str(run.folder)).records]
    # The stored policy, asked again on the recorded starts, earns the recorded returns.
    simulator = make_simulator(task("pendulum"), 3)
    again, _ = returns(simulator, run.policy(seed=1), record.evaluations[-1].environment_seeds)
    np.testing.assert_allclose(again, record.evaluations[-1].returns, rtol=1e-6)


def test_evaluate_meets_other_starts_and_both_seeds(pendulum_file, tmp_path):
    run = offbench.train("bc", pendulum_file, seeds=2, steps=10, episodes=2, output=tmp_path / "run", **ONCE)
    records = offbench.evaluate(run.folder, episodes=4)
    assert [len(record.evaluations) for record in records] == [1, 1]
    trained = {seed for r in run.records for e in r.evaluations for seed in e.environment_seeds}
    assert not trained & {seed for r in records for seed in r.evaluations[0].environment_seeds}
    assert records[0].evaluations[0].lengths == [200] * 4
    with pytest.raises(DataError, match=r"but the task hopper-v4 has 11 and 3"):
        offbench.evaluate(run.folder, task="hopper-v4")


def test_a_policy_says_that_its_source_has_changed(pendulum_file, tmp_path, monkeypatch, recwarn):
    run = offbench.train("bc", pendulum_file, seeds=1, steps=4, episodes=1, output=tmp_path / "run", **ONCE)
    run.policy()
    assert not recwarn.list
    monkeypatch.setattr(registry, "source_digest", lambda found: "0" * 64)
    with pytest.warns(UserWarning, match="the source of bc has changed since the run in"):
        run.policy()


def test_without_a_task_a_run_is_trained_and_not_scored(pendulum_file, tmp_path):
    data = native.load(pendulum_file)
    bare = Trajectories(
        **{name: getattr(data, name) for name in ("observations", "offsets", "terminations", "truncations", "rewards")},
        actions=data.actions / 2,
    )
    run = offbench.train("bc", bare, seeds=1, steps=5, output=tmp_path / "run", **SMALL)
    assert run.records[0].evaluations == []
    with pytest.raises(OffbenchError, match="was trained without a task; name one"):
        offbench.evaluate(run.folder)


def test_products_in_tf32_are_refused_where_there_are_none(pendulum_file, tmp_path):
    with pytest.raises(OffbenchError, match=r"^dtype tf32 rounds the products of a GPU, and this run is on the cpu"):
        offbench.train("bc", pendulum_file, seeds=1, steps=4, output=tmp_path / "run", dtype="tf32", **ONCE)
    assert not (tmp_path / "run").exists()


def test_products_in_tf32_are_recorded_and_of_updates_alone(pendulum_file, tmp_path, monkeypatch):
    seen, setting = [], torch.backends.cuda.matmul
    update, act = registry.algorithm("bc").update, registry.algorithm("bc").act

    def watched(name, function):
        return lambda *arguments: (seen.append((name, setting.allow_tf32)), function(*arguments))[1]

    monkeypatch.setattr(run_module, "check_precision", lambda precision, device: None)  # as if on a GPU
    monkeypatch.setattr(registry.algorithm("bc"), "update", watched("update", update))
    monkeypatch.setattr(registry.algorithm("bc"), "act", watched("act", act))
    options = {"seeds": 1, "steps": 4, "episodes": 1, "output": tmp_path / "run"} | ONCE
    run = offbench.train("bc", pendulum_file, dtype="tf32", **options)
    measured = 4  # updates beforehand, of a probe
    assert set(seen[measured:]) == {("update", True), ("act", False)}
    assert not setting.allow_tf32
    assert json.loads((run.folder / "manifest.json").read_text())["plan"]["dtype"] == "tf32"
    assert run.policy().act(np.zeros((1, 3), np.float32)).shape == (1, 1)
    with pytest.raises(OffbenchError, match="dtype was tf32 and is float32"):
        offbench.train("bc", pendulum_file, resume=True, **options | {"steps": 4})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_groups_change_rounding_only(pendulum_file, tmp_path, dtype):
    folders = []
    for size in (1, 3):
        folders.append(tmp_path / f"{dtype}-{size}")
        offbench.train(
            "iql", pendulum_file, seeds=3, steps=20, output=folders[-1], group=size, dtype=dtype, episodes=1, **ONCE
        )
    one, other = map(checkpoint, folders)
    largest = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert largest < (1e-8 if dtype == "float64" else 1e-4)


def training(pendulum_file, folder, steps, *more):
    arguments = ["train", "iql", str(pendulum_file), "--seeds", "2", "--steps", str(steps), "--output", str(folder)]
    arguments += ["--hidden", "16", "--batch-size", "16", "--episodes", "2", "--compile", "never"]
    return [*arguments, "--evaluate-every", str(steps // 2), "--checkpoint-every", "70", *more]


STEPS = 300


@pytest.fixture(scope="module")
def whole(pendulum_file, tmp_path_factory):
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(training(pendulum_file, folder, STEPS))
    return folder


def test_killed_at_random_moments_and_resumed_equals_uninterrupted(pendulum_file, tmp_path, capsys, whole):
    entropy = int.from_bytes(os.urandom(4), "little")
    print(f"moments of the kills are drawn from {entropy}")  # shown when the test fails
    rng = np.random.default_rng(entropy)
    for kill in range(2):
        process = start(training(pendulum_file, tmp_path / "killed", STEPS, *(["--resume"] if kill else [])))
        wait_for_step(tmp_path / "killed", int(rng.integers(0, 130 * (kill + 1))), process)
        time.sleep(float(rng.uniform(0, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(training(pendulum_file, tmp_path / "killed", STEPS, "--resume"))
    assert "run:" in capsys.readouterr().out
    assert same(whole, tmp_path / "killed")


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(pendulum_file, tmp_path, whole):
    process = start(training(pendulum_file, tmp_path / "stopped", STEPS))
    wait_for_step(tmp_path / "stopped", 70, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in err
    assert "Traceback" not in err
    stopped = json.loads((tmp_path / "stopped" / "manifest.json").read_text())["progress"]
    assert 70 <= stopped["step"] < STEPS
    finish(training(pendulum_file, tmp_path / "stopped", STEPS, "--resume"))
    assert same(whole, tmp_path / "stopped")


def test_a_finished_run_resumes_to_itself_and_is_not_overwritten(pendulum_file, tmp_path):
    arguments = {"seeds": 1, "steps": 5, "episodes": 1, "output": tmp_path / "run", **ONCE}
    first = offbench.train("bc", pendulum_file, **arguments)
    before = outcome(first.folder)
    with pytest.raises(OffbenchError, match=r"a run in .* finished; give --resume .* or --output"):
        offbench.train("bc", pendulum_file, **arguments)
    written = (first.folder / "seed-0.json").read_bytes()
    assert outcome(offbench.train("bc", pendulum_file, resume=True, **arguments).folder) == before
    assert (first.folder / "seed-0.json").read_bytes() == written
    with pytest.raises(OffbenchError, match=r"cannot go on as another: steps was 5 and is 6"):
        offbench.train("bc", pendulum_file, resume=True, **arguments | {"steps": 6})


def test_a_damaged_checkpoint_is_refused(pendulum_file, tmp_path):
    arguments = {"seeds": 1, "steps": 5, "episodes": 1, "output": tmp_path / "run", **ONCE}
    run = offbench.train("bc", pendulum_file, **arguments)
    (path,) = run.folder.glob("checkpoint-*")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(OffbenchError, match=r"the checkpoint .* is not the one that the run wrote"):
        offbench.Run(run.folder).policy()
    path.unlink()
    with pytest.raises(OffbenchError, match=r"the checkpoint .* cannot be read"):
        offbench.Run(run.folder).policy()
    (run.folder / "manifest.json").write_text("{}")
    with pytest.raises(OffbenchError, match=r"is not a run's manifest: plan Field required"):
        offbench.Run(run.folder)


def test_what_does_not_fit_is_said(pendulum_file, tmp_path):
    def train(algorithm="bc", data=pendulum_file, **more):
        return offbench.train(algorithm, data, steps=1, output=tmp_path / "x", **SMALL | more)

    with pytest.raises(UnknownNameError, match="no algorithm named 'bcc'; nearest: bc"):
        train("bcc")
    with pytest.raises(UnknownNameError, match=r"no dataset named .*swinup-v0.; nearest: .*swingup-v0"):
        train(data="offbench/pendulum/swinup-v0")
    with pytest.raises(UnknownNameError, match=r"no task named 'pendulm'; nearest: .*pendulum"):
        train(task="pendulm")
    with pytest.raises(DataError, match=r"observations of 3 and actions of 1 numbers, but the task hopper-v4 has 11"):
        train(task="hopper-v4")
    with pytest.raises(DataError, match=r"there is no file .*missing\.hdf5"):
        train(data=tmp_path / "missing.hdf5")
    data = native.load(pendulum_file)
    names = ("observations", "offsets", "terminations", "truncations", "actions")
    with pytest.raises(DataError, match=r"IQL learns from actions and rewards, and this dataset has no rewards"):
        train("iql", Trajectories(**{name: getattr(data, name) for name in names}), task="pendulum")
    with pytest.raises(OffbenchError, match=r"seeds must be different"):
        train(seeds=[1, 1])
    with pytest.raises(OffbenchError, match=r"episodes must be at least 1, not 0"):
        train(episodes=0)
    with pytest.raises(OffbenchError, match=r"evaluate_every must be at least 1, not -5"):
        train(evaluate_every=-5)
    for changes, message in (
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"hidden": (16, 0)}, r"hidden must be at least 1, not \(16, 0\)"),
        ({"learning_rate": float("nan")}, r"learning_rate must lie in \(0, 1\], not nan"),
        ({"device": "gpu"}, "there is no device 'gpu'; use cpu, cuda"),
        ({"device": "cuda:99"}, "the device cuda:99 was asked for and this machine has"),
    ):
        with pytest.raises(OffbenchError, match=message):
            train(**changes)
    assert not (tmp_path / "x").exists()


def test_an_output_that_cannot_be_written_is_noticed_before_training(pendulum_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OffbenchError, match=r"cannot write .*; name a folder that can be written to"):
        offbench.train("bc", pendulum_file, steps=10**9, output=tmp_path / "file" / "run", **SMALL)


# Checkpoints between two records of the losses must not hold sums that are not finite: such a manifest cannot be read.
@pytest.mark.parametrize("steps", [100, 1000])
def test_divergence_is_said(pendulum_file, tmp_path, steps):
    data = native.load(pendulum_file)
    native.save(replace(data, rewards=1e25 * data.rewards), tmp_path / "huge.offbench")  # whose squares are infinite
    arguments = {"seeds": 1, "steps": steps, "output": tmp_path / "x", "episodes": 1, **SMALL}
    for resume in (False, True):
        with pytest.raises(OffbenchError, match=r"training diverged: seed 0 has .* try a smaller learning rate"):
            offbench.train(
                "iql", tmp_path / "huge.offbench", checkpoint_every=steps // 200 + 1, resume=resume, **arguments
            )


def test_a_split_with_less_supervision_is_refused_by_what_needs_all_of_it(tmp_path):
    with pytest.raises(DataError, match=r"BC learns from whole trajectories, and .* is a dataset of a labelled"):
        offbench.train("bc", "offbench/pendulum/swingup-v0?actions=10%-low", output=tmp_path / "x", **SMALL)


def test_two_processes_do_not_train_in_one_folder(pendulum_file, tmp_path, capsys):
    arguments = training(pendulum_file, tmp_path / "run", 100_000)
    first = start(arguments)
    wait_for_step(tmp_path / "run", 1, first)
    assert main([*arguments, "--resume"]) == 2
    first.kill()
    first.communicate()
    assert "another process trains in" in capsys.readouterr().err


def test_what_a_kill_left_half_written_is_removed(pendulum_file, tmp_path):
    (tmp_path / "run").mkdir()
    left = tmp_path / "run" / ".checkpoint-000000001.safetensors.x2_4abcd.part"
    left.write_bytes(b"half")
    offbench.train("bc", pendulum_file, seeds=1, steps=2, episodes=1, output=tmp_path / "run", **ONCE)
    assert not left.exists()


def test_updates_have_one_thread_and_the_user_gets_the_others_back(pendulum_file, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run = offbench.train("bc", pendulum_file, seeds=1, steps=2, episodes=1, output=tmp_path / "run", **SMALL)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert run.records[0].hardware["threads"] == "1"
