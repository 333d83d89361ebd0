import random
import signal
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

import offbench
from offbench import Budget
from offbench.algorithms import registry
from offbench.cli.main import main
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import DataError, OffbenchError
from offbench.evaluation.rollout import environment_seeds, returns
from offbench.formats import native
from offbench.report.table import build
from offbench.training.interruption import Interrupted
from offbench.training.learner import fit

QUICK = {"steps": 7, "episodes": 3, "quiet": True}
SWINGUP = "offbench/pendulum/swingup-v0"


def named(learner: type) -> str:
    return f"{__name__}:{learner.__name__}"


def pairs(data: Trajectories) -> tuple[np.ndarray, np.ndarray]:
    """States and actions of all steps."""
    return data.observations[np.arange(data.steps) + np.repeat(np.arange(len(data)), data.lengths)], data.actions


@dataclass
class Linear:
    """A policy; it standardises in place what it is given, as careless ones do."""

    weights: np.ndarray

    def act(self, observations):
        observations *= 2
        return observations @ self.weights / 2


@dataclass
class Ridge:
    """Least squares with a penalty."""

    penalty: float = 1e-6
    """Weight of the squared coefficients."""
    hidden: tuple[int, ...] = ()

    def fit(self, data, task, seed, budget):
        states, actions = pairs(data)
        return Linear(np.linalg.solve(states.T @ states + self.penalty * np.eye(states.shape[1]), states.T @ actions))


@dataclass
class Neighbour:
    """The action of the nearest state, which lies in one of the best episodes."""

    share: float = 0.1

    def fit(self, data, task, seed, budget):
        best = data[np.argsort(data.returns)[-int(self.share * len(data)) :]]
        states, actions = pairs(best)
        scale = states.std(0)

        def act(observations):
            distances = ((observations[:, None] / scale - states / scale) ** 2).sum(-1)
            return actions[distances.argmin(1)]

        return SimpleNamespace(act=act)


@dataclass
class Careless:
    """Forgets its seed, and keeps in itself what fit did."""

    seen: list[int] = field(default_factory=list)
    broken: ClassVar[dict[int, BaseException]] = {}

    def fit(self, data, task, seed, budget):
        if seed in self.broken:
            raise self.broken[seed]
        assert not self.seen
        self.seen.append(seed)
        drawn = [random.random(), np.random.random(), float(torch.rand(()))]
        assert len(set(drawn)) == 3
        self.weights = np.array(drawn)[:, None]
        return self

    def act(self, observations):
        return observations @ self.weights + np.random.normal(size=(len(observations), 1))


def test_a_learner_is_recorded_and_scored_as_ours_are(pendulum_file, tmp_path):
    name = named(Ridge)
    run = offbench.train(name, pendulum_file, seeds=2, penalty=0.5, hidden=(3,), output=tmp_path / "run", **QUICK)
    record = run.records[1]
    assert (record.algorithm, record.dataset, record.seed, record.steps) == (name, "tiny", 1, 7)
    assert (record.config, record.transforms, record.losses) == ({"penalty": 0.5, "hidden": [3]}, [], [])
    (evaluation,) = record.evaluations
    assert (evaluation.step, evaluation.environment_seeds) == (7, environment_seeds(1, 0, 3))
    policy = fit(Ridge, Ridge(0.5), native.load(pendulum_file), None, 1, Budget(7))
    again, lengths = returns(make_simulator(task("pendulum"), 3), policy, evaluation.environment_seeds)
    assert (again, lengths) == (evaluation.returns, evaluation.lengths)
    assert run.scores == [record.final_score for record in offbench.Run(run.folder).records]


def test_the_policy_of_a_learner_acts_in_the_units_of_the_environment(pendulum_file):
    data = native.load(pendulum_file)
    wanted = np.array([[0.5], [-1.5], [0.1]])
    states, _ = pairs(data)
    linear = replace(data, actions=(states @ wanted).astype(np.float32))
    policy = fit(Ridge, Ridge(), linear, None, 0, Budget(1))
    given = states[:5].copy()
    np.testing.assert_allclose(policy.act(given), given @ wanted, atol=1e-4)
    np.testing.assert_array_equal(given, states[:5])  # though the policy changed what it was given
    assert policy.act(given).dtype == np.float32


def test_a_nearest_neighbour_swings_a_pendulum_up_and_a_line_does_not(tmp_path):
    def score(learner):
        return offbench.train(named(learner), SWINGUP, seeds=1, output=tmp_path / learner.__name__, **QUICK).scores[0]

    assert score(Ridge) < 20 < 60 < score(Neighbour)


