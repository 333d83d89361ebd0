"""Branches: where they start, how they end, how long they are kept, and what batches are mixed of."""

import numpy as np
import torch
from test_dynamics_fitting import view

from offbench.dynamics.imagination import Branches, Imagination
from offbench.dynamics.worlds import Outcome

KEYS = torch.tensor([0, 7])


class Walk:
    """s' = s + a on the first number, which ends beyond ``limit``; the reward is the step's number."""

    def __init__(self, limit: float = 1e9) -> None:
        self.limit, self.steps = limit, 0

    def step(self, observations, actions, moment):
        following = observations + torch.cat([actions, torch.zeros_like(actions)], -1)
        reward = torch.full_like(observations[..., 0], float(self.steps))
        self.steps += 1
        return Outcome(following, reward, following[..., 0] > self.limit)


def ones(observations, noise):
    return torch.ones_like(noise)


def imagined(world, count=4, length=3, retained=2, real_ratio=0.25, sample=ones) -> Imagination:
    branches = Branches(every=10, count=count, length=length, retained=retained, real_ratio=real_ratio)
    return Imagination(branches, world, sample, 2, 2, 1, torch.device("cpu"), torch.float64)


def columns(one: Imagination, seed: int):
    return [part.numpy() for part in torch.split(one.rows[seed, : int(one.filled[seed])], one.parts, -1)]


def test_branches_start_in_the_data_and_their_last_step_is_no_termination() -> None:
    data, one = view(torch.float64), imagined(Walk())
    one.roll_out(data, KEYS, torch.tensor(0))
    states = data.observations.numpy()[data.sources.numpy()]
    for seed in range(2):
        s, a, r, following, ends = columns(one, seed)
        assert len(s) == 12
        assert all((np.abs(states - start).max(1) < 1e-6).any() for start in s[:4])
        np.testing.assert_allclose(s[4:8], following[:4])  # the branches go on where they came to
        np.testing.assert_allclose(following[:, 0], s[:, 0] + 1)
        assert r[:, 0].tolist() == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
        assert a.min() == 1
        assert not ends.any()
    assert not torch.equal(one.rows[0], one.rows[1])


def test_a_termination_is_kept_and_ends_its_branch() -> None:
    data = view(torch.float64)
    one = imagined(Walk(limit=1.0), count=400, length=3)
    one.roll_out(data, KEYS, torch.tensor(0))
    s, _, r, following, ends = columns(one, 0)
    assert np.array_equal(ends[:, 0] == 1, following[:, 0] > 1.0)
    assert 0 < ends.mean() < 1
    first = r[:, 0] == 0
    assert first.sum() == 400
    went_on = following[first & (ends[:, 0] == 0)]
    np.testing.assert_allclose(s[r[:, 0] == 1], went_on)
    assert int(one.filled[0]) == len(s) < 1200


def test_the_oldest_are_written_over_first() -> None:
    world = Walk()
    data, one = view(torch.float64), imagined(world, retained=2)
    for number in range(3):
        one.roll_out(data, KEYS, torch.tensor(number))
    assert one.filled.tolist() == [24, 24]
    assert one.place.tolist() == [12, 12]
    assert columns(one, 0)[2][:, 0].tolist() == [6.0] * 4 + [7.0] * 4 + [8.0] * 4 + [3.0] * 4 + [4.0] * 4 + [5.0] * 4


def test_what_is_random_is_a_function_of_seed_and_update() -> None:
    data = view(torch.float64)

    def rolled(keys, update):
        one = imagined(Walk(), sample=lambda states, noise: noise)
        one.roll_out(data, keys, torch.tensor(update))
        return one.rows

    both = rolled(KEYS, 20)
    assert torch.equal(both, rolled(KEYS, 20))
    assert torch.equal(both.flip(0), rolled(KEYS.flip(0), 20))
    assert not torch.equal(both, rolled(KEYS, 30))


def test_batches_are_mixed_in_the_ratio() -> None:
    data, one = view(torch.float64), imagined(Walk(), count=50)
    one.roll_out(data, KEYS, torch.tensor(0))
    indices = torch.arange(32).view(2, 16)
    batch = one.mixed(data, indices, KEYS, torch.tensor(5))
    assert batch.observations.shape == (2, 16, 2)
    real = data.batch(indices[:, :4])
    for ours, theirs in zip(batch[:5], real[:5], strict=True):
        assert torch.equal(ours[:, :4], theirs)
    known = {tuple(row) for row in one.rows[0, :150, :2].tolist()}
    assert all(tuple(row) in known for row in batch.observations[0, 4:].tolist())
    only = imagined(Walk(), count=50, real_ratio=0.0)
    only.roll_out(data, KEYS, torch.tensor(0))
    assert only.mixed(data, indices, KEYS, torch.tensor(5)).actions.shape == (2, 16, 1)


def test_imagined_rows_are_drawn_evenly() -> None:
    data, one = view(torch.float64), imagined(Walk(), count=2, length=2, retained=1, real_ratio=0.0)
    one.roll_out(data, KEYS, torch.tensor(0))
    drawn = one.mixed(data, torch.zeros(2, 8000, dtype=torch.int64), KEYS, torch.tensor(1)).observations[0]
    counts = [(drawn == row).all(-1).sum().item() for row in one.rows[0, :4, :2]]
    assert sum(counts) == 8000
    assert max(abs(count - 2000) for count in counts) < 5 * np.sqrt(8000 * 0.25 * 0.75)
