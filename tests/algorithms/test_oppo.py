import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from comparisons import normal

from offbench.algorithms.base import Sizes
from offbench.algorithms.oppo import OPPO, OPPOConfig, Stretch, length_loss, triplets
from offbench.conformance.toys import as_asked, toy
from offbench.data.compared_windows import ComparedWindows
from offbench.data.supervision import compare
from offbench.errors import OffbenchError
from offbench.nn.sequence_decoder import one_hot_lookup

SMALL = {
    "code_size": 3,
    "context": 4,
    "embedding": 8,
    "layers": 2,
    "heads": 2,
    "dropout": 0.0,
    "episode_limit": 30,
    "warmup": 0,
    "batch_size": 6,
}


def made(seeds=(0,), **changes) -> OPPO:
    """Small, and with weights large enough that every input matters."""
    algorithm = OPPO(OPPOConfig(**SMALL | changes), Sizes(3, 2), seeds, 100, dtype=torch.float64)
    for network in ("encoder", "decoder"):
        for name, value in algorithm.networks[network].items():
            if name.endswith("weight") and "attention" not in name:
                value *= 10
    return algorithm


def batch_of(algorithm: OPPO, labels=None):
    c = algorithm.config
    view = ComparedWindows(as_asked(OPPO, toy()), c.context, c.times, normalise_states=True, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(len(view), (1, c.batch_size), generator=generator).expand(len(algorithm.seeds), -1)
    batch = view.batch(indices)._replace(noise=algorithm.drawn())
    if labels is not None:
        batch = batch._replace(labels=torch.tensor([labels], dtype=torch.float64).expand(len(algorithm.seeds), -1))
    return batch


# -------------------------------------------------------------------- losses by hand


def codes(*rows: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float64)


@pytest.mark.parametrize(
    ("label", "by_hand"),
    [
        (0.0, 0.0),  # first, at distance 3, is to be nearer than second, at 5, by 1: it is
        (1.0, 5.0 - 3.0 + 1.0),
        (0.5, 0.0),  # of a tie the first, without a margin
    ],
)
def test_triplets_are_those_by_hand(label, by_hand):
    w, first, second = codes((1.0, 0.0)), codes((1.0, 3.0)), codes((4.0, 4.0))
    labels = torch.tensor([[label]], dtype=torch.float64)
    assert float(triplets(w, first, second, labels, 1.0)) == pytest.approx(by_hand, abs=1e-5)
    tie = triplets(w, second, first, torch.full((1, 1), 0.5, dtype=torch.float64), 1.0)
    assert float(tie) == pytest.approx(2.0, abs=1e-5)


def test_triplets_are_those_of_torch():
    w, first, second = normal(1, 1, 3, seed=1), normal(1, 20, 3, seed=2), normal(1, 20, 3, seed=3)
    labels = torch.tensor([[0.0, 0.5, 1.0, 1.0] * 5], dtype=torch.float64)
    near = torch.where(labels[..., None] == 1, second, first)[0]
    far = torch.where(labels[..., None] == 1, first, second)[0]
    found = triplets(w, first, second, labels, 0.7)[0]
    theirs = torch.nn.TripletMarginLoss(margin=0.7, reduction="none")(w[0].expand(20, -1), near, far)
    torch.testing.assert_close(found[labels[0] != 0.5], theirs[labels[0] != 0.5])
    ties = torch.relu((w[0] - near).norm(dim=-1) - (w[0] - far).norm(dim=-1))  # torch takes no margin of 0
    torch.testing.assert_close(found[labels[0] == 0.5], ties[labels[0] == 0.5], rtol=0, atol=1e-5)


def test_lengths_are_kept_at_one_or_below_it():
    z = codes((0.0, 0.5), (3.0, 4.0))  # of a first and a second segment
    assert float(length_loss(z, "both")) == pytest.approx(0.25 + 16.0)
    assert float(length_loss(z, "upper")) == pytest.approx(4.0)


def test_the_losses_are_the_equations_written_out():
    algorithm = made(preference_weight=0.3, norm_weight=0.2)
    batch = batch_of(algorithm, [0.0, 0.5, 1.0, 1.0, 0.0, 0.5])
    parts = algorithm.parts(batch)
    values = algorithm.losses(algorithm.networks, parts)
    encoder, decoder, w = (algorithm.networks[name] for name in ("encoder", "decoder", "code"))

    def error(x: Stretch, row: int, code: torch.Tensor) -> torch.Tensor:
        steps = int(x.mask[0, row].sum())
        s, a, times = (part[:, row : row + 1, :steps] for part in (x.s, x.a, x.times))
        embedded = one_hot_lookup(decoder["time.weight"], times)
        acted = algorithm.decoder(decoder, code.expand(1, 1, steps, -1), s, a, embedded)
        return ((acted - a) ** 2)[0, 0]

    z = algorithm.encode(encoder, parts.windows)[0]
    expected = torch.cat([error(parts.windows, row, z[row]) for row in range(6)]).mean()
    torch.testing.assert_close(values["actor_loss"][0], expected)
    z = algorithm.encode(encoder, parts.pairs)[0]
    each = torch.stack([error(parts.pairs, row, z[row]).mean() for row in range(12)])
    torch.testing.assert_close(values["encoder_loss"][0], each[:6].mean() + each[6:].mean())
    away = [float((w["w"][0, 0] - one).norm()) for one in z]
    total = 0.0
    for pair, label in enumerate(batch.labels[0].tolist()):
        gap = away[pair] - away[6 + pair]
        total += max(0.0, gap) if label == 0.5 else max(0.0, (gap if label == 0 else -gap) + 1)
    assert float(values["preference_loss"]) == pytest.approx(0.3 * total / 6, rel=1e-5)
    off = [(float(one.norm()) - 1) ** 2 for one in z]
    assert float(values["norm_loss"]) == pytest.approx(0.2 * (np.mean(off[:6]) + np.mean(off[6:])), rel=1e-9)


# -------------------------------------------------------------------- what moves what


def gradients_of(algorithm: OPPO, losses, parts, kept: str) -> set[str]:
    """The networks that one of the losses would move."""
    trained = {name: algorithm.networks[name] for name in algorithm.optimisers}
    found = torch.func.grad(lambda own: losses(algorithm.networks | own, parts)[kept].sum())(trained)
    return {name for name, own in found.items() if any(bool(value.any()) for value in own.values())}


def test_pairs_move_the_encoder_alone_and_windows_the_policy_too():
    algorithm = made()
    parts = algorithm.parts(batch_of(algorithm, [0.0, 1.0] * 3))
    assert gradients_of(algorithm, algorithm.losses, parts, "actor_loss") == {"encoder", "decoder"}
    for name in ("encoder_loss", "preference_loss", "norm_loss"):
        assert gradients_of(algorithm, algorithm.losses, parts, name) == {"encoder"}
    assert gradients_of(algorithm, algorithm.code_losses, parts, "code_loss") == {"code"}


@pytest.mark.parametrize(("label", "preferred"), [(0.0, 0), (1.0, 1)])
def test_w_moves_towards_the_preferred_codes_and_away_from_the_others(label, preferred):
    algorithm = made(code_learning_rate=1e-2, weight_decay=0.0)
    parts = algorithm.parts(batch_of(algorithm, [label] * 6))
    one = Stretch(*(part[:, [0, 6]] for part in parts.pairs))
    parts = parts._replace(pairs=one, labels=parts.labels[:, :1])
    z = algorithm.encode(algorithm.networks["encoder"], parts.pairs)[0]

    def lead() -> float:
        away = (algorithm.networks["code"]["w"][0] - z).norm(dim=-1)
        return float(away[1 - preferred] - away[preferred])

    before = lead()
    for _ in range(50):
        algorithm.descend(algorithm.code_losses, ["code"], parts)
    assert lead() > before


def test_the_second_step_sees_the_codes_of_the_new_encoder():
    algorithm, other = made(learning_rate=1e-2), made(learning_rate=1e-2)
    batch = batch_of(algorithm, [0.0, 1.0] * 3)
    parts = other.parts(batch)
    old = other.code_losses(other.networks, parts)["code_loss"]
    other.descend(other.losses, ["encoder", "decoder"], parts)
    expected = other.code_losses(other.networks, parts)["code_loss"]
    found = algorithm.update(batch)["code_loss"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert float((found - old).abs()) > 1e-6


# -------------------------------------------------------------------- the encoder


@pytest.mark.parametrize("field", ["s", "a", "times"])
def test_every_step_counts_for_the_code_and_what_is_padded_does_not(field):
    algorithm = made()
    mask = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]], dtype=torch.float64)
    x = Stretch(normal(1, 1, 4, 3), normal(1, 1, 4, 2), torch.tensor([[[7, 8, 9, 10]]]), mask)
    encoder = algorithm.networks["encoder"]
    before = algorithm.encode(encoder, x)
    for step in range(4):
        values = getattr(x, field).clone()
        values[:, :, step] += 3
        far = float((algorithm.encode(encoder, x._replace(**{field: values})) - before).abs().max())
        assert (far > 1e-6) is (step < 3)
    short = Stretch(*(part[:, :, :3] for part in x))
    torch.testing.assert_close(algorithm.encode(encoder, short), before, rtol=1e-12, atol=1e-14)


