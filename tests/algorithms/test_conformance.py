"""Every algorithm of ours, in several of its settings, passes what ``offbench check`` asks of everybody's."""

import pytest
import torch

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm
from offbench.basis.compiler import compiler
from offbench.conformance.check import NotCheckedError
from offbench.conformance.checks import CHECKS, compiled_equals_eager, compiling, exporting, learning
from offbench.conformance.subject import Subject

ALGORITHMS = sorted(registry.OURS)
VARIANTS = [(name, {}) for name in ALGORITHMS] + [
    ("cql", {"lagrange": True, "target_gap": 1.0, "lowest_gap": -10.0, "max_target_backup": True}),
    ("iql", {"actor": "deterministic", "initialisation": "orthogonal"}),
    ("iql", {"dropout": 0.2}),
    ("cpl", {"objective": "cpl_kl", "dropout": 0.25, "bc_share": 0.01}),
    ("oppo", {"dropout": 0.1, "state_noise": 0.1, "norm_bound": "upper", "context": 6, "times": "window"}),
    ("dt", {"warmup": 50, "dropout": 0.1}),
    ("mopo", {"dynamics_members": 1, "critic_smoothing": 0.5, "critic_norm": 2.0}),
    ("rvs", {"actor": "deterministic", "condition": "sum", "dropout": 0.2}),
]
# Generating code takes half a minute each: the fast tests do it for one that has noise and masks, in a small network.
COMPILED = [("rvs", {"hidden": (32,), "dropout": 0.2})]
# Tracing takes up to ten seconds. One of each kind of update: a transformer, a gradient within the loss, several
# networks in turn, imagined rows, updates of two kinds. The slow tests compile them all, as one graph too.
TRACED = [(name, {}) for name in ("dt", "edac", "iql", "mopo", "td3_bc")]
# What learns the toy in 200 to 300 updates at higher rates than those of the check, at which it takes up to 800. Only
# ravl takes 800 at either, and is asked by the slow tests alone; its updates are tested to be edac's.
FASTER = ("combo", "edac", "mobile", "mopo", "sac_n")
# These act by a policy that awac, iql or sac_n has, too, and that is exported with them.
ACTS_AS_ANOTHER = {"combo", "cpl", "cql", "edac", "ipl", "mobile", "mopo", "ravl", "xql"}
# What only imitates does not bootstrap, and says so.
SILENT = {
    "bc": {"truncations"},
    "cpl": {"truncations"},
    "oppo": {"terminations", "truncations"},
    **{name: {"terminations", "truncations"} for name in ("dt", "mbrcsl", "rvs")},
}
EAGER = [check for check in CHECKS if check.run is not compiling]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")


def called(variant):
    name, changes = variant
    return "-".join([name, *changes])


@pytest.fixture(params=VARIANTS, ids=called)
def subject(request) -> Subject:
    """An algorithm with one set of hyperparameters."""
    name, changes = request.param
    return Subject(registry.algorithm(name), changes)


def asked(variant, check):
    """A check of a variant; what of it is slow has one of its kind, or itself at another rate, in the fast tests."""
    name, changes = variant
    another = check.run is exporting and (
        name in ACTS_AS_ANOTHER
        or changes.keys() & {"warmup", "state_noise", "objective"}
        or changes == {"dropout": 0.2}
    )
    marks = [pytest.mark.slow] if another or (check.run is learning and name in (*FASTER, "ravl")) else []
    return pytest.param(variant, check, id=f"{called(variant)}-{check.name}", marks=marks)


@pytest.mark.parametrize(
    ("subject", "check"), [asked(variant, check) for variant in VARIANTS for check in EAGER], indirect=["subject"]
)
def test_passes(subject, check, request):
    name = request.node.callspec.params["subject"][0]
    if check.name in SILENT.get(name, ()):
        with pytest.raises(NotCheckedError, match="does not bootstrap"):
            check.run(subject)
    else:
        check.run(subject)


@pytest.mark.parametrize("name", FASTER)
def test_learns(name):
    fields = Subject(registry.algorithm(name)).fields
    rates = {rate: 1e-2 for rate in fields if rate.endswith("learning_rate") and not rate.startswith("dynamics")}
    learning(Subject(registry.algorithm(name), rates | {"polyak": 0.05}))


@pytest.mark.parametrize("subject", TRACED, ids=called, indirect=True)
def test_an_update_is_one_graph_that_does_the_same(subject):
    with torch._dynamo.config.patch(recompile_limit=256):
        compiled_equals_eager(subject, torch.compile(Algorithm.step, fullgraph=True, backend="eager"), 4)


@needs_compiler
@pytest.mark.parametrize("subject", COMPILED, ids=called, indirect=True)
def test_compiled_equals_eager(subject):
    compiling(subject)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("subject", VARIANTS, ids=called, indirect=True)
def test_compiled_equals_eager_for_all(subject):
    compiling(subject)


def test_mixed_precision_changes_the_losses_by_little_and_the_types_by_nothing(subject):
    full, mixed = (subject.trained([0, 1], 10, dtype=torch.float32, mixed=mixed) for mixed in (False, True))
    assert not torch.equal(full.totals, mixed.totals)
    losses = [row for row, name in enumerate(full.algorithm.metrics) if name != "q"]  # which passes through zero
    torch.testing.assert_close(mixed.totals[losses], full.totals[losses], rtol=0.02, atol=0)
    assert {value.dtype for value in mixed.algorithm.state().values()} == {torch.float32, torch.int64}


def test_state_of_another_shape_is_refused(subject):
    algorithm = subject.group([0]).algorithm
    state = algorithm.state()
    name = next(name for name, value in state.items() if value.dim() == 3)
    with pytest.raises(ValueError, match="would be right"):
        algorithm.restore(state | {name: torch.zeros(1, 1, 1)})
    with pytest.raises(ValueError, match="differs in"):
        algorithm.restore({})
