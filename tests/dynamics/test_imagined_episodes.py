"""Whole imagined episodes: where they start and end, which are kept, and what is learned from them."""

import numpy as np
import pytest
import torch

from offbench.conformance.toys import toy
from offbench.data.transitions import Transitions
from offbench.dynamics.episodes import Episodes, Played, play
from offbench.dynamics.worlds import Moment, Outcome
from offbench.errors import OffbenchError

KEYS = torch.tensor([0, 7])


class Walk:
    """s' = s + 1 and r = a; an episode ends beyond ``limit``."""

    def __init__(self, limit: float = 1e9) -> None:
        self.limit = limit

    def step(self, observations, actions, moment):
        following = observations + 1
        return Outcome(following, actions[..., 0], following[..., 0] > self.limit)


def moody(observations, moment):
    """Uniform actions in [-1, 1], a function of the seed and the moment alone."""
    from offbench.nn.noise import uniform

    drawn = uniform(moment.keys, moment.update, f"{moment.name}/act", (observations.shape[1], 2))
    return (2 * drawn - 1).to(observations.dtype)


def episodes(needed=5, horizon=4, seeds=2) -> Episodes:
    return Episodes(needed, horizon, seeds, 3, 2, torch.device("cpu"), torch.float64)


def data() -> Transitions:
    return Transitions(toy(), dtype=torch.float64)


def played(rewards, alive=None) -> Played:
    """Episodes of these rewards (seeds, batch, horizon), whose states say which step of which episode they are."""
    rewards = torch.tensor(rewards, dtype=torch.float64)
    states = torch.arange(rewards.numel(), dtype=torch.float64).view(rewards.shape).unsqueeze(-1).expand(-1, -1, -1, 3)
    alive = torch.ones_like(rewards, dtype=torch.bool) if alive is None else torch.tensor(alive)
    return Played(states, states[..., :2] / 100, rewards, alive)


def test_first_steps_are_those_that_begin_episodes() -> None:
    trajectories, view = toy(), data()
    starts = view.batch(view.first_steps.unsqueeze(0)).observations[0]
    np.testing.assert_array_equal(starts, trajectories.observations[trajectories.offsets[:-1] + np.arange(20)])
    cut = toy(ends="truncated")
    lost = cut.final_observations.copy()
    lost[:] = False  # so that an episode's last step is no transition
    from dataclasses import replace

    assert Transitions(replace(cut, final_observations=lost)).first_steps.tolist() == list(range(0, 280, 14))


def test_an_episode_goes_on_to_a_termination_or_the_horizon() -> None:
    starts = torch.tensor([0.0, 2.0], dtype=torch.float64).view(1, 2, 1).expand(2, -1, 3)
    found = play(Walk(limit=3.5), moody, starts, 3, Moment(KEYS, torch.tensor(0), "test"))
    assert found.alive.tolist() == [[[True, True, True], [True, True, False]]] * 2
    assert found.observations[0, 0, :, 0].tolist() == [0.0, 1.0, 2.0]
    torch.testing.assert_close(found.rewards, torch.where(found.alive, found.actions[..., 0], 0))
    assert len(found.actions[..., 0].unique()) == 12  # another one for each seed, episode and step


def test_what_beats_the_threshold_is_kept_and_nothing_else() -> None:
    one = episodes(horizon=2)
    returns = one.keep(played([[[1, 1], [2, 1], [3, 1]], [[3, 3], [0, 0], [0, 3.5]]]), 3.0)
    assert returns.tolist() == [[2, 3, 4], [6, 0, 3.5]]
    assert (one.kept.tolist(), one.filled.tolist(), one.target.tolist()) == ([1, 2], [2, 4], [4, 6])
    # State, action and the sum of this and later rewards, by hand.
    assert one.rows[0, :2].tolist() == [[4, 4, 4, 0.04, 0.04, 4], [5, 5, 5, 0.05, 0.05, 1]]
    assert one.rows[1, :4, 5].tolist() == [6, 3, 3.5, 3.5]
    assert not one.rows[0, 2:].any()


def test_no_more_is_kept_than_is_needed_and_the_target_is_of_what_is_kept() -> None:
    one = episodes(needed=2, horizon=1, seeds=1)
    one.keep(played([[[1.0]]]), 0.0)
    one.keep(played([[[-1.0], [2.0], [9.0]]]), 0.0)
    assert (int(one.kept), int(one.filled), float(one.target)) == (2, 2, 2.0)
    assert one.rows[0, :, 5].tolist() == [1.0, 2.0]
    below = episodes(horizon=1, seeds=1)
    below.keep(played([[[-3.0], [-2.0]]]), -5.0)
    assert float(below.target) == -2.0


def test_steps_after_an_end_are_not_kept_and_nothing_that_is_not_finite() -> None:
    one = episodes(horizon=3, seeds=1)
    alive = [[[True, True, False], [True, True, True], [True, True, True]]]
    returns = one.keep(played([[[1, 1, 0], [1, float("inf"), 1], [float("nan"), 1, 1]]], alive), 0.0)
    assert returns.tolist() == [[2.0, -torch.inf, -torch.inf]]
    assert one.filled.tolist() == [2]
    assert all(value.isfinite().all() for value in one.state().values())


def test_a_seed_collects_what_it_collects_alone() -> None:
    both, alone, lines = episodes(), episodes(seeds=1), list[str]()
    both.collect(Walk(), moody, data(), KEYS, 1.0, count=8, batches=20, say=lines.append)
    alone.collect(Walk(), moody, data(), KEYS[1:], 1.0, count=8, batches=20)
    for name, value in alone.state().items():
        assert torch.equal(value[0], both.state()[name][1])
    assert both.kept.tolist() == [5, 5]
    assert float(both.target.min()) > 1.0
    assert not torch.equal(both.rows[0], both.rows[1])
    assert lines[-1].startswith("rollouts: seed 0 keeps 5 of ")
    starts = data().batch(data().first_steps.unsqueeze(0)).observations[0]
    assert (both.rows[0, 0, :3] == starts).all(-1).any()


def test_too_few_are_told_and_none_is_refused() -> None:
    one, lines = episodes(needed=50), list[str]()
    one.collect(Walk(), moody, data(), KEYS, 1.5, count=10, batches=3, say=lines.append)
    assert 0 < int(one.kept.max()) < 50
    assert lines[-1].startswith(f"rollouts: seed 0 keeps {int(one.kept[0])} of 30, wants 50, best predicted return ")
    with pytest.raises(OffbenchError, match=r"seed 0 has nothing to learn from: of 30 rollouts none .* more than 4, "):
        episodes().collect(Walk(), moody, data(), KEYS, 4.0, count=10, batches=3)


def test_batches_are_drawn_evenly_from_what_each_seed_keeps() -> None:
    one = episodes(horizon=2)
    one.keep(played([[[1, 1], [2, 1]], [[3, 3], [0, 0]]]), 1.0)
    batch = one.mixed(data(), torch.zeros(2, 8000, dtype=torch.int64), KEYS, torch.tensor(3))
    for seed, rows in enumerate(([0, 1, 2, 3], [4, 5])):
        counts = [(batch.observations[seed, :, 0] == row).sum().item() for row in rows]
        share = 1 / len(rows)
        assert sum(counts) == 8000
        assert max(abs(count - 8000 * share) for count in counts) < 5 * np.sqrt(8000 * share * (1 - share))
    assert batch.returns_to_go[1].unique().tolist() == [3, 6]
    assert torch.equal(batch.actions, batch.observations[..., :2] / 100)
