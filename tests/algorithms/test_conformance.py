import pytest
import torch
from conformance import SIZES, difference, group, seed_of

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm
from offbench.data.sequences import SequenceBatch
from offbench.training.compilation import compiler, update_step

ALGORITHMS = sorted(registry.OURS)
# Critics and sampled actions are many by default, which tests nothing more.
SMALL = {"cql": {"sampled_actions": 2}, "edac": {"critics": 3}, "sac_n": {"critics": 3}}
SMALL["dt"] = {"context": 3, "embedding": 16, "layers": 1, "heads": 2, "warmup": 0, "dropout": 0.0}
VARIANTS = [(name, SMALL.get(name, {})) for name in ALGORITHMS] + [
    ("cql", SMALL["cql"] | {"lagrange": True, "target_gap": 1.0, "lowest_gap": -10.0, "max_target_backup": True}),
    ("iql", {"actor": "deterministic", "initialisation": "orthogonal"}),
    ("iql", {"dropout": 0.2}),
    ("dt", SMALL["dt"] | {"warmup": 50, "dropout": 0.1}),
    ("rvs", {"actor": "deterministic", "condition": "sum", "dropout": 0.2}),
]
# Generating code takes 10 seconds each: the fast tests do it for one that has noise and phases, and one with masks.
COMPILED = [variant for variant in VARIANTS if variant in (("td3_bc", {}), ("iql", {"dropout": 0.2}))]
# Methods that imitate, with what makes them do nothing else. The others maximise Q.
IMITATION = {"awac": {}, "bc": {}, "dt": {}, "iql": {}, "rvs": {}, "td3_bc": {"alpha": 0.0}, "xql": {}}
IMITATION["rebrac"] = {"actor_penalty": 100.0}
IMITATING = [(name, changes | IMITATION[name]) for name, changes in VARIANTS if name in IMITATION]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")


def called(variant):
    name, changes = variant
    return "-".join([name, *(str(key) for key in changes if key not in SMALL.get(name, {}))])


@pytest.fixture(params=VARIANTS, ids=called)
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
    one.advance(0, 10)
    other.advance(0, 10)
    assert difference(one.algorithm.state(), other.algorithm.state()) == 0
    different = make([4])
    different.advance(0, 10)
    assert difference(one.algorithm.state(), different.algorithm.state()) > 0


def test_a_seed_trains_alike_alone_and_within_a_group_of_five(make):
    alone, together = make([3]), make([0, 1, 2, 3, 4])
    alone.advance(0, 100)
    together.advance(0, 100)
    assert difference(alone.algorithm.state(), seed_of(together.algorithm.state(), 3)) < 1e-8


def test_an_interrupted_run_goes_on_exactly(make):
    whole = make([0, 1])
    whole.advance(0, 130)
    first = make([0, 1])
    first.advance(0, 73)
    second = make([0, 1])
    second.algorithm.restore({name: value.clone() for name, value in first.algorithm.state().items()})
    second.advance(73, 130)
    assert difference(whole.algorithm.state(), second.algorithm.state()) == 0


def agree(make, step, updates):
    """Whether eager updates and those by another ``step`` lead to the same state and metrics."""
    eager, other = make([0, 1]), make([0, 1], step=step)
    eager.advance(0, updates)
    other.advance(0, updates)
    assert difference(eager.algorithm.state(), other.algorithm.state()) < 1e-8
    assert float((eager.totals - other.totals).abs().max()) < 1e-6


@pytest.mark.parametrize("make", VARIANTS[: len(ALGORITHMS)], ids=called, indirect=True)
def test_an_update_is_one_graph_that_does_the_same(make):
    with torch._dynamo.config.patch(recompile_limit=256):
        agree(make, torch.compile(Algorithm.step, fullgraph=True, backend="eager"), 10)


@needs_compiler
@pytest.mark.parametrize("make", COMPILED, ids=called, indirect=True)
def test_compiled_equals_eager(make):
    agree(make, update_step(Algorithm, "always", torch.device("cpu"))[0], 200)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("make", [v for v in VARIANTS if v not in COMPILED], ids=called, indirect=True)
def test_compiled_equals_eager_for_the_others_too(make):
    agree(make, update_step(Algorithm, "always", torch.device("cpu"))[0], 200)


def test_mixed_precision_changes_the_losses_by_little_and_the_types_by_nothing(make):
    full, mixed = make([0, 1], dtype=torch.float32), make([0, 1], dtype=torch.float32, mixed=True)
    full.advance(0, 50)
    mixed.advance(0, 50)
    assert not torch.equal(full.totals, mixed.totals)
    torch.testing.assert_close(mixed.totals, full.totals, rtol=0.02, atol=0)
    assert {value.dtype for value in mixed.algorithm.state().values()} == {torch.float32, torch.int64}


def test_extreme_inputs_stay_finite(make):
    g = make([0], scale=1e3)
    g.advance(0, 50)
    assert all(bool(value.isfinite().all()) for value in g.algorithm.state().values())


@pytest.mark.parametrize("make", IMITATING, ids=called, indirect=True)
def test_learns_the_action_that_the_data_always_take(make):
    g = make([0, 1], learning_rate=1e-2)
    g.advance(0, 300)
    everything = g.data.batch(torch.arange(len(g.data)).expand(2, -1))
    states, actions = everything.observations, everything.actions
    if isinstance(everything, SequenceBatch):  # a policy with a memory is asked for the first step of an episode
        states, actions = states[:, :, 0], actions[:, :, 0]
    error = g.algorithm.act(states) - actions
    # Rewards are noise, so imitation has no reason to leave the data; their standard deviation is 0.5 a dimension.
    assert float(error.abs().mean()) < 0.12


def test_state_of_another_shape_is_refused(make):
    g = make([0])
    state = g.algorithm.state()
    name = next(name for name, value in state.items() if value.dim() == 3)
    with pytest.raises(ValueError, match="would be right"):
        g.algorithm.restore(state | {name: torch.zeros(1, 1, 1)})
    with pytest.raises(ValueError, match="differs in"):
        g.algorithm.restore({})
