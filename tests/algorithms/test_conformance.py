import pytest
import torch
from conformance import SIZES, difference, group, seed_of

from offbench.algorithms import registry
from offbench.training.compilation import compiler

ALGORITHMS = sorted(registry.OURS)
VARIANTS = [(name, {}) for name in ALGORITHMS] + [
    ("iql", {"actor": "deterministic", "initialisation": "orthogonal"}),
    ("iql", {"dropout": 0.2}),
]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join([variant[0], *map(str, variant[1])]))
def make(request):
    """A function that builds a group of one algorithm with one set of hyperparameters."""
    name, changes = request.param
    return lambda seeds, **more: group(registry.algorithm(name), seeds, **changes, **more)


def test_shapes_and_names(make):
    g = make([0, 1, 2])
    g.advance(0, 2)
    algorithm = g.algorithm
    assert g.totals.shape == (len(algorithm.metrics), 3)
    assert algorithm.act(torch.zeros(3, 7, SIZES.observation, dtype=torch.float64)).shape == (3, 7, SIZES.action)
    assert int(algorithm.count) == 2
    for name, value in algorithm.state().items():
        assert value.dim() == 0 or value.shape[0] == 3, name
        assert not value.requires_grad, name


def test_the_same_seed_gives_the_same_run(make):
    one, other = make([3]), make([3])
    one.advance(0, 20)
    other.advance(0, 20)
    assert difference(one.algorithm.state(), other.algorithm.state()) == 0
    different = make([4])
    different.advance(0, 20)
    assert difference(one.algorithm.state(), different.algorithm.state()) > 0


def test_a_seed_trains_alike_alone_and_within_a_group_of_five(make):
    alone, together = make([3]), make([0, 1, 2, 3, 4])
    alone.advance(0, 200)
    together.advance(0, 200)
    assert difference(alone.algorithm.state(), seed_of(together.algorithm.state(), 3)) < 1e-8


def test_an_interrupted_run_goes_on_exactly(make):
    whole = make([0, 1])
    whole.advance(0, 250)
    first = make([0, 1])
    first.advance(0, 137)
    second = make([0, 1])
    second.algorithm.restore({name: value.clone() for name, value in first.algorithm.state().items()})
    second.advance(137, 250)
    assert difference(whole.algorithm.state(), second.algorithm.state()) == 0


@needs_compiler
def test_compiled_equals_eager(make):
    eager = make([0, 1])
    compiled = make([0, 1], step=torch.compile(type(eager.algorithm).step, fullgraph=True))
    eager.advance(0, 200)
    compiled.advance(0, 200)
    assert difference(eager.algorithm.state(), compiled.algorithm.state()) < 1e-8
    assert float((eager.totals - compiled.totals).abs().max()) < 1e-6


def test_mixed_precision_changes_the_losses_by_little_and_the_types_by_nothing(make):
    full, mixed = make([0, 1], dtype=torch.float32), make([0, 1], dtype=torch.float32, mixed=True)
    full.advance(0, 50)
    mixed.advance(0, 50)
    assert not torch.equal(full.totals, mixed.totals)
    torch.testing.assert_close(mixed.totals, full.totals, rtol=0.02, atol=0)
    assert {value.dtype for value in mixed.algorithm.state().values()} == {torch.float32, torch.int64}


def test_extreme_inputs_stay_finite(make):
    g = make([0])
    g.data.rows *= 1e3
    g.data.rows[:, 3:5].clamp_(-1, 1)
    g.data.rows[:, -1].clamp_(0, 1)
    g.advance(0, 50)
    assert all(bool(value.isfinite().all()) for value in g.algorithm.state().values())


def test_learns_the_action_that_the_data_always_take(make):
    g = make([0, 1], learning_rate=1e-2)
    g.advance(0, 300)
    rows = g.data.rows[None].expand(2, -1, -1)
    error = g.algorithm.act(rows[..., :3]) - rows[..., 3:5]
    # Rewards are noise, so no method has a reason to leave the data; their standard deviation is 0.5 a dimension.
    assert float(error.abs().mean()) < 0.12


def test_state_of_another_shape_is_refused(make):
    g = make([0])
    state = g.algorithm.state()
    name = next(name for name, value in state.items() if value.dim() == 3)
    with pytest.raises(ValueError, match="would be right"):
        g.algorithm.restore(state | {name: torch.zeros(1, 1, 1)})
    with pytest.raises(ValueError, match="differs in"):
        g.algorithm.restore({})
