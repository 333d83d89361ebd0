import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from offbench.behaviours.tanh_gaussian import BLOCK, TanhGaussianPolicy
from offbench.errors import OffbenchError

OBSERVATION, ACTION = 3, 2
LOW, HIGH = np.array([-1.0, -2.0]), np.array([1.0, 4.0])


def layer(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(inputs, outputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32)


def make(seeds: list[int] | None = None, low=LOW, high=HIGH) -> TanhGaussianPolicy:
    rng = np.random.default_rng(0)
    hidden = [layer(rng, OBSERVATION, 8), layer(rng, 8, 5)]
    return TanhGaussianPolicy(hidden, layer(rng, 5, ACTION), layer(rng, 5, ACTION), low, high, seeds)


def constant(mean: float, log_std: float, low=-1.0, high=1.0, seeds: list[int] | None = None) -> TanhGaussianPolicy:
    """The same distribution of one action at every observation of one number."""
    heads = [(np.zeros((1, 1)), np.array([number])) for number in (mean, log_std)]
    return TanhGaussianPolicy([], *heads, [low], [high], seeds)


def observe(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, OBSERVATION))


def test_without_seeds_it_acts_by_the_mean():
    policy, seen = make(), observe(7)
    mean, std = policy.distribution(seen)
    assert np.allclose(policy.act(seen), [0, 1] + np.array([1, 3]) * np.tanh(mean), atol=1e-5)
    assert policy.act(seen).dtype == np.float32
    assert np.array_equal(policy.act(seen), policy.act(seen))
    assert (std > 0).all()


def test_the_network_is_relu_layers_and_two_heads():
    rng = np.random.default_rng(3)
    first, mean, log_std = layer(rng, 2, 4), layer(rng, 4, 1), (0.1 * layer(rng, 4, 1)[0], np.zeros(1))
    policy = TanhGaussianPolicy([first], mean, log_std, [-1], [1])
    seen = rng.normal(size=(9, 2))
    features = np.maximum(seen @ first[0] + first[1], 0)
    found = policy.distribution(seen)
    assert found[0] == pytest.approx(features @ mean[0] + mean[1], rel=1e-6)
    assert found[1] == pytest.approx(np.exp(features @ log_std[0] + log_std[1]), rel=1e-6)


@pytest.mark.parametrize(("log_std", "std"), [(50.0, np.exp(2.0)), (-50.0, np.exp(-20.0))])
def test_the_standard_deviation_is_clipped(log_std, std):
    assert constant(0.0, log_std).distribution(np.zeros((1, 1)))[1].item() == pytest.approx(std)


def test_samples_have_the_distribution():
    policy = constant(0.3, -0.5, low=-3.0, high=1.0, seeds=list(range(4000)))
    actions = policy.act(np.zeros((4000, 1)))[:, 0]
    before = np.arctanh((actions + 1) / 2)
    assert stats.kstest(before, stats.norm(0.3, np.exp(-0.5)).cdf).pvalue > 1e-3
    assert actions.min() >= -3
    assert actions.max() <= 1


def test_noise_does_not_depend_on_the_neighbours():
    """Each environment alone, and the same ones in a group whose others begin new episodes at other times."""
    steps, restarts = BLOCK + 20, {5: [1], 40: [0, 2], BLOCK + 3: [1]}
    together = make([11, 12, 13])
    alone = [make([seed]) for seed in (11, 12, 13)]
    for step in range(steps):
        if step in restarts:
            mask = np.isin(np.arange(3), restarts[step])
            together.reset(mask)
            for number in restarts[step]:
                alone[number].reset(np.ones(1, bool))
        seen = observe(3, step)
        parts = [policy.act(seen[i : i + 1]) for i, policy in enumerate(alone)]
        assert together.act(seen) == pytest.approx(np.concatenate(parts), abs=1e-5)


def test_noise_is_new_each_step_episode_and_seed_and_the_same_again_for_a_seed():
    def rollout(seeds: list[int], episodes: int) -> np.ndarray:
        policy, found = make(seeds), []
        for _ in range(episodes):
            policy.reset(np.ones(len(seeds), bool))
            found += [policy.act(np.zeros((len(seeds), OBSERVATION))) for _ in range(3)]
        return np.stack(found)

    found = rollout([1, 2], 2)
    assert np.array_equal(found, rollout([1, 2], 2))
    assert len(np.unique(found)) == found.size