def test_a_learner_stands_in_a_table_beside_ours(pendulum_file, tmp_path):
    ridge = offbench.train(named(Ridge), pendulum_file, seeds=2, output=tmp_path / "ridge", **QUICK)
    bc = offbench.train("bc", pendulum_file, seeds=2, hidden=(4,), compile="never", output=tmp_path / "bc", **QUICK)
    cells = build([*ridge.records, *bc.records]).cells
    means = {cell.group.algorithm: cell.summary.mean for cell in cells if cell.group.dataset == "tiny"}
    assert means == {named(Ridge): pytest.approx(np.mean(ridge.scores)), "bc": pytest.approx(np.mean(bc.scores))}


def outcome(run):
    volatile = {"created", "wall_seconds", "evaluation_seconds", "git_commit", "hardware"}
    return [record.model_dump(exclude=volatile) for record in run.records]


def test_a_seed_that_a_learner_forgets_decides_all_the_same_and_alone_as_among_others(pendulum_file, tmp_path):
    def train(folder, seeds):
        return offbench.train(named(Careless), pendulum_file, seeds=seeds, output=tmp_path / folder, **QUICK)

    three = outcome(train("three", 3))
    assert outcome(train("again", 3)) == three
    assert outcome(train("alone", [2])) == three[2:]
    assert len({tuple(record["evaluations"][0]["returns"]) for record in three}) == 3


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (
            ZeroDivisionError("no\nluck"),
            OffbenchError,
            ":Careless failed in fit with seed 2: ZeroDivisionError: no luck",
        ),
        (SystemExit(0), OffbenchError, ":Careless failed in fit with seed 2: SystemExit: 0"),
        (KeyboardInterrupt(), Interrupted, r"saved in .*run \(2 of 4 seeds\): run the same command with --resume"),
    ],
)
def test_a_run_that_stopped_in_a_seed_goes_on_and_equals_the_whole(
    error, raised, message, pendulum_file, tmp_path, monkeypatch
):
    def train(folder, **more):
        return offbench.train(named(Careless), pendulum_file, seeds=4, output=tmp_path / folder, **QUICK, **more)

    monkeypatch.setitem(Careless.broken, 2, error)
    with pytest.raises(raised, match=message) as caught:
        train("run")
    if raised is OffbenchError:
        assert caught.value.__cause__ is error
    with pytest.raises(OffbenchError, match=r"has 2 of 4 seeds; finish it with --resume first"):
        offbench.Run(tmp_path / "run")
    with pytest.raises(OffbenchError, match=r"has 2 of 4 seeds; give --resume .* or --output"):
        train("run")
    monkeypatch.undo()
    for seed in (0, 1):  # which are done, and are not fitted again
        monkeypatch.setitem(Careless.broken, seed, ValueError("again"))
    resumed = train("run", resume=True)
    assert outcome(train("run", resume=True)) == outcome(resumed)
    monkeypatch.undo()
    assert outcome(train("whole")) == outcome(resumed)


def test_another_configuration_is_another_run(pendulum_file, tmp_path):
    offbench.train(named(Ridge), pendulum_file, seeds=1, output=tmp_path / "run", **QUICK)
    with pytest.raises(OffbenchError, match="cannot go on as another: config was"):
        offbench.train(named(Ridge), pendulum_file, seeds=1, output=tmp_path / "run", resume=True, penalty=2.0, **QUICK)


def test_ctrl_c_on_the_command_line_says_how_to_go_on(pendulum_file, tmp_path, monkeypatch, capsys, request):
    def interrupt(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Ridge, "fit", interrupt)
    # A job that a shell puts into the background ignores Ctrl-C, and so would this test in it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    command = ["train", named(Ridge), str(pendulum_file), "--output", str(tmp_path / "run"), "--penalty", "2"]
    assert main(command) == 130
    assert capsys.readouterr().err.endswith(f"offbench {' '.join(command)} --resume\n")


# ---------------------------------------------------------------- answers that are wrong


def learner(act, **more):
    """An object whose fit gives a policy with this act."""
    return SimpleNamespace(fit=lambda data, task, seed, budget: SimpleNamespace(act=act, **more))


