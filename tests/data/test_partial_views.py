"""What learners with less are given: names, what is hidden, and batches of both parts."""

import numpy as np
import pytest
import torch

from offbench.conformance.toys import toy
from offbench.data.learned import asked_for, check_kind, whole
from offbench.data.partial_views import Compared, PartlyLabelled
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.supervision import SemiSupervised, apply_split, compare, hide_actions
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError, OffbenchError


def test_comparisons_are_the_teachers_and_hide_the_rewards():
    data = toy()
    compared = apply_split(data, "preferences=40x5&seed=3")
    expected = Preferences.from_teacher(data, Teacher(), 40, 5, 3)
    assert isinstance(compared, PreferenceData)
    assert np.array_equal(compared.preferences.labels, expected.labels)
    assert np.array_equal(compared.preferences.first.starts, expected.first.starts)
    assert compared.trajectories.rewards is None
    assert compared.preferences.first.rewards is compared.preferences.second.rewards is None
    assert compared.trajectories.provenance.dataset.endswith("?preferences=40x5&seed=3")
    assert "labelled by" in compared.trajectories.provenance.notes[-1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("preferences=40x5", "preferences=40x5&seed=0", True),
        ("preferences=40x5&ties=0", "preferences=40x5", True),
        ("preferences=40x5", "preferences=40x5&seed=1", False),
        ("preferences=40x5", "preferences=41x5", False),
        ("preferences=40x5", "preferences=40x5&ties=50", False),
    ],
)
def test_a_name_decides_what_is_compared(one, other, same):
    assert (apply_split(toy(), one).digest == apply_split(toy(), other).digest) is same


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("preferences=40", "needs preferences=PAIRSxSTEPS"),
        ("preferences=0x5", "needs preferences=PAIRSxSTEPS"),
        ("ties=5", "needs preferences=PAIRSxSTEPS"),
        ("preferences=40x5&ties=few", "ties of a split are 'few'"),
        ("preferences=40x5&rewards=none", "beside which nothing else is hidden"),
        ("preferences=40x5&actions=none", "beside which nothing else is hidden"),
        ("preferences=40x500", "has 500 steps"),
        ("preference=40x5", "no key of a split named 'preference'; nearest: preferences"),
    ],
)
def test_what_names_no_comparisons_is_said(query, sentence):
    with pytest.raises(OffbenchError, match=sentence):
        apply_split(toy(), query)


@pytest.mark.parametrize("normalise", [False, True])
def test_both_parts_are_scaled_alike_and_drawn_independently(normalise):
    data = hide_actions(toy(), labelled=0.3, quantile=1.0)
    view = PartlyLabelled(data, normalise_states=normalise, dtype=torch.float64)
    own, free = Transitions(data.labelled, dtype=torch.float64), Transitions(data.action_free, dtype=torch.float64)
    assert len(view) == len(own) * len(free)
    indices = torch.tensor([[0, len(own) * 2 + 1, len(view) - 1]])
    batch = view.batch(indices)
    mean, std = torch.from_numpy(view.scaling.mean), torch.from_numpy(view.scaling.std)
    for part, plain, rows in (
        (batch.labelled, own, torch.tensor([[0, 1, len(own) - 1]])),
        (batch.action_free, free, torch.tensor([[0, 2, len(free) - 1]])),
    ):
        expected = plain.batch(rows)
        torch.testing.assert_close(part.observations, (expected.observations - mean) / std)
        torch.testing.assert_close(part.rewards, expected.rewards)
        assert torch.equal(part.actions, expected.actions)
    assert batch.action_free.actions.shape[-1] == 0


def test_the_statistics_are_those_of_all_states():
    data = hide_actions(toy(), labelled=0.3, quantile=1.0)
    view = PartlyLabelled(data, normalise_states=True)
    parts = [Transitions(part) for part in (data.labelled, data.action_free)]
    states = torch.cat([part.observations[part.sources.long()] for part in parts]).double().numpy()
    np.testing.assert_allclose(view.scaling.mean, states.mean(0), atol=1e-6)
    np.testing.assert_allclose(view.scaling.std, states.std(0), rtol=2e-3)  # where an epsilon was added to each part's


def test_pairs_and_transitions_are_scaled_alike():
    data = compare(toy(), 30, 5)
    view = Compared(data, normalise_states=True, dtype=torch.float64)
    assert len(view) == 30 * len(view.transitions)
    batch = view.batch(torch.tensor([[31, 29]]))
    first = data.preferences.first[np.array([1, 29])]
    mean, std = view.scaling.mean, view.scaling.std
    np.testing.assert_allclose(batch.first_observations[0], (first.observations - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch.first_actions[0], first.actions, rtol=1e-6, atol=1e-7)
    assert batch.labels[0].tolist() == data.preferences.labels[[1, 29]].tolist()
    assert batch.second_actions.shape == (1, 2, 5, 2)
    assert not batch.transitions.rewards.any()
    again = view.transitions.batch(torch.tensor([[1, 0]]))
    assert torch.equal(batch.transitions.observations, again.observations)


def test_a_batch_has_as_many_pairs_as_are_wanted_and_a_transition_an_index():
    data, indices = compare(toy(), 30, 5), torch.tensor([[31, 29, 64], [0, 7, 95]])
    all_of_them, two = (Compared(data, pairs=pairs).batch(indices) for pairs in (None, 2))
    for name in ("first_observations", "first_actions", "second_observations", "second_actions", "labels"):
        assert torch.equal(getattr(two, name), getattr(all_of_them, name)[:, :2])
    assert torch.equal(two.transitions.observations, all_of_them.transitions.observations)


def test_what_is_asked_for_and_what_is_given():
    assert asked_for(("actions", "rewards")) == (Trajectories, ("actions", "rewards"))
    assert asked_for((SemiSupervised, "rewards")) == (SemiSupervised, ("rewards",))
    assert asked_for((Preferences,)) == asked_for((PreferenceData,)) == (PreferenceData, ())
    for wrong in ((Teacher,), (Preferences, SemiSupervised)):
        with pytest.raises(OffbenchError, match=r"requires names .*would be right"):
            asked_for(wrong)
    parts = hide_actions(toy(), labelled=0.3, quantile=1.0)
    assert whole(parts) is parts.labelled
    with pytest.raises(DataError, match="a list is nothing to learn from; one of Trajectories, SemiSupervised"):
        whole([])
    with pytest.raises(DataError, match=r"Mine learns from preferences .* labelled part .*preferences=500x50 would be"):
        check_kind(PreferenceData, parts, "Mine")
