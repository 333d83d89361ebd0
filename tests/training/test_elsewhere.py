"""Policies that were trained elsewhere: played as ours are, called what they are, and taken for none of ours."""

import sys

import numpy as np
import pytest
import torch

import offbench
from offbench.cli.main import main
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_record
from offbench.evaluation.rollout import environment_seeds, returns
from offbench.training.finished import AFTER_TRAINING

MODULE = """
import numpy as np

def act(observations):
    return -observations[:, 2:3]

def one(observation):
    return -observation[2:3]

class Policy:
    act = staticmethod(act)

class Memory:
    def __init__(self):
        self.begun, self.heard = 0, 0
    def reset(self, mask):
        self.begun += int(mask.sum())
    def observe(self, rewards):
        self.heard += len(rewards)
    def act(self, observations):
        return act(observations)

def crashes(observations):
    return observations["angle"]
"""


def act(observations):
    return -observations[:, 2:3]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "foreign_policies.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("foreign_policies", None)


def test_a_function_is_scored_on_the_starts_of_its_seed():
    record = offbench.evaluate(act, task="pendulum", episodes=3, seed=7)
    starts = environment_seeds(7, AFTER_TRAINING, 3)
    simulator = make_simulator(task("pendulum"), 3)

    class Plain:
        act = staticmethod(act)

        def reset(self, mask):
            pass

    totals, lengths = returns(simulator, Plain(), starts)
    (played,) = record.evaluations
    assert (played.environment_seeds, played.returns, played.lengths) == (starts, totals, lengths)
    assert record.final_score == pytest.approx(float(task("pendulum").score(totals).mean()))


def test_whatever_acts_gives_the_same_score():
    class Policy:
        act = staticmethod(act)

    network = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.0, 0.0, -1.0]]))
    expected = offbench.evaluate(act, task="pendulum", episodes=2).evaluations
    assert offbench.evaluate(Policy(), task=task("pendulum"), episodes=2).evaluations == expected
    assert offbench.evaluate(network, task="pendulum", episodes=2).evaluations == expected
    one_by_one = offbench.evaluate(lambda o: -o[2:3], task="pendulum", episodes=2, batched=False)
    assert one_by_one.evaluations == expected


def test_a_policy_with_a_memory_hears_beginnings_and_rewards(here):
    import foreign_policies

    policy = foreign_policies.Memory()
    record = offbench.evaluate(policy, task="pendulum", episodes=2)
    assert policy.begun == 2
    assert policy.heard == sum(record.evaluations[0].lengths)

    class Single:
        begun = heard = 0

        def reset(self):
            self.begun += 1

        def observe(self, reward):
            self.heard += float(reward)

        def act(self, observation):
            return [0.0]

    single = Single()
    record = offbench.evaluate(single, task="pendulum", episodes=2, batched=False)
    assert single.begun == 2
    assert single.heard == pytest.approx(sum(record.evaluations[0].returns))


def crashes(observations):
    return observations["angle"]


MISUSED = [
    (
        lambda o: -o[2:3],
        {},
        r"takes one observation at a time, .*shape \(1, 3\); \(3, 1\) .*batched=False",
    ),
    (act, {"batched": False}, r"takes a batch of observations .*leave batched=False"),
    (lambda o: np.full((len(o), 1), np.nan), {}, "not finite: NaN for 3 of 3 observations"),
    (
        crashes,
        {},
        r"policy of crashes failed in act: IndexError: .*test_elsewhere.py, line \d+, in crashes: return",
    ),
    (lambda o: (np.zeros((len(o), 1)), None), {}, "no NumPy array of numbers, but a tuple"),
    (act, {"task": None}, 'name the task .* task="hopper-v4"'),
    (act, {"task": "hoper-v4"}, "no task named 'hoper-v4'; nearest"),
    (act, {"episodes": 0}, "episodes must be at least 1"),
    (act, {"seed": -1}, "seed must be a non-negative"),
    (act, {"target": 1.0}, "knows no target"),
    (act, {"config": {"rate": object()}}, "config holds what a record cannot keep"),
    (3, {}, "int is no policy: an object with act"),
    (dict, {}, "dict is a class; hand in an object"),
    ("runs/nothing", {}, "holds no run"),
    ("runs/nothing", {"batched": False}, "a finished run knows its batched"),
]


@pytest.mark.parametrize(("policy", "changes", "sentence"), MISUSED)
def test_what_cannot_be_meant_is_said(policy, changes, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"task": "pendulum", "episodes": 3, **changes}
    if isinstance(policy, str):
        settings.pop("task")
    with pytest.raises(OffbenchError, match=sentence):
        offbench.evaluate(policy, **settings)


def test_a_predictor_is_pointed_to_its_method():
    class Model:
        def predict(self, observations):
            return act(observations)

    with pytest.raises(OffbenchError, match=r"is no policy: .*hand in its predict"):
        offbench.evaluate(Model(), task="pendulum", episodes=1)
    assert offbench.evaluate(Model().predict, task="pendulum", episodes=1).trained == "elsewhere"


