import numpy as np
import pytest
from golden import Trace, check_weights, load

from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.iql import IQL, IQLConfig

SIZES = Sizes(observation=6, action=3)


def replay(algorithm, trace: Trace) -> dict[str, np.ndarray]:
    """Losses (steps,) of each metric over the whole trace."""
    rows = [
        {name: float(value) for name, value in algorithm.update(trace.batch(i)).items()} for i in range(trace.steps)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", ["iql", "iql_deterministic"])
def test_iql_replays_the_reference(name):
    trace = Trace(name)
    c = trace.config
    config = IQLConfig(
        expectile=c["expectile"],
        beta=c["beta"],
        discount=c["discount"],
        polyak=c["polyak"],
        learning_rate=c["lr"],
        hidden=tuple(c["hidden"]),
        actor="deterministic" if c["deterministic_actor"] else "gaussian",
        log_std_range=tuple(c["log_std_clip"]),
    )
    algorithm = IQL(config, SIZES, seeds=[0], total=c["cosine_actor_lr_steps"])
    networks = {
        "critic": ("q1", "q2"),
        "target_critic": ("q1_target", "q2_target"),
        "value": ("v",),
        "actor": ("actor",),
    }
    for network, recorded in networks.items():
        load(algorithm, network, trace.parameters("init", *recorded))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["value_loss"], trace.metric("value_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["critic_loss"], trace.metric("q_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    for network, recorded in networks.items():
        check_weights(algorithm, network, trace.parameters("final", *recorded))


def test_bc_replays_the_reference():
    trace = Trace("bc")
    config = BCConfig(hidden=tuple(trace.config["hidden"]), learning_rate=trace.config["lr"])
    algorithm = BC(config, SIZES, seeds=[0], total=trace.steps)
    load(algorithm, "actor", trace.parameters("init", "actor"))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    check_weights(algorithm, "actor", trace.parameters("final", "actor"))
