"""Labels by return and by regret, and the study of what learners make of them."""

from dataclasses import replace

import numpy as np
import pytest

from offbench.conformance.toys import toy
from offbench.data.preferences import Preferences
from offbench.data.teacher import Teacher
from offbench.formats import preferences as files
from offbench.studies import labels
from offbench.studies.labels import DISCOUNT, advantages, by_regret, comparison, discounted


def test_discounted_returns_by_hand() -> None:
    data = replace(toy(episodes=2, length=3), rewards=np.array([1, 2, 3, 4, 5, 6], dtype=np.float32))
    g = DISCOUNT
    assert discounted(data) == pytest.approx([1 + 2 * g + 3 * g**2, 2 + 3 * g, 3, 4 + 5 * g + 6 * g**2, 5 + 6 * g, 6])


def test_advantages_by_hand_and_without_a_potential() -> None:
    rewards, values = np.array([[1.0, 2.0]]), np.array([[10.0, 20.0, 30.0]])
    assert advantages(rewards, values) == pytest.approx(np.array([[1 + DISCOUNT * 20 - 10, 2 + DISCOUNT * 30 - 20]]))
    # A reward that is nothing but the change of a potential has no advantage over it.
    shaped = values[:, :-1] - DISCOUNT * values[:, 1:]
    assert advantages(shaped, values) == pytest.approx(np.zeros((1, 2)))


def test_regret_prefers_actions_and_return_prefers_places(monkeypatch) -> None:
    """Where a reward is the value of a place and a little of the action, return tells places and regret actions."""
    data = toy(episodes=20, length=15)
    monkeypatch.setattr(labels, "UNKNOWN", 0)
    place = data.observations[data.sources][:, 0]
    quality = np.asarray(data.rewards)  # minus the squared distance to the best action
    data = replace(data, rewards=(10 * place + quality).astype(np.float32))
    pairs = Preferences.from_teacher(data, Teacher(), 200, 4)
    told = by_regret(data, pairs)
    assert told.first is pairs.first
    steps = np.arange(3)
    own = [quality[side.starts[:, None] + steps].sum(1) for side in (pairs.first, pairs.second)]
    better = (own[1] > own[0]).astype(np.float32)
    assert np.mean(told.labels == better) > np.mean(pairs.labels == better)


def test_the_files_of_labels_are_made_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(labels, "PAIRS", 20)
    monkeypatch.setattr(labels, "by_regret", lambda data, pairs, say: pairs)
    said: list[str] = []
    labels.write_labels(tmp_path, said.append)
    made = {path.stem: files.load(path) for path in tmp_path.glob("*.offbench")}
    assert set(made) == {"regret", "heron", "heron-reversed", "wrong"}
    assert len(made["wrong"]) == 200
    labels.write_labels(tmp_path, lambda line: pytest.fail("made again"))
    named = {method.split for method in comparison(tmp_path).methods if "labels=" in method.split}
    assert named == {f"labels={path}" for path in tmp_path.glob("*.offbench")}


def test_every_method_has_a_folder_of_its_own(tmp_path) -> None:
    methods = comparison(tmp_path).methods
    assert len({method.folder for method in methods}) == len(methods)