def test_segments_longer_than_the_context_are_read_from_every_place_on():
    algorithm, seen = made(context=3), set()
    batch = batch_of(algorithm)
    for update in range(20):
        algorithm.count.fill_(update)
        x = algorithm.parts(batch).pairs
        assert x.s.shape[2] == 3
        for row in range(12):
            side, pair = ("first", row) if row < 6 else ("second", row - 6)
            start = int(x.times[0, row, 0] - getattr(batch, f"{side}_times")[0, pair])
            whole = getattr(batch, f"{side}_observations")[0, pair]
            assert torch.equal(x.s[0, row], whole[start : start + 3])
            seen.add((row, start))
    assert seen == {(row, start) for row in range(12) for start in range(3)}


def test_dropout_has_masks_of_its_own_in_each_pass():
    algorithm = made(dropout=0.5)
    found = algorithm.parts(batch_of(algorithm)).dropped
    flat = {name: torch.cat([mask[:, :6].flatten() for mask in masks]) for name, masks in found.items()}
    for one, other in (("windows", "pairs"), ("imitation", "still")):
        assert flat[one].shape == flat[other].shape
        assert 0.4 < float((flat[one] == flat[other]).double().mean()) < 0.6


def test_noise_is_added_to_what_the_policy_is_shown_alone():
    algorithm = made(state_noise=0.1)
    parts = algorithm.parts(batch_of(algorithm))
    noise = algorithm.drawn()["states"]
    torch.testing.assert_close(parts.shown - parts.windows.s, 0.1 * noise)


