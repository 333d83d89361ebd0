"""ONNX files act as the policies that they were written from, in the environment's units."""

import functools
import sys

import numpy as np
import pytest
import torch

from offbench.algorithms import registry
from offbench.conformance.subject import Subject
from offbench.data.scaling import Scaling
from offbench.errors import OffbenchError
from offbench.training.export import OnnxPolicy, largest_difference, to_onnx, write_onnx
from offbench.training.group import GroupPolicy

SCALING = Scaling(
    mean=np.array([1, -2, 3], np.float32),
    std=np.array([0.5, 2, 1], np.float32),
    low=np.array([-1, 0], np.float32),
    high=np.array([3, 5], np.float32),
)


CHANGES = {"rvs": {"condition": "sum"}, "dt": {"episode_limit": 40}}


def trained(name, seed=3):
    subject = Subject(registry.algorithm(name), CHANGES.get(name, {}))
    return subject.trained([seed], 20, dtype=torch.float32).algorithm


@functools.cache
def exported(name, seed=3):
    """The file of `trained`; writing one takes seconds."""
    return to_onnx(trained(name, seed), SCALING)


@pytest.mark.parametrize("name", ["td3_bc", "rvs", "dt"])
def test_acts_as_the_policy_in_episodes_of_any_number(name):
    algorithm, theirs = trained(name), OnnxPolicy(exported(name))
    generator = np.random.default_rng(0)
    for environments in (1, 4):  # one file serves any number
        ours = GroupPolicy([algorithm], SCALING)
        begins = np.ones(environments, bool)
        for _ in range(12):
            ours.reset(begins)
            theirs.reset(begins)
            observations = generator.normal(size=(environments, 3)).astype(np.float32)
            acted = ours.act(observations)
            assert acted.min() >= -1
            np.testing.assert_allclose(theirs.act(observations), acted, atol=1e-5)
            rewards = generator.normal(size=environments).astype(np.float32)
            ours.observe(rewards)
            theirs.observe(rewards)
            begins = generator.uniform(size=environments) < 0.3


def test_a_file_holds_no_folder_of_this_machine_and_no_code(tmp_path):
    import onnx

    content = exported("dt")
    assert b"offbench/" not in content
    assert b".py" not in content
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    assert {opset.domain for opset in model.opset_import} <= {""}
    assert not model.functions


def test_a_file_that_acts_otherwise_is_noticed():
    assert largest_difference(exported("bc"), trained("bc"), SCALING) < 1e-5
    assert largest_difference(exported("bc"), trained("bc", seed=4), SCALING) > 0.01


def test_writing(tmp_path, monkeypatch):
    algorithm = trained("bc")
    write_onnx(algorithm, SCALING, tmp_path / "policy.onnx")
    assert OnnxPolicy((tmp_path / "policy.onnx").read_bytes()).act(np.zeros((2, 3))).shape == (2, 2)
    with pytest.raises(OffbenchError, match="exists"):
        write_onnx(algorithm, SCALING, tmp_path / "policy.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(OffbenchError, match=r"ONNX files need .*pip install 'offbench\[onnx\]'"):
        write_onnx(algorithm, SCALING, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_several_seeds_are_refused():
    algorithm = Subject(registry.algorithm("bc")).group([0, 1], dtype=torch.float32).algorithm
    with pytest.raises(OffbenchError, match="holds the policy of one seed, not of 2"):
        to_onnx(algorithm, SCALING)


def foreign(name: str, shape: int = 2) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", shape])
    made = helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["n", shape])
    graph = helper.make_graph([helper.make_node("Tanh", [name], ["actions"])], "policy", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def test_foreign_files():
    np.testing.assert_allclose(OnnxPolicy(foreign("observations")).act(np.ones((3, 2))), np.tanh(1), rtol=1e-6)
    with pytest.raises(OffbenchError, match=r"maps \['obs'\] to \['actions'\]; a policy maps \['observations'\]"):
        OnnxPolicy(foreign("obs"))
    for content in (b"", b"not a model", foreign("observations")[:-30]):
        with pytest.raises(OffbenchError, match="no ONNX model that can be run"):
            OnnxPolicy(content)


def test_acting_before_a_reset_is_refused():
    policy = OnnxPolicy(exported("rvs"))
    with pytest.raises(OffbenchError, match=r"call reset\(mask\) first"):
        policy.act(np.zeros((2, 3)))
