"""Policies that are not what they seem: each is refused by playing it, or before, with the sentence that says why."""

import re

import numpy as np
import onnx
import pytest
from honest_entries import PENDULUM, SEEDS, Draft, edited, linear, model, record_of, tiny, weights_of
from onnx import TensorProto, helper

from offbench.environments.pendulum import PendulumSimulator
from offbench.environments.task import task
from offbench.evaluation.rollout import environment_seeds
from offbench.leaderboard.sandbox import Limits
from offbench.leaderboard.verification import Settings, verify

FEW = Limits(memory=2**29, processor_seconds=300, seconds=60)
W, B = weights_of(PENDULUM, 0)


def verdict(tmp_path, *changes, limits=FEW, episodes=24, start_seed=7):
    folder = edited(tmp_path / "entry", *changes, datasets=(PENDULUM,))
    return verify(folder, settings=Settings(episodes, start_seed, limits, tiny(PENDULUM)))


def policy(content, seed=0):
    return lambda draft: draft.policies.update({(PENDULUM, seed): content})


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs, outputs, **attributes)


def added(*nodes, weights=None, edits=()):
    """The honest policy of seed 0 plus 0 times the output ``extra`` of further nodes."""
    every = [node("MatMul", ["observations", "W"], ["p"]), node("Add", ["p", "b"], ["q"]), *nodes]
    every += [node("Mul", ["extra", "zero"], ["nothing"]), node("Add", ["q", "nothing"], ["actions"])]
    arrays = {"W": np.float32(W), "b": np.float32(B), "zero": np.float32(0), **(weights or {})}
    return model(every, arrays, edits=edits)


def filled(name, *shape, number=1.0):
    """Nodes that make an array of any size out of nothing."""
    return node("ConstantOfShape", [name], ["filled"], value=onnx.numpy_helper.from_array(np.float32([number]))), {
        name: np.int64(shape)
    }


def much_memory():
    made, shape = filled("shape", 50 * 2**28)  # 50 GiB of float32
    return added(made, node("ReduceMax", ["filled"], ["extra"], keepdims=0), weights=shape)


def much_time():
    made, shape = filled("shape", 4000, 4000, number=1e-4)
    products = [node("MatMul", ["filled" if i == 0 else f"p{i}", "filled"], [f"p{i + 1}"]) for i in range(200)]
    return added(made, *products, node("ReduceMax", ["p200"], ["extra"], keepdims=0), weights=shape)


def external(made):
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def sparse_elsewhere():
    """A constant whose numbers are here and whose places lie in another file."""
    values, indices = (onnx.numpy_helper.from_array(np.asarray(a)) for a in (np.float32([1]), np.int64([0])))
    indices.data_location = TensorProto.EXTERNAL
    return node("Constant", [], ["extra"], sparse_value=helper.make_sparse_tensor(values, indices, [1]))


def sparse_weights(made):
    made.graph.sparse_initializer.add().indices.data_location = TensorProto.EXTERNAL


def remembering(*parts):
    """A policy that says it remembers arrays of these shapes."""
    made = onnx.load_model_from_string(model([node("Identity", ["memory.m"], ["next_memory.m"])], {}, memory=1))
    for values in (made.graph.input, made.graph.output):
        first = values.pop()
        for number, shape in enumerate(parts):
            name = first.name + str(number)
            values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["environments", *shape]))
    return made.SerializeToString()


def loop():
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    return added(
        node("Loop", ["", "true"], [], body=body), node("Abs", ["zero"], ["extra"]), weights={"true": np.bool_(True)}
    )


def function(made):
    made.functions.add(name="f", domain="")


