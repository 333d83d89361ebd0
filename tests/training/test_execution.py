import pytest

from offbench.basis import compiler as compilation
from offbench.errors import OffbenchError
from offbench.training import execution
from offbench.training.execution import Cost, group_size, worth_compiling, worth_starting
from offbench.training.options import Options
from offbench.training.plan import Plan, ScalingPlan

PLAN = Plan(
    algorithm="iql",
    algorithm_digest="0" * 64,
    code_digest="0" * 64,
    config={},
    dataset="tiny",
    dataset_revision=0,
    dataset_digest="0" * 64,
    observation_size=1,
    action_size=1,
    transforms=[],
    scaling=ScalingPlan(mean=[0], std=[1], low=[-1], high=[1], reward_scale=1, reward_shift=0),
    task=None,
    seeds=[0, 1, 2, 3, 4],
    steps=1000,
    evaluate_every=100,
    episodes=1,
    log_every=10,
    dtype="float32",
    compiled=False,
    group_size=1,
    device="cpu",
)


def cost(update: float = 0.01, state: int = 4 * 2**20, updates: int = 5000) -> Cost:
    return Cost(update, state, updates)


@pytest.mark.parametrize(
    ("seeds", "workers", "expected"),
    # (seeds + groups * 0.35) / workers against size + 0.35, by hand: three seeds on two cores are better one by one,
    # seven in groups of three, three and one; on one core all seeds share what an update costs once.
    [(1, 2, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2), (5, 2, 2), (7, 2, 3), (8, 2, 4), (8, 1, 8), (8, 16, 1), (10, 4, 2)],
)
def test_eager_groups_leave_no_core_idle(seeds, workers, expected):
    assert group_size(cost(), seeds, compiled=False, device="cpu", workers=workers) == expected


@pytest.mark.parametrize(("seeds", "state", "workers", "expected"), [
    (8, 4 * 2**20, 2, 1),  # two seeds of 4 MB would not stay in the cache
    (8, 2**20, 2, 4),
    (7, 2**20, 2, 1),  # compiled groups are of equal size
    (8, 2**20, 1, 4),
    (6, 1000, 2, 3),
])  # fmt: skip
def test_compiled_groups_are_equal_and_fit_the_cache(seeds, state, workers, expected):
    assert group_size(cost(state=state), seeds, compiled=True, device="cpu", workers=workers) == expected


def test_on_a_gpu_all_seeds_are_one_batch():
    assert group_size(cost(), 64, compiled=True, device="cuda", workers=2) == 64


def test_auto_compiles_where_it_saves_more_than_it_costs(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: "/usr/bin/g++")
    short, long = cost(updates=100), cost(updates=10**6)
    assert not worth_compiling(short, 20.0, Options(), "cpu")
    assert worth_compiling(long, 20.0, Options(), "cpu")
    assert worth_compiling(cost(updates=3000), 5.0, Options(), "cpu")  # as once the code lies in the cache
    assert not worth_compiling(cost(updates=3000), 20.0, Options(), "cpu")
    assert worth_compiling(short, 20.0, Options(compile="always"), "cpu")
    assert not worth_compiling(long, 20.0, Options(compile="never"), "cpu")


def test_without_a_compiler_training_is_eager_and_says_so_when_insisted(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: None)
    assert not worth_compiling(cost(updates=10**9), 20.0, Options(), "cpu")
    with pytest.raises(OffbenchError, match=r"there is no C\+\+ compiler; install g\+\+"):
        worth_compiling(cost(), 20.0, Options(compile="always"), "cpu")


def test_workers_are_started_where_they_save_more_than_their_start():
    assert not worth_starting(5.0, 2)
    assert worth_starting(50.0, 2)
    assert not worth_starting(50.0, 1)


def test_as_many_workers_as_asked_for_or_cores_and_never_more_than_groups(monkeypatch):
    monkeypatch.setattr(execution, "default_workers", lambda: 4)
    slow, quick = cost(update=1.0), cost(update=1e-6)
    assert execution.workers_for(PLAN, slow, 0, Options()) == 4
    assert execution.workers_for(PLAN, quick, 0, Options()) == 0
    assert execution.workers_for(PLAN, quick, 0, Options(workers=2)) == 2
    assert execution.workers_for(PLAN, slow, 0, Options(workers=9)) == 5
    assert execution.workers_for(PLAN, slow, 999, Options(workers=1)) == 0
    assert execution.workers_for(PLAN, slow, 999, Options()) == 0  # five updates are left
    assert execution.workers_for(PLAN.model_copy(update={"device": "cuda"}), slow, 0, Options(workers=2)) == 0
    assert execution.fitting_workers(PLAN, 2, Options()) == 3
    assert execution.fitting_workers(PLAN, 4, Options()) == 0


def test_a_resumed_run_goes_on_in_its_groups_unless_asked_otherwise(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: "/usr/bin/g++")
    old = PLAN.model_copy(update={"group_size": 2, "compiled": True})

    def resumed(options=None, **changes):
        plan = execution.going_on(old, PLAN.model_copy(update=changes), options or Options())
        return plan.group_size, plan.compiled

    assert resumed() == (2, True)
    assert resumed(Options(group=1)) == (1, True)
    assert resumed(Options(compile="never")) == (2, False)
    assert resumed(device="cuda", group_size=5) == (5, False)
    monkeypatch.setattr(compilation, "compiler", lambda: None)
    assert resumed() == (2, False)
