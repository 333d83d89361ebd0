"""PAL: its hinge, and that mixtures of prototypes hold raters of opposite wishes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.errors import DataError, OffbenchError
from offbench.labelling.pal import PALConfig, fit, losses, margins, smooth_hinge
from offbench.nn.mlp import MLP

FAST = PALConfig(hidden=16, batch_size=64, updates=150, rater_updates=60, mixture_rate=4e-2, embedding_rate=1e-3)


def mirrored(pairs: int = 200, seed: int = 0) -> Preferences:
    """Two raters who compared the same segments, the one preferring what the other does not."""
    rng = np.random.default_rng(seed)
    sides = [Segments(rng.uniform(-1, 1, (pairs, 3, 1)), np.zeros((pairs, 3, 1))) for _ in range(2)]
    right = (sides[1].observations.mean((1, 2)) > sides[0].observations.mean((1, 2))).astype(np.float32)
    return Preferences.of_raters([Preferences(*sides, labels) for labels in (right, 1 - right)])


def accuracy(margin: torch.Tensor, pairs: Preferences) -> np.ndarray:
    return ((margin > 0).numpy() == (pairs.labels > 0.5)).mean(1)


def test_the_smooth_hinge_has_its_worked_values() -> None:
    t = torch.tensor([0.0, 1.0, -4.0, -10.0, 3.0], dtype=torch.float64, requires_grad=True)
    found = smooth_hinge(t)
    assert found.tolist() == pytest.approx([0.1, 0, 2.5, 8.5, 0])
    found.sum().backward()
    assert t.grad.tolist() == pytest.approx([-0.2, 0, -1, -1, 0])  # it is smooth at -4


def test_losses_go_by_which_is_preferred() -> None:
    margin, scale = (
        torch.tensor([[2.0, -2.0, 0.5]], dtype=torch.float64),
        torch.log(torch.tensor([3.0], dtype=torch.float64)),
    )
    first, tie, second = (torch.full((1, 3), share, dtype=torch.float64) for share in (0.0, 0.5, 1.0))
    for kind in ("hinge", "cross-entropy"):
        assert torch.allclose(losses(margin, second, kind, scale), losses(-margin, first, kind, scale))
        assert torch.allclose(losses(margin, tie, kind, scale), losses(-margin, tie, kind, scale))
        assert losses(margin, second, kind, scale)[0, 0] < losses(margin, second, kind, scale)[0, 1]
    assert torch.allclose(losses(margin, second, "cross-entropy", scale), -torch.log(torch.sigmoid(3 * margin)))
    huge = torch.tensor([99.0], dtype=torch.float64)
    assert torch.allclose(
        losses(margin, first, "cross-entropy", huge), torch.nn.functional.softplus(100 * margin), atol=1e-4
    )


def test_the_margin_is_a_difference_of_distances() -> None:
    network = MLP(2, (4,), 2)
    embedding = {name: torch.zeros_like(value) for name, value in network.initialise([0], "g").items()}
    mixture = {
        "prototypes": torch.tensor([[[0.0, 0.0], [6.0, 8.0]]], dtype=torch.float64),
        "weights": torch.tensor([[[30.0, 0.0], [0.0, 0.0]]], dtype=torch.float64),
        "scale": torch.zeros(1),
    }
    first, second = (torch.tensor([[place, place]], dtype=torch.float64) for place in ([3.0, 4.0], [6.0, 8.0]))
    # The ideal of rater 0 is the first prototype, at 5 and 10; that of rater 1 the middle (3, 4), at 0 and 5.
    found = margins(network, {"embedding": embedding, "mixture": mixture}, first, second, torch.tensor([[0, 1]]))
    assert found.tolist()[0] == pytest.approx([-5, -5], abs=1e-5)


@pytest.mark.parametrize("kind", ["hinge", "cross-entropy"])
def test_mirrored_raters_need_two_prototypes(kind: str) -> None:
    pairs, new = mirrored(), mirrored(seed=1)
    two = fit(pairs, replace(FAST, loss=kind), [0, 1])  # type: ignore[arg-type]
    assert accuracy(two.predict(new), new).tolist() == pytest.approx([1, 1], abs=0.02)
    one = fit(pairs, replace(FAST, loss=kind, prototypes=1), [0, 1])  # type: ignore[arg-type]
    assert accuracy(one.predict(new), new).tolist() == pytest.approx([0.5, 0.5], abs=1e-9)


def test_a_new_rater_is_learned_by_weights_alone() -> None:
    fitted, pairs = fit(mirrored(), FAST, [0, 1]), mirrored(seed=2)
    before = {name: value.clone() for name, value in fitted.parameters["mixture"].items()}
    for rater in (0, 1):
        own = pairs[pairs.raters == rater]
        weights = fitted.rater(replace(own[:10], raters=None))
        assert weights.shape == (2, 2)
        assert (accuracy(fitted.predict(own[10:], weights), own[10:]) > 0.95).all()
    assert all(torch.equal(before[name], value) for name, value in fitted.parameters["mixture"].items())


def test_prototypes_have_no_order() -> None:
    fitted, pairs = fit(mirrored(), replace(FAST, prototypes=3, updates=20), [0], torch.float64), mirrored(seed=3)
    order, mixture = [2, 0, 1], fitted.parameters["mixture"]
    turned = mixture | {"prototypes": mixture["prototypes"][:, order], "weights": mixture["weights"][..., order]}
    other = replace(fitted, parameters=fitted.parameters | {"mixture": turned})
    assert torch.allclose(other.predict(pairs), fitted.predict(pairs), atol=1e-12)


def test_a_seed_is_the_same_alone_and_in_a_group() -> None:
    config = replace(FAST, updates=15)
    group, alone = (fit(mirrored(), config, seeds, torch.float64) for seeds in ([3, 5], [5]))
    for network, parameters in alone.parameters.items():
        for name, value in parameters.items():
            assert torch.allclose(group.parameters[network][name][1:], value, rtol=1e-9, atol=1e-12)


def test_raters_that_are_not_known_are_refused() -> None:
    fitted = fit(mirrored(), replace(FAST, updates=1), [0])
    with pytest.raises(OffbenchError, match=r"rater 7 was not fitted; fit its weights with rater\(\)"):
        fitted.predict(replace(mirrored(), raters=np.full(400, 7)))
    with pytest.raises(DataError, match=r"have no raters"):
        fitted.predict(replace(mirrored(), raters=None))
    with pytest.raises(OffbenchError, match=r"prototypes of PAL is 0; a positive number would be right"):
        PALConfig(prototypes=0)
