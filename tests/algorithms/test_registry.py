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


def test_a_flag_beats_the_preset():
    assert registry.configure(IQL, "d4rl/antmaze-umaze-v2", {"expectile": 0.6}).expectile == 0.6


def test_every_preset_names_fields_of_its_config():
    for name in registry.OURS:
        found = registry.algorithm(name)
        for preset in found.presets:
            registry.configure(found, "x", dict(preset.values))
            assert preset.source