def after_steps():
    """The honest policy for ten steps, and its opposite afterwards; the memory counts them."""
    nodes = [
        node("Not", ["begins"], ["goes_on"]),
        node("Cast", ["goes_on"], ["alive"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["alive", "axis"], ["column"]),
        node("Mul", ["memory.m", "column"], ["kept"]),
        node("Add", ["kept", "one"], ["next_memory.m"]),
        node("Greater", ["next_memory.m", "ten"], ["late"]),
        node("MatMul", ["observations", "W"], ["p"]),
        node("Add", ["p", "b"], ["honest"]),
        node("Neg", ["honest"], ["opposite"]),
        node("Where", ["late", "opposite", "honest"], ["actions"]),
    ]
    numbers = {"one": np.float32(1), "ten": np.float32(10), "axis": np.int64([1])}
    return model(nodes, {"W": np.float32(W), "b": np.float32(B), **numbers}, memory=1)


def by_heart(good, bad, starts):
    """The good policy in episodes that begin at known starts, the bad one in all others."""
    nodes = [
        node("Unsqueeze", ["observations", "axis"], ["rows"]),
        node("Sub", ["rows", "starts"], ["differences"]),
        node("Abs", ["differences"], ["sizes"]),
        node("ReduceMax", ["sizes", "last"], ["far"], keepdims=0),
        node("ReduceMin", ["far", "axis"], ["nearest"], keepdims=1),
        node("Less", ["nearest", "near"], ["is_known"]),
        node("Cast", ["is_known"], ["known"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["begins", "axis"], ["column"]),
        node("Where", ["column", "known", "memory.m"], ["next_memory.m"]),
        node("Greater", ["next_memory.m", "half"], ["knows"]),
        *(node("MatMul", ["observations", f"W{i}"], [f"p{i}"]) for i in range(2)),
        *(node("Add", [f"p{i}", f"b{i}"], [f"a{i}"]) for i in range(2)),
        node("Where", ["knows", "a0", "a1"], ["actions"]),
    ]
    numbers = {"axis": np.int64([1]), "last": np.int64([2]), "near": np.float32(1e-5), "half": np.float32(0.5)}
    weights = {"W0": good[0], "b0": good[1], "W1": bad[0], "b1": bad[1], "starts": starts[None]}
    return model(nodes, {name: np.float32(array) for name, array in weights.items()} | numbers, memory=1)


def test_the_honest_entry_is_re_evaluated_in_a_sandbox(tmp_path):
    found = verdict(tmp_path)
    assert found.accepted, found.refusals
    assert found.level == "re-evaluated"
    (each,) = found.remeasured
    assert (each.seeds, each.episodes, found.start_seed) == (SEEDS, 24, 7)
    assert each.replayed == pytest.approx(each.claimed, abs=1e-3)
    assert any("memory" in one for one in found.protections)


def swapped(draft: Draft) -> None:
    one, other = (PENDULUM, 0), (PENDULUM, 1)
    draft.policies[one], draft.policies[other] = draft.policies[other], draft.policies[one]


def better(points):
    """Claims that are so many points of score higher than what was earned."""

    def change(draft: Draft) -> None:
        for seed in range(SEEDS):
            values = np.array(draft.last(seed=seed)["returns"])
            draft.last(seed=seed)["returns"] = np.minimum(values + points * 10.85, -0.5).tolist()

    return change


PLAYED = {
    "edited returns": (better(5), "earns what its record says in 0% of the episodes"),
    "swapped policies": (swapped, "it is not the one that was scored, or the record was changed"),
    "another policy after ten steps": (policy(after_steps()), "it is not the one that was scored"),
    "NaN": (policy(linear(W, B * np.nan)), "gave actions that are not finite"),
    "50 GiB": (policy(much_memory()), "needs more memory than the 512 MiB that it has"),
}
UNSEEN = {
    "custom operator": (added(node("Evil", ["zero"], ["extra"], domain="com.evil")), r"the operator Evil of com\.evil"),
    "custom domain": (
        linear(W, B, opsets=[helper.make_opsetid("", 20), helper.make_opsetid("evil", 1)]),
        "operators of evil",
    ),
    "old opset": (linear(W, B, opsets=[helper.make_opsetid("", 7)]), "uses opset 7; 13 to 23"),
    "loop": (loop(), "the operator Loop; a policy needs no loops"),
    "random numbers": (added(node("RandomNormal", [], ["extra"], shape=[1])), "the operator RandomNormal"),
    "external data": (linear(W, B, edits=[external]), "keeps weights in another file, which is not read"),
    "functions": (linear(W, B, edits=[function]), "defines functions of its own"),
    "metadata": (
        linear(W, B, edits=[lambda m: m.metadata_props.add(key="ort_config", value="{}")]),
        "carries metadata",
    ),
    "texts": (added(node("Abs", ["zero"], ["extra"]), weights={"s": np.array(["x"])}), "holds texts"),
    "a size that is not there": (
        linear(W, B, edits=[lambda m: m.graph.initializer[0].dims.extend([2**40])]),
        "which its file does not hold",
    ),
    "more sizes than an array has": (
        linear(W, B, edits=[lambda m: m.graph.initializer[0].dims.extend([2**62] * 300)]),
        "has a tensor of 302 axes; at most 8",
    ),
    "two negative sizes": (
        linear(W, B, edits=[lambda m: m.graph.initializer[0].dims.extend([-1, -1])]),
        "which its file does not hold",
    ),
    "external data in a sparse constant": (added(sparse_elsewhere()), "keeps weights in another file"),
    "external data in sparse weights": (linear(W, B, edits=[sparse_weights]), "keeps weights in another file"),
    "another task's sizes": (
        linear(np.ones((4, 2)), np.ones(2)),
        r"has observations of type float32 and shape \(environments, 4\)",
    ),
    "other inputs": (
        linear(W, B, edits=[lambda m: setattr(m.graph.input[0], "name", "x")]),
        r"maps \['x'\] to \['actions'\]",
    ),
    "endless memory": (
        model([node("Identity", ["memory.m"], ["next_memory.m"])], {}, memory=2**21),
        "without a fixed size",
    ),
    "memory of many axes": (remembering([1] * 70), "that is no array of numbers"),
    "memory of a negative size": (remembering([-1]), "without a fixed size"),
    "memory of many parts": (remembering([2**16], [2**16 + 1]), "together has at most"),
    "millions of operators": (b"\x3a\x80\x80\x80\x02" + b"\x0a\x00" * 2**21, "bytes besides its numbers; no policy"),
    "no graph": (b"", "is no ONNX model"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_policy_outside_of_the_profile_never_reaches_the_runtime(name, tmp_path, monkeypatch):
    monkeypatch.setattr("offbench.leaderboard.remeasuring.Sandbox", None)
    content, sentence = UNSEEN[name]
    found = verdict(tmp_path, policy(content))
    assert re.search(sentence, found.refusals[0].message), found.refusals
    assert found.level == "self-reported"


@pytest.mark.parametrize("name", PLAYED)
def test_a_policy_that_is_not_the_one_that_was_scored_is_refused(name, tmp_path):
    change, sentence = PLAYED[name]
    found = verdict(tmp_path, change)
    assert re.search(sentence, found.refusals[0].message), found.refusals
    assert found.level == "self-reported"


def test_a_policy_that_sleeps_is_ended(tmp_path):
    found = verdict(tmp_path, policy(much_time()), limits=Limits(memory=2**30, seconds=3.0))
    assert "took more than 3 seconds for one step" in found.refusals[0].message


def test_a_policy_that_knows_the_starts_by_heart_is_found_on_fresh_ones(tmp_path):
    """It earns again what the records say, from the same starts, and something else from those drawn afterwards."""
    pumping, still = (np.array([[0.0], [0.0], [2.0]]), np.zeros(1)), (np.zeros((3, 1)), np.zeros(1))

    def change(draft: Draft) -> None:
        for seed in range(SEEDS):
            simulator = PendulumSimulator(task("pendulum"), 12)
            starts = simulator.reset(environment_seeds(seed, 0, 12))
            good = (pumping[0] + 0.1 * seed, pumping[1])
            content = by_heart(good, still, starts)
            draft.policies[PENDULUM, seed] = content
            draft.records[PENDULUM, seed] = record_of(PENDULUM, seed, content).model_dump(mode="json")

    found = verdict(tmp_path, change, episodes=100)
    (each,) = found.remeasured
    assert each.replayed == pytest.approx(each.claimed, abs=1e-3)
    assert abs(each.measured - each.claimed) > 5 * each.standard_error
    assert "starts drawn afterwards" in found.refusals[0].message


def test_nothing_is_played_where_numbers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("offbench.leaderboard.remeasuring.Sandbox", None)
    found = verdict(tmp_path, lambda draft: draft.last().update(environment_seeds=list(range(12))))
    assert not found.accepted
    assert not found.remeasured


@pytest.mark.slow
@pytest.mark.parametrize("start_seed", range(8))
def test_the_honest_entry_is_accepted_whatever_starts_are_drawn(start_seed, tmp_path):
    """A false alarm would come about once in a hundred of these."""
    found = verdict(tmp_path, episodes=48, start_seed=start_seed)
    assert found.accepted, found.refusals
