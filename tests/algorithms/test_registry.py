import pytest

from offbench.algorithms import registry
from offbench.algorithms.iql import IQL
from offbench.errors import OffbenchError, UnknownNameError


def test_names_and_classes_are_found():
    assert registry.algorithm("iql") is IQL
    assert registry.algorithm("offbench.algorithms.iql:IQL") is IQL


def test_unknown_names_list_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no algorithm named 'iqll'; nearest: .*iql"):
        registry.algorithm("iqll")
    with pytest.raises(OffbenchError, match="cannot be imported"):
        registry.algorithm("nowhere:Nothing")
    with pytest.raises(OffbenchError, match="cannot be imported"):
        registry.algorithm(":Nothing")
    with pytest.raises(OffbenchError, match="is no algorithm"):
        registry.algorithm("offbench.algorithms.iql:IQLConfig")
    with pytest.raises(UnknownNameError, match="no hyperparameter of IQL named 'expectil'; nearest: expectile"):
        registry.configure(IQL, "x", {"expectil": 0.5})


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("d4rl/antmaze-large-play-v2", {"expectile": 0.9, "beta": 10.0, "reward_transform": "minus_one"}),
        ("d4rl/hopper-medium-v2", {"actor": "deterministic", "polyak": 0.001, "reward_transform": "return_range"}),
        ("d4rl/hopper-medium-expert-v2", {"expectile": 0.5, "beta": 6.0, "actor": "gaussian"}),
        ("d4rl/pen-human-v1", {"expectile": 0.8, "beta": 3.0, "dropout": 0.1}),
        ("d4rl/walker2d-medium-v2", {"expectile": 0.7, "beta": 3.0, "reward_transform": "none"}),
    ],
)
def test_presets_are_those_of_the_specification(dataset, expected):
    config = registry.configure(IQL, dataset, {})
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("td3_bc", "d4rl/antmaze-umaze-v2", {"alpha": 2.5, "reward_transform": "minus_one"}),
        ("td3_bc", "d4rl/hopper-medium-v2", {"alpha": 2.5, "reward_transform": "none"}),
        ("awac", "d4rl/walker2d-medium-v2", {"temperature": 1 / 3}),
        ("awac", "d4rl/maze2d-large-v1", {"temperature": 0.1, "reward_transform": "none"}),
        ("awac", "d4rl/antmaze-umaze-v2", {"temperature": 0.1, "reward_transform": "minus_one"}),
        ("cql", "d4rl/halfcheetah-medium-v2", {"conservatism": 10.0, "lagrange": False, "actor_learning_rate": 3e-5}),
        ("cql", "d4rl/hopper-medium-v2", {"reward_transform": "return_range", "normalise_states": True}),
        ("cql", "d4rl/maze2d-umaze-v1", {"lagrange": True, "target_gap": 5.0, "lowest_gap": None}),
        ("cql", "d4rl/antmaze-umaze-v2", {"target_gap": 0.8, "lowest_gap": -200.0, "max_target_backup": True}),
        ("cql", "d4rl/antmaze-large-play-v2", {"normalise_states": False, "reward_transform": "times_10_minus_5"}),
        ("cql", "d4rl/pen-human-v1", {"conservatism": 1.0, "actor_learning_rate": 1e-4}),
        ("sac_n", "d4rl/hopper-medium-v2", {"critics": 500}),
        ("sac_n", "d4rl/hopper-medium-expert-v2", {"critics": 200}),
        ("sac_n", "d4rl/walker2d-medium-replay-v2", {"critics": 20}),
        ("sac_n", "d4rl/antmaze-umaze-v2", {"critics": 25}),
        ("edac", "d4rl/halfcheetah-medium-v2", {"critics": 10, "diversity": 1.0}),
        ("edac", "d4rl/halfcheetah-medium-expert-v2", {"critics": 10, "diversity": 5.0}),
        ("edac", "d4rl/hopper-medium-replay-v2", {"critics": 50, "diversity": 1.0}),
        ("edac", "d4rl/maze2d-medium-v1", {"critics": 10, "diversity": 0.1}),
        ("edac", "d4rl/pen-human-v1", {"critics": 20, "diversity": 1000.0}),
        ("edac", "d4rl/pen-expert-v1", {"critics": 20, "diversity": 10.0}),
        ("edac", "d4rl/relocate-cloned-v1", {"critics": 50, "diversity": 200.0}),
        ("xql", "d4rl/walker2d-medium-v2", {"temperature": 2.0, "beta": 3.0, "reward_transform": "return_range"}),
        ("xql", "d4rl/antmaze-umaze-v0", {"temperature": 0.6, "beta": 10.0, "actor_schedule": "constant"}),
        ("xql", "d4rl/kitchen-mixed-v0", {"temperature": 5.0, "beta": 0.5, "dropout": 0.1}),
    ],
)
def test_presets_of_the_other_methods_are_those_of_the_specification(name, dataset, expected):
    config = registry.configure(registry.algorithm(name), dataset, {})
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("dataset", "pattern"),
    [
        ("d4rl/hopper-medium-v2", "hopper-medium-v*"),
        ("offbench/hopper/medium-v0", "hopper-medium-v*"),
        ("minari/mujoco/hopper/medium-v0", "hopper-medium-v*"),
        ("minari/D4RL/pen/human-v2", "pen-*"),
        ("offbench/hopper/medium-replay-v0", "hopper-medium-replay-v*"),
        ("offbench/pointmaze/crossing-v0", "crossing-v*"),
        ("offbench/pointmaze/medium-v0", None),
        ("minari/D4RL/pointmaze/umaze-v2", None),
        ("neorl2/RandomFrictionHopper", None),
        ("medium-v0", None),
        ("", None),
    ],
)
def test_a_family_shares_its_presets_however_its_ids_are_cut(dataset, pattern):
    found = registry.preset(IQL, dataset)
    assert pattern in (found.datasets if found else (None,))


def test_a_flag_beats_the_preset():
    assert registry.configure(IQL, "d4rl/antmaze-umaze-v2", {"expectile": 0.6}).expectile == 0.6


def test_every_preset_names_fields_of_its_config():
    for name in registry.OURS:
        found = registry.algorithm(name)
        for preset in found.presets:
            registry.configure(found, "x", dict(preset.values))
            assert preset.source
