import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.behaviours import ladder as module
from offbench.behaviours.ladder import Ladder, Measured, Rung, ladder, read_rung, write_ladder, write_rung
from offbench.errors import DataError, OffbenchError, UnknownNameError

LOW, HIGH = np.array([-1.0, -2.0], np.float32), np.array([1.0, 2.0], np.float32)


def rung(name, mean):
    return Rung(
        name=name,
        updates=1,
        transitions=4,
        sampled=Measured(mean=mean, standard_error=1.0, length=10, episodes=5),
    )


def actor(seed=0, sizes=(3, 8, 8, 4)):
    generator = np.random.default_rng(seed)
    parameters = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        parameters[f"layer{i}.weight"] = generator.normal(size=(fan_in, fan_out)).astype(np.float32)
        parameters[f"layer{i}.bias"] = generator.normal(size=(1, fan_out)).astype(np.float32)
    return parameters


def test_medium_is_the_rung_nearest_a_third_of_the_expert_on_the_way_up():
    found = Ladder(
        task="t", trained="", rungs=[rung("a", -10), rung("b", 900), rung("c", 1300), rung("d", 3000), rung("e", 1000)]
    )
    assert found.expert.name == "d"
    assert found.medium.name == "b"  # e is as near as can be, but comes after the expert
    assert [each.name for each in found.up_to("medium")] == ["a", "b"]
    assert found.rung("expert") is found.expert
    with pytest.raises(UnknownNameError, match="medium"):
        found.rung("mediun")


def test_a_rung_acts_as_the_network_that_was_kept(tmp_path):
    parameters = {name: value.astype(np.float16).astype(np.float32) for name, value in actor().items()}
    write_rung(tmp_path / "r.safetensors", parameters, "t")
    observations = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    hidden = observations
    for i in range(2):
        hidden = np.maximum(hidden @ parameters[f"layer{i}.weight"] + parameters[f"layer{i}.bias"], 0)
    mean = (hidden @ parameters["layer2.weight"] + parameters["layer2.bias"])[:, :2]
    np.testing.assert_allclose(
        read_rung(tmp_path / "r.safetensors", LOW, HIGH).act(observations), HIGH * np.tanh(mean), rtol=1e-5, atol=1e-6
    )


def test_a_rung_that_samples_has_the_heads_in_order(tmp_path):
    parameters = {name: 0 * value for name, value in actor().items()}
    parameters["layer2.bias"][0] = [0.5, -0.5, np.log(0.1), np.log(0.2)]
    write_rung(tmp_path / "r.safetensors", parameters, "t")
    policy = read_rung(tmp_path / "r.safetensors", LOW, HIGH, seeds=range(4000))
    before = np.arctanh(policy.act(np.zeros((4000, 3))) / HIGH)
    np.testing.assert_allclose(before.mean(axis=0), [0.5, -0.5], atol=5 * 0.2 / 4000**0.5)
    np.testing.assert_allclose(before.std(axis=0), [0.1, 0.2], rtol=5 / 8000**0.5)


def test_a_ladder_survives_its_file(tmp_path):
    found = Ladder(task="t", trained="somehow", rungs=[rung("a", 1.5), rung("b", 2.5)])
    write_ladder(found, tmp_path)
    assert ladder("t", tmp_path) == found


def test_what_is_no_ladder_is_refused(tmp_path, monkeypatch):
    with pytest.raises(OffbenchError, match="no behaviours of task nowhere"):
        ladder("nowhere")
    (tmp_path / "ladder.json").write_text(json.dumps({"task": "t", "trained": "", "rungs": [{"name": "../x"}]}))
    with pytest.raises(OffbenchError, match=r"rungs\.0\.name"):
        ladder("t", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("layer1.bias"), "no policy|no layers"),
        (lambda p: p.update({"layer1.bias": np.zeros(8, np.float32)}), "no layers"),
        (lambda p: p.update({"layer0.weight": np.full((3, 8), np.inf, np.float32)}), "finite"),
        (lambda p: p.update({"layer1.weight": np.zeros((5, 8), np.float32)}), "layer 1"),
    ],
)
def test_broken_layers_are_refused(tmp_path, change, message):
    parameters = actor()
    change(parameters)
    with np.errstate(over="ignore"):
        write_rung(tmp_path / "r.safetensors", parameters, "t")
    with pytest.raises(OffbenchError, match=message):
        read_rung(tmp_path / "r.safetensors", LOW, HIGH)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_rung_is_refused_or_acts(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("rung") / "r.safetensors"
    write_rung(path, actor(), "t")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else content)
    try:
        policy = read_rung(path, LOW, HIGH)
    except (DataError, OffbenchError):
        return
    with np.errstate(all="ignore"):
        assert policy.act(np.ones((2, 3))).shape == (2, 2)


@pytest.mark.parametrize("name", module.ladders())
def test_the_ladders_that_come_with_the_package_are_whole(name):
    found = ladder(name)
    assert found.task == name
    assert len({each.name for each in found.rungs}) == len(found.rungs)
    files = {path.stem for path in module.folder(name).glob("*.safetensors")}
    assert files == {each.name for each in found.rungs}