def test_the_record_says_that_it_was_trained_elsewhere(tmp_path, pendulum_file):
    record = offbench.evaluate(act, task="pendulum", episodes=2, name="iql", output=tmp_path / "runs" / "iql")
    assert (record.trained, record.algorithm, record.dataset) == ("elsewhere", "iql (elsewhere)", "not said")
    assert record.notes[0].startswith("the policy was trained elsewhere")
    path = tmp_path / "runs" / "iql" / "seed-0.json"
    assert read_record(path) == record
    with pytest.raises(OffbenchError, match="holds no run"):
        offbench.Run(tmp_path / "runs" / "iql")
    data = offbench.load(pendulum_file)
    told = offbench.evaluate(act, episodes=2, dataset=data, config={"beta": 3.0}, name="mine")
    assert told.task.name == "pendulum"
    assert (told.dataset, told.dataset_digest, told.config) == ("tiny", data.digest, {"beta": 3.0})
    assert "said to have been trained on tiny, which nobody checked" in told.notes[0]


def test_no_record_passes_for_the_other_kind():
    record = offbench.evaluate(act, task="pendulum", episodes=2)
    plain = record.model_dump(mode="json")
    for change in ({"trained": "here"}, {"algorithm": "iql"}):
        with pytest.raises(ValueError, match="trained elsewhere"):
            RunRecord.model_validate(plain | change)
    assert RunRecord.model_validate(plain) == record


def test_seeds_of_one_policy_are_one_row_of_a_table_beside_ours(tmp_path, pendulum_file, capsys):
    small = {"hidden": (8,), "batch_size": 8, "compile": "never", "workers": 1, "quiet": True}
    run = offbench.train("bc", pendulum_file, seeds=2, steps=2, episodes=2, output=tmp_path / "runs" / "bc", **small)
    assert offbench.evaluate(run, episodes=1)[1].evaluations == offbench.evaluate(run.folder, episodes=1)[1].evaluations
    for seed in (0, 1):
        offbench.evaluate(
            act, episodes=2, seed=seed, dataset=pendulum_file, name="bc", output=tmp_path / "runs" / "foreign"
        )
    assert main(["report", "table", str(tmp_path / "runs"), "--format", "csv"]) == 0
    assert "bc (elsewhere)" in capsys.readouterr().out
    frame = offbench.records(tmp_path / "runs")
    assert sorted(frame["algorithm"].unique()) == ["bc", "bc (elsewhere)"]
    assert frame["benchmark_digest"].nunique() == 1  # the same data, task and references


def test_what_another_policy_left_is_not_replaced(tmp_path):
    offbench.evaluate(act, task="pendulum", episodes=1, name="one", output=tmp_path)
    offbench.evaluate(act, task="pendulum", episodes=2, name="one", output=tmp_path)
    with pytest.raises(OffbenchError, match=r"is a record of one \(elsewhere\), and is not replaced"):
        offbench.evaluate(act, task="pendulum", episodes=1, name="two", output=tmp_path)
    assert len(read_record(tmp_path / "seed-0.json").evaluations[0].returns) == 2


@pytest.mark.parametrize("name", ["act", "Policy"])
def test_the_command_line_plays_what_a_module_has(name, here, capsys):
    command = ["evaluate", f"foreign_policies:{name}", "--task", "pendulum", "--episodes", "2", "--output", "runs/own"]
    assert main(command) == 0
    assert f"{name} (elsewhere)" in capsys.readouterr().out
    assert read_record(here / "runs" / "own" / "seed-0.json").trained == "elsewhere"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("foreign_policies:act --episodes 2", "name the task that foreign_policies:act acts in: --task"),
        ("foreign_policies:one --task pendulum --episodes 2", "with batched=False (--no-batched) it plays"),
        ("foreign_policies:crashes --task pendulum --episodes 2", "foreign_policies.py, line 24, in crashes: return"),
        ("foreign_policies:act --task pendulum --target 3", "is no run, which alone knows --target"),
        ("foreign_policies:nothing --task pendulum", "the policy foreign_policies:nothing cannot be imported"),
        ("runs/none --name x", "a finished run knows its --name"),
    ],
)
def test_the_command_line_says_what_is_wrong(words, sentence, here, capsys):
    assert main(["evaluate", *words.split()]) == 2
    assert sentence in capsys.readouterr().err


def test_the_command_line_plays_one_by_one(here, capsys):
    words = "foreign_policies:one --task pendulum --episodes 2 --no-batched --seed 3 --output runs/one"
    assert main(["evaluate", *words.split()]) == 0
    expected = offbench.evaluate(act, task="pendulum", episodes=2, seed=3).evaluations
    assert read_record(here / "runs" / "one" / "seed-3.json").evaluations == expected