# -------------------------------------------------------------------- acting


@pytest.mark.parametrize("times", ["episode", "window"])
def test_acting_is_the_policy_given_w_on_the_last_steps_of_the_episode(times):
    algorithm = made(times=times)
    states, actions, window = normal(1, 1, 9, 3, seed=8), [], algorithm.acting()
    window.reset(torch.ones(1, 1, dtype=torch.bool))
    decoder, w = algorithm.networks["decoder"], algorithm.networks["code"]["w"]
    for t in range(9):
        first = max(0, t - 3)
        history = torch.stack([*actions, torch.zeros(2, dtype=torch.float64)])[first:][None, None]
        numbers = torch.arange(first, t + 1)[None, None] - (first if times == "window" else 0)
        conditions = w.unsqueeze(1).expand(1, 1, t + 1 - first, -1)
        shown = states[:, :, first : t + 1]
        embedded = one_hot_lookup(decoder["time.weight"], numbers)
        expected = algorithm.decoder(decoder, conditions, shown, history, embedded)
        acted = window.act(states[:, :, t])
        torch.testing.assert_close(acted[0, 0], expected[0, 0, -1], rtol=0, atol=1e-12)
        actions.append(acted[0, 0])
        window.observe(torch.ones(1, 1, dtype=torch.float64))  # it hears of rewards and heeds none


def test_learns_to_act_as_is_preferred_and_not_as_most_do():
    # Each episode does one thing throughout, seven of ten the wrong one; comparisons say which is right.
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(60) < 0.3, 5)[:, None]
    actions = (np.where(right, 0.6, -0.6) + 0.05 * rng.normal(size=(300, 2))).astype(np.float32)
    data = compare(replace(toy(60, 5), actions=actions, rewards=actions.sum(1)), 200, 5, ties=None)
    rates = {"learning_rate": 3e-3, "code_learning_rate": 3e-2, "preference_weight": 1.0}
    config = OPPOConfig(**SMALL | rates | {"context": 5, "batch_size": 16, "layers": 1})
    algorithm, view = OPPO(config, Sizes(3, 2), [0], 120), ComparedWindows(data, 5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(120):
        algorithm.step(view, torch.randint(len(view), (1, 16), generator=generator))
    with torch.no_grad():
        acted = algorithm.act(normal(1, 100, 3).float())
    assert float(acted.mean()) > 0.3
    assert float(actions.mean()) < -0.1


def test_hyperparameters_without_meaning_are_refused():
    for changes, sentence in (
        ({"encoder_heads": 3}, "embedding must be a multiple of encoder_heads, and 8 is none of 3"),
        ({"context": 0}, r"context must lie in \[1, inf\], not 0"),
        ({"margin": -1.0}, r"margin must lie in \[0, inf\], not -1.0"),
        ({"episode_limit": None}, "OPPO needs episode_limit"),
    ):
        with pytest.raises(OffbenchError, match=sentence):
            made(**changes)
    assert math.isclose(float(made().networks["code"]["w"].std()), 2, rel_tol=0.9)