def fitted(found, data):
    return fit(found, registry.configure(found, "", {}), data, None, 0, Budget(1))


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda o: np.zeros(len(o)), r"gave actions of shape \(20,\); \(20, 1\) would be right"),
        (lambda o: np.zeros((len(o), 2)), r"gave actions of shape \(20, 2\); \(20, 1\) would be right"),
        (lambda o: np.zeros((1, 1)), r"gave actions of shape \(1, 1\); \(20, 1\) would be right"),
        (lambda o: 0.5, r"gave actions of shape \(\); \(20, 1\) would be right"),
        (lambda o: np.full((len(o), 1), np.nan), "gave actions that are not finite"),
        (lambda o: np.full((len(o), 1), 1e300), "gave actions that are not finite"),
        (lambda o: None, "gave actions that are no NumPy array of numbers, but a NoneType"),
        (lambda o: [["left"]] * len(o), "gave actions that are no NumPy array of numbers, but a list"),
        (lambda o: [[0.0], [0.0, 1.0]], "gave actions that are no NumPy array of numbers, but a list"),
        (
            lambda o: torch.zeros(len(o), 1, requires_grad=True),
            "gave actions that are no NumPy array of .* Tensor",
        ),
        (lambda o: o[:, 7:8] / o[:, 7], "failed in act: IndexError: index 7 is out of bounds"),
    ],
)
def test_actions_that_no_environment_takes_are_refused_by_name(act, sentence, pendulum_file):
    policy = fitted(learner(act), native.load(pendulum_file))
    with pytest.raises(OffbenchError, match=rf"^the policy of types:SimpleNamespace {sentence}"):
        policy.act(np.zeros((20, 3)))


@pytest.mark.parametrize(
    "act", [lambda o: torch.zeros(len(o), 1), lambda o: [[1]] * len(o), lambda o: np.ones((len(o), 1), np.float64)]
)
def test_whatever_is_an_array_of_numbers_is_taken(act, pendulum_file):
    actions = fitted(learner(act), native.load(pendulum_file)).act(np.zeros((20, 3)))
    assert (actions.shape, actions.dtype) == ((20, 1), np.float32)


@pytest.mark.parametrize(
    ("gives", "sentence"),
    [
        (None, "gave NoneType; an object with act"),
        ({"act": 1}, "gave dict; an object with act"),
        (Linear, "gave the class Linear; an object with act"),
        (SimpleNamespace(act=3), "gave SimpleNamespace; an object with act"),
    ],
)
def test_a_fit_that_gives_no_policy_is_refused(gives, sentence, pendulum_file):
    with pytest.raises(OffbenchError, match=f"the fit of types:SimpleNamespace {sentence}"):
        fitted(SimpleNamespace(fit=lambda *given: gives), native.load(pendulum_file))


class Loop:
    """Gives actions of a wrong shape, of which a run must tell."""

    def fit(self, data, task, seed, budget):
        return SimpleNamespace(act=lambda observations: np.zeros(len(observations)))


def test_a_run_says_whose_actions_were_wrong(pendulum_file, tmp_path, capsys):
    assert main(["train", named(Loop), str(pendulum_file), "--output", str(tmp_path / "run")]) == 2
    sentence = f"error: the policy of {named(Loop)} gave actions of shape (20,); (20, 1) would be right\n"
    assert capsys.readouterr().err.endswith(sentence)


class Remembers:
    """Hears of the beginnings of episodes and of rewards, and tells the test what it was given."""

    calls: ClassVar[list] = []
    requires = ("actions",)

    def fit(self, data, task, seed, budget):
        self.calls.append((data, task, seed, budget))
        return self

    def act(self, observations):
        self.calls.append("act")
        return np.zeros((len(observations), 1))

    def reset(self, mask):
        self.calls.append(mask.all())

    def observe(self, rewards):
        self.calls.append(rewards.shape)


def test_fit_is_given_what_it_needs_and_a_policy_hears_of_resets_and_rewards(pendulum_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Remembers, "calls", [])
    offbench.train(named(Remembers), pendulum_file, seeds=[4], output=tmp_path / "run", device="cpu", **QUICK)
    (data, scored, seed, budget), *calls = Remembers.calls
    assert (data.digest, scored, seed) == (native.load(pendulum_file).digest, task("pendulum"), 4)
    assert budget == Budget(steps=7, device="cpu")
    assert calls == [True, *["act", (3,)] * 200]


# ---------------------------------------------------------------- data and options


def test_data_without_what_a_learner_requires_are_refused(pendulum_file, tmp_path):
    data = replace(native.load(pendulum_file), rewards=None)
    with pytest.raises(DataError, match="Ridge learns from actions and rewards, and tiny has no rewards"):
        offbench.train(named(Ridge), data, output=tmp_path / "run", **QUICK)
    assert offbench.train(named(Remembers), data, seeds=1, output=tmp_path / "run", **QUICK).scores
    with pytest.raises(DataError, match="but the task hopper-v4 has 11 and 3"):
        offbench.train(named(Ridge), pendulum_file, task="hopper-v4", output=tmp_path / "x", **QUICK)


