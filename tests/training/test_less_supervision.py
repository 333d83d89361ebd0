"""Learners with less are trained, checked, recorded and refused as others are."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import offbench
from offbench.algorithms.base import Algorithm
from offbench.cli.main import main
from offbench.conformance import checks, learners
from offbench.conformance.report import findings
from offbench.conformance.subject import Subject
from offbench.data.partial_views import PartlyLabelled
from offbench.data.preferences import Preferences
from offbench.data.supervision import SemiSupervised
from offbench.data.teacher import Teacher
from offbench.errors import DataError
from offbench.nn.mlp import MLP


@dataclass(frozen=True)
class HalfConfig:
    hidden: tuple[int, ...] = (16,)
    learning_rate: float = 1e-2
    batch_size: int = 8
    normalise_states: bool = True


class Half(Algorithm):
    """Imitates where there are actions, and lets states alone say nothing: their mean action is pulled to theirs."""

    Config = HalfConfig
    view = PartlyLabelled
    requires = (SemiSupervised, "rewards")
    metrics = ("imitation", "smooth")

    def build(self):
        self.actor = MLP(self.sizes.observation, self.config.hidden, self.sizes.action)
        self.add("actor", self.actor.initialise(self.seeds, "actor"), self.config.learning_rate)

    def losses(self, networks, batch):
        own, free = (
            torch.tanh(self.actor(networks["actor"], part.observations)) for part in (batch.labelled, batch.action_free)
        )
        imitation = ((own - batch.labelled.actions) ** 2).mean((-2, -1))
        return {"imitation": imitation, "smooth": 1e-3 * (free**2).mean((-2, -1))}

    def update(self, batch):
        return self.descend(self.losses, ["actor"], batch)

    def act(self, observations):
        return torch.tanh(self.actor(self.networks["actor"], observations))


class Still:
    def __init__(self, action):
        self.action = action

    def act(self, observations):
        return np.tile(self.action, (len(observations), 1))


class Mean:
    requires = (Preferences,)

    def fit(self, data, task, seed, budget):
        return Still(data.trajectories.actions.mean(0))


QUICK = {"group": 1, "seeds": 2, "steps": 6, "episodes": 1, "quiet": True, "compile": "never"}


def test_the_base_class_learns_from_two_parts(pendulum_file, tmp_path):
    name = f"{pendulum_file}?actions=40%-q100"
    run = offbench.train(Half, name, output=tmp_path / "run", **QUICK)
    data = offbench.load(name)
    record = run.records[0]
    assert record.dataset_digest == data.digest
    assert record.dataset.endswith("?actions=40%-q100&seed=0")
    assert len(record.evaluations[-1].returns) == 1
    assert any("episodes kept their actions" in note for note in record.notes)
    again = offbench.train(Half, data, output=tmp_path / "again", workers=2, **QUICK)  # processes that are handed both
    assert not list((tmp_path / "again").glob(".data*"))
    assert [one.evaluations for one in again.records] == [one.evaluations for one in run.records]


def test_fit_learns_from_preferences(pendulum_file, tmp_path, capsys, monkeypatch):
    run = offbench.train(
        Mean,
        f"{pendulum_file}?preferences=20x10",
        output=tmp_path / "run",
        **{**QUICK, "compile": "auto", "group": None},
    )
    assert run.records[1].dataset.endswith("?preferences=20x10&seed=0")
    assert run.records[0].task.name == "pendulum"
    monkeypatch.chdir(tmp_path)
    command = f"train {__name__}:Mean {pendulum_file} --quiet --output x"
    assert main(command.split()) == 2
    told = capsys.readouterr().err
    assert "Mean learns from preferences in the place of rewards, and tiny is a dataset of whole trajectories" in told
    assert "DATASET?preferences=500x50 would be right" in told


def test_fit_learns_from_a_file_of_labels_by_name(pendulum_file, tmp_path):
    offbench.save(Preferences.from_teacher(offbench.load(pendulum_file), Teacher(), 20, 5), tmp_path / "l.offbench")
    name = f"{pendulum_file}?labels={tmp_path / 'l.offbench'}"
    run = offbench.train(Mean, name, output=tmp_path / "run", **{**QUICK, "compile": "auto", "group": None})
    record = run.records[0]
    assert record.dataset == f"tiny?labels={tmp_path / 'l.offbench'}"
    assert record.dataset_digest == offbench.load(name).digest
    assert "labels of l.offbench" in " ".join(record.notes)


def test_columns_are_asked_for_beside_the_kind(pendulum_file, tmp_path):
    with pytest.raises(DataError, match=r"Half learns from rewards, and .* has no rewards"):
        offbench.train(Half, f"{pendulum_file}?actions=40%-q100&rewards=none", output=tmp_path / "x", **QUICK)


def test_they_pass_the_checks_on_data_with_less():
    asked = [check for check in checks.CHECKS if check.name in ("shapes", "determinism", "seed grouping", "resume")]
    assert [one.outcome for one in findings(Subject(Half), asked)] == ["passed"] * 4
    found = {one.check: one.outcome for one in findings(learners.Subject(Mean), learners.CHECKS)}
    assert found == dict.fromkeys(found, "passed") | {"learning": "failed"}