def test_a_reset_without_a_step_in_between_changes_nothing():
    first, second = make([5]), make([5])
    for _ in range(3):
        second.reset(np.ones(1, bool))
    assert np.array_equal(first.act(observe(1)), second.act(observe(1)))


# -------------------------------------------------------------------- densities


@pytest.mark.parametrize(
    ("mean", "log_std", "low", "high"), [(0.0, 0.0, -1, 1), (1.2, -1.5, -1, 1), (-0.4, 0.3, -2, 5)]
)
def test_the_density_integrates_to_one(mean, log_std, low, high):
    policy = constant(mean, log_std, low, high)

    def density(action: float) -> float:
        return float(np.exp(policy.log_prob(np.zeros((1, 1)), np.array([[action]])))[0])

    assert integrate.quad(density, low, high, limit=200)[0] == pytest.approx(1, abs=1e-6)


@given(st.floats(-8, 8), st.floats(-3, 3), st.floats(-3, 1))
def test_the_density_is_the_normal_one_times_the_slope(before, mean, log_std):
    found = constant(mean, log_std).log_prob(np.zeros((1, 1)), np.array([[np.tanh(before)]]))
    mean, log_std = np.float32(mean), np.float32(log_std)
    slope = -2 * np.log(np.cosh(before))
    expected = stats.norm(mean, np.exp(np.float64(log_std))).logpdf(before) - slope
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=30)
@given(st.floats(-300, 300), st.floats(-25, 5), st.sampled_from([-1.0, 1.0, 0.0, 1 - 1e-9]))
def test_the_density_is_finite_up_to_the_bounds(mean, log_std, action):
    assert np.isfinite(constant(mean, log_std).log_prob(np.zeros((1, 1)), np.array([[action]]))).all()


def test_beyond_the_bounds_the_density_is_zero():
    assert constant(0.0, 0.0).log_prob(np.zeros((1, 1)), np.array([[1.01]])).item() == -np.inf


def test_the_log_density_adds_over_the_action_and_over_many_rows():
    policy, seen = make(list(range(6))), observe(6)
    actions = policy.act(seen)
    mean, std = policy.distribution(seen)
    before = np.arctanh((actions.astype(np.float64) - [0, 1]) / [1, 3])
    parts = stats.norm(mean, std).logpdf(before) - np.log([1, 3] * (1 - np.tanh(before) ** 2))
    found = policy.log_prob(seen, actions)
    assert found == pytest.approx(parts.sum(axis=1), abs=1e-6)
    many = policy.log_prob(np.tile(seen, (4000, 1)), np.tile(actions, (4000, 1)))
    assert many == pytest.approx(np.tile(found, 4000), abs=1e-9)
    assert policy.log_prob(seen[:0], actions[:0]).shape == (0,)


# -------------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([(np.zeros((3, 4)), np.zeros(3))], (4, 2), (4, 2)), r"a layer has shapes \(3, 4\) and \(3,\)"),
        (([(np.zeros((3, 4)), np.zeros(4))], (5, 2), (4, 2)), "layer 1 of the policy takes 5 numbers and is given 4"),
        (([(np.zeros((3, 4)), np.zeros(4))], (4, 2), (5, 2)), "layer 2 of the policy takes 5 numbers and is given 4"),
        (([(np.zeros((3, 4)), np.zeros(4))], (4, 2), (4, 3)), "the heads give 2 means and 3 standard deviations"),
        (
            ([(np.zeros((3, 4)), np.zeros(4))], (4, 3), (4, 3)),
            r"action bounds have shapes \(2,\) and \(2,\); \(3,\) is right",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused(arguments, sentence):
    hidden, mean, log_std = arguments
    heads = [(np.zeros(shape), np.zeros(shape[1])) for shape in (mean, log_std)]
    with pytest.raises(OffbenchError, match=sentence):
        TanhGaussianPolicy(hidden, *heads, LOW, HIGH)


@pytest.mark.parametrize("high", [[1, -2], [1, np.inf], [1, np.nan]])
def test_bounds_without_room_are_refused(high):
    with pytest.raises(OffbenchError, match="leave no finite room"):
        make(high=np.array(high))


def test_observations_of_another_shape_are_refused():
    with pytest.raises(OffbenchError, match=r"observations have shape \(4, 2\); \(environments, 3\) would be right"):
        make().act(np.zeros((4, 2)))
    with pytest.raises(OffbenchError, match="samples for 2 environments, one a seed, and got observations of 3"):
        make([0, 1]).act(observe(3))