class Still:
    requires = ()

    def fit(self, data, task, seed, budget):
        return SimpleNamespace(act=lambda observations: np.zeros((len(observations), 1)))


def test_without_actions_the_task_says_how_many_there_are(pendulum_file, tmp_path):
    data = replace(native.load(pendulum_file), rewards=None, actions=None)
    run = offbench.train(named(Still), data, seeds=1, output=tmp_path / "run", **QUICK)
    assert run.manifest.plan.action_size == 1
    assert run.scores


def test_without_a_task_a_learner_is_fitted_and_not_scored(pendulum_file, tmp_path):
    data = native.load(pendulum_file)
    bare = replace(data, provenance=replace(data.provenance, task=None))
    run = offbench.train(named(Ridge), bare, seeds=2, output=tmp_path / "run", **QUICK)
    assert [record.evaluations for record in run.records] == [[], []]


@pytest.mark.parametrize(
    "option",
    [{"evaluate_every": 7}, {"checkpoint_every": 1}, {"compile": "never"}, {"dtype": "float64"}, {"group": 1}],
)
def test_options_that_only_ours_know_are_refused(option, pendulum_file, tmp_path):
    (name,) = option
    with pytest.raises(OffbenchError, match=rf":Ridge is trained by one call of its fit .* no {name}; leave it"):
        offbench.train(named(Ridge), pendulum_file, output=tmp_path / "run", **QUICK, **option)
    assert not (tmp_path / "run").exists()


def test_policies_of_a_fit_are_not_kept_and_that_is_said(pendulum_file, tmp_path, capsys):
    run = offbench.train(named(Ridge), pendulum_file, seeds=1, output=tmp_path / "run", **QUICK)
    with pytest.raises(OffbenchError, match=r"that the fit of .*:Ridge made are not kept; train again with more"):
        run.policy()
    assert main(["evaluate", str(run.folder)]) == 2
    assert "are not kept; train again with more episodes" in capsys.readouterr().err


# ---------------------------------------------------------------- hyperparameters


@dataclass
class Crowded:
    steps: int = 3
    fit = Ridge.fit


@dataclass
class Demanding:
    penalty: float
    fit = Ridge.fit


@dataclass
class Odd:
    generator: object = field(default_factory=lambda: np.random.default_rng(0))
    rate: float = 1.0
    fit = Ridge.fit


@dataclass
class Strict:
    penalty: float = 1.0
    fit = Ridge.fit

    def __post_init__(self):
        if self.penalty < 0:
            raise ValueError("penalty below 0")


class Positional:
    fit = Ridge.fit

    def __init__(self, penalty):
        self.penalty = penalty


@pytest.mark.parametrize(
    ("found", "changes", "sentence"),
    [
        (Crowded, {}, "the field steps of .*:Crowded is called as an option of train; give it another name"),
        (Demanding, {}, "the field penalty of .*:Demanding has no default; give it one"),
        (Odd, {}, "the field generator of .*:Odd is a Generator, which a record cannot hold"),
        (Odd, {"generator": 1, "rate": float("inf")}, "rate must be finite, not inf"),
        (Strict, {"penalty": -1.0}, ":Strict cannot be made: ValueError: penalty below 0"),
        (Positional, {}, r":Positional cannot be made anew for each seed \(TypeError: .*'penalty'\); a class without"),
        (Ridge, {"penalt": 1.0}, "no hyperparameter of Ridge named 'penalt'; nearest: penalty"),
        (Still, {"penalty": 1.0}, "no hyperparameter of Still named 'penalty'"),
    ],
)
def test_hyperparameters_that_cannot_be_are_said(found, changes, sentence, pendulum_file, tmp_path):
    with pytest.raises(OffbenchError, match=sentence):
        offbench.train(named(found), pendulum_file, output=tmp_path / "run", **QUICK, **changes)


def test_a_value_makes_up_for_a_missing_default(pendulum_file, tmp_path):
    run = offbench.train(named(Demanding), pendulum_file, seeds=1, penalty=2.0, output=tmp_path / "run", **QUICK)
    assert run.records[0].config == {"penalty": 2.0}


ready = Ridge(penalty=3.0)


def test_an_object_is_used_as_it_is(pendulum_file, tmp_path):
    run = offbench.train(f"{__name__}:ready", pendulum_file, seeds=1, output=tmp_path / "object", **QUICK)
    assert (run.records[0].algorithm, run.records[0].config) == (f"{__name__}:ready", {})
    same = offbench.train(named(Ridge), pendulum_file, seeds=1, penalty=3.0, output=tmp_path / "class", **QUICK)
    assert same.records[0].evaluations == run.records[0].evaluations
