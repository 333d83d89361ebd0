import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from batches import make, moved
from comparisons import compared, normal

from offbench.algorithms.base import Sizes
from offbench.algorithms.cpl import CPL, biased_logistic, preferred_mean
from offbench.conformance.subject import Subject, difference
from offbench.conformance.toys import toy
from offbench.data.partial_views import Compared
from offbench.data.supervision import compare
from offbench.errors import OffbenchError


def log_sigma(x: float) -> float:
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize(
    ("label", "bias", "by_hand"),
    [
        (1.0, 1.0, -log_sigma(-3.0 + 2.0)),  # the second is preferred: sigma(A_2 - A_1)
        (0.0, 1.0, -log_sigma(-2.0 + 3.0)),
        (0.5, 1.0, -(log_sigma(-1.0) + log_sigma(1.0)) / 2),
        (1.0, 0.5, -log_sigma(-3.0 + 0.5 * 2.0)),
        (0.0, 0.5, -log_sigma(-2.0 + 0.5 * 3.0)),
        (0.5, 0.25, -(log_sigma(-3.0 + 0.5) + log_sigma(-2.0 + 0.75)) / 2),
    ],
)
def test_the_loss_of_two_advantages_is_that_by_hand(label, bias, by_hand):
    first, second, labels = (torch.tensor([[x]], dtype=torch.float64) for x in (-2.0, -3.0, label))
    assert float(biased_logistic(first, second, labels, bias)) == pytest.approx(by_hand, rel=1e-12)
    turned = biased_logistic(second, first, 1 - labels, bias)  # which of the two stands first says nothing
    assert float(turned) == pytest.approx(by_hand, rel=1e-12)


def test_without_a_bias_it_is_the_plain_logistic_and_with_one_it_also_pulls_where_the_order_is_right():
    first, second = normal(2, 6, seed=1), normal(2, 6, seed=2)
    labels = torch.tensor([[0.0, 0.5, 1.0, 1.0, 0.0, 0.5]] * 2, dtype=torch.float64)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(second - first, labels, reduction="none")
    torch.testing.assert_close(biased_logistic(first, second, labels, 1.0), plain, rtol=1e-12, atol=0)
    # Both advantages lower by the same: the plain loss does not see it, the biased one rises.
    shifted = [biased_logistic(first - 5, second - 5, labels, bias) for bias in (1.0, 0.5)]
    torch.testing.assert_close(shifted[0], plain, rtol=1e-9, atol=0)
    assert bool((shifted[1] > biased_logistic(first, second, labels, 0.5)).all())


def test_advantages_far_out_give_finite_losses_and_gradients():
    far = torch.tensor([[1e4, -1e4]], dtype=torch.float64, requires_grad=True)
    loss = biased_logistic(far, -far, torch.tensor([[1.0, 0.5]], dtype=torch.float64), 0.5)
    (gradient,) = torch.autograd.grad(loss.sum(), far)
    assert bool(loss.isfinite().all())
    assert bool(gradient.isfinite().all())


def written_out(algorithm: CPL, batch, reference=None) -> float:
    """The loss on a batch in plain numbers, pair by pair."""
    c, total = algorithm.config, 0.0
    for pair in range(batch.labels.shape[1]):
        advantages = []
        for s, a in (
            (batch.first_observations, batch.first_actions),
            (batch.second_observations, batch.second_actions),
        ):
            error = ((algorithm.act(s[:, pair]) - a[:, pair]) ** 2).sum()
            if reference is not None:
                error -= ((algorithm.actor.mean(reference, s[:, pair]) - a[:, pair]) ** 2).sum()
            advantages.append(float(-c.alpha * error))
        one, two = advantages
        y, bias = float(batch.labels[0, pair]), c.contrastive_bias
        total -= y * log_sigma(two - bias * one) + (1 - y) * log_sigma(one - bias * two)
    return total / batch.labels.shape[1]


def made(**changes) -> CPL:
    return make(CPL, size=4, **{"dropout": 0.0} | changes)


def test_the_losses_of_both_phases_equal_the_equations_written_out():
    algorithm, batch = made(bc_coefficient=0.3), compared()
    states = torch.cat([batch.first_observations, batch.second_observations], 1).flatten(1, 2)
    actions = torch.cat([batch.first_actions, batch.second_actions], 1).flatten(1, 2)
    cloning = float(((algorithm.act(states) - actions) ** 2).sum(-1).mean())
    algorithm.count.fill_(39)  # the last of 40 updates of 100 that clone
    values = algorithm.losses(algorithm.networks, batch)
    assert float(values["actor_loss"]) == float(values["bc_loss"]) == pytest.approx(cloning, rel=1e-12)
    algorithm.count.fill_(40)
    values = algorithm.losses(algorithm.networks, batch)
    assert float(values["actor_loss"]) == pytest.approx(written_out(algorithm, batch) + 0.3 * cloning, rel=1e-12)
    assert float(values["bc_loss"]) == pytest.approx(cloning, rel=1e-12)


def test_the_advantage_is_measured_against_the_cloned_policy():
    algorithm, batch = made(objective="cpl_kl", contrastive_bias=0.75), compared()
    for update in range(41):
        algorithm.before(update, None)
        algorithm.update(batch)
        algorithm.count.add_(1)
        if update == 39:
            cloned = {name: value.clone() for name, value in algorithm.networks["actor"].items()}
    for name, value in algorithm.networks["reference"].items():
        assert torch.equal(value, cloned[name])
    assert not torch.equal(algorithm.networks["actor"]["layer0.weight"], cloned["layer0.weight"])
    expected = written_out(algorithm, batch, cloned)
    assert float(algorithm.losses(algorithm.networks, batch)["actor_loss"]) == pytest.approx(expected, rel=1e-12)
    assert moved(algorithm, algorithm.losses, batch) == {"actor"}


@pytest.mark.parametrize(("label", "nearer"), [(0.0, "first"), (1.0, "second")])
def test_the_gradient_leads_towards_the_preferred_segment_and_away_from_the_other(label, nearer):
    algorithm, batch = made(bc_share=0.0, contrastive_bias=1.0, learning_rate=1e-3), compared((label,))

    def errors():
        return {
            name: float(((algorithm.act(s[:, 0]) - a[:, 0]) ** 2).sum())
            for name, s, a in (
                ("first", batch.first_observations, batch.first_actions),
                ("second", batch.second_observations, batch.second_actions),
            )
        }

    before = errors()
    algorithm.count.fill_(50)
    algorithm.update(batch)
    after = errors()
    for name in ("first", "second"):
        assert (after[name] < before[name]) is (name == nearer)


def test_preferred_segments_alone_are_cloned_of_a_tie_both():
    batch = compared((0.0, 0.5, 1.0))
    log_prob = normal(1, 6, 5)
    kept = log_prob[0, [0, 1, 4, 5]]  # the first of two pairs, the second of two
    torch.testing.assert_close(preferred_mean(log_prob, batch.labels)[0], kept.mean())
    algorithm = made(objective="sft")
    algorithm.count.fill_(40)
    states = torch.cat([batch.first_observations[:, :2], batch.second_observations[:, 1:]], 1).flatten(1, 2)
    actions = torch.cat([batch.first_actions[:, :2], batch.second_actions[:, 1:]], 1).flatten(1, 2)
    expected = ((algorithm.act(states) - actions) ** 2).sum(-1).mean()
    torch.testing.assert_close(algorithm.losses(algorithm.networks, batch)["actor_loss"][0], expected)


def test_the_rate_is_even_in_cloning_then_rises_and_the_optimiser_begins_anew():
    algorithm, batch = made(warmup_share=0.1, rate_factor=0.5, learning_rate=1e-3), compared()
    rates = {}
    for update in range(60):
        algorithm.before(update, None)
        rates[update] = float(algorithm.optimisers["actor"]._rate()) / 1e-3
        if update == 40:
            assert not any(bool(value.any()) for value in algorithm.optimisers["actor"].state().values())
        algorithm.update(batch)
        algorithm.count.add_(1)
    assert [rates[update] for update in (0, 39, 40, 44, 49, 59)] == pytest.approx([1, 1, 0.05, 0.25, 0.5, 0.5])
    assert int(algorithm.optimisers["actor"].count) == 20


def test_a_run_that_stops_where_cloning_ends_goes_on_exactly():
    for objective in ("cpl", "cpl_kl", "sft"):
        subject = Subject(CPL, {"objective": objective, "dropout": 0.25, "bc_share": 0.01})
        for stop in (9, 10, 11):
            whole, second = subject.trained([0, 1], stop), subject.group([0, 1])
            second.algorithm.restore({name: value.clone() for name, value in whole.algorithm.state().items()})
            whole.advance(stop, 20)
            second.advance(stop, 20)
            assert difference(whole.algorithm.state(), second.algorithm.state()) == 0


def test_learns_from_comparisons_what_cloning_does_not_know():
    # Cloning leads to the mean of what was done, 0; labels say that larger actions are better.
    actions = np.random.default_rng(0).uniform(-0.8, 0.8, (300, 2)).astype(np.float32)
    data = compare(replace(toy(60, 5), actions=actions, rewards=actions.sum(1)), 200, 5, ties=None)
    config = CPL.Config(alpha=1.0, hidden=(32, 32), dropout=0.0, learning_rate=3e-3, batch_size=16)
    algorithm, view, generator = CPL(config, Sizes(3, 2), [0], 150), Compared(data), torch.Generator().manual_seed(0)
    means = []
    for update in range(150):
        algorithm.before(update, view)
        algorithm.step(view, torch.randint(len(view), (1, 16), generator=generator))
        if update in (59, 149):
            means.append(float(algorithm.act(normal(1, 500, 3).float()).mean()))
    assert abs(means[0]) < 0.1
    assert means[1] > 0.2


def test_hyperparameters_without_meaning_are_refused():
    for changes, sentence in (
        ({"contrastive_bias": 0.0}, r"contrastive_bias must lie in \(0, 1\], not 0.0"),
        ({"bc_share": 1.5}, r"bc_share must lie in \[0, 1\], not 1.5"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), not 1.0"),
    ):
        with pytest.raises(OffbenchError, match=sentence):
            CPL.Config(**changes)
