"""Shapes are checked at run time in these tests, wherever a function says them, and never in a user's run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import shape_checks
import torch
from jaxtyping import TypeCheckError

import offbench
from offbench.algorithms.base import Sizes
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.conformance.toys import toy
from offbench.data.sequences import Sequences
from offbench.data.transitions import Transitions
from offbench.nn.mlp import MLP

SEEDS, BATCH = 3, 5
PACKAGE = Path(offbench.__file__).parent
MODULES = [path for name in shape_checks.CHECKED for path in sorted((PACKAGE / name.split(".")[1]).rglob("*.py"))]


def swapped(batch):
    """With the axes of seeds and batch in each other's place."""
    return batch._replace(
        **{name: part.transpose(0, 1) for name, part in batch._asdict().items() if torch.is_tensor(part)}
    )


def indices(view):
    return torch.randint(len(view), (SEEDS, BATCH), generator=torch.Generator().manual_seed(0))


def iql(kind=IQL):
    return kind(IQLConfig(hidden=(8, 8), batch_size=BATCH), Sizes(3, 2), range(SEEDS), 100)


@pytest.mark.parametrize("view", [Transitions, Sequences])
def test_a_batch_of_a_view_with_an_axis_swapped_is_caught(view):
    batch = view(toy()).batch(indices(view(toy())))
    kind = type(batch)
    with pytest.raises(TypeCheckError, match=r"Batch.__new__.\n.*parameter 'rewards'"):
        kind(**batch._asdict() | {"rewards": batch.rewards.transpose(0, 1)})
    with pytest.raises(TypeCheckError, match="parameter 'indices'"):
        view(toy()).batch(indices(view(toy()))[0])


def test_inputs_of_a_layer_with_an_axis_swapped_are_caught():
    network = MLP(3, (8,), 2)
    parameters = network.initialise(range(SEEDS), "network")
    inputs = torch.zeros(SEEDS, BATCH, 3, dtype=torch.float64)
    assert network(parameters, inputs).shape == (SEEDS, BATCH, 2)
    with pytest.raises(TypeCheckError, match=r"MLP.__call__.\n.*parameter 'inputs'"):
        network(parameters, inputs.transpose(0, 1))


def test_a_batch_of_a_loss_with_its_axes_swapped_is_caught():
    algorithm, view = iql(), Transitions(toy())
    batch = view.batch(indices(view))
    assert algorithm.losses(algorithm.networks, batch)["critic_loss"].shape == (SEEDS,)
    with pytest.raises(TypeCheckError, match="parameter 'inputs'"):
        algorithm.losses(algorithm.networks, swapped(batch))


class AveragesOverSeeds(IQL):
    """A loss that torch adds up without complaint: one number for each of the batch, instead of for each seed."""

    def losses(self, networks, batch):
        error = self.actor.mean(networks["actor"], batch.observations) - batch.actions
        return {"actor_loss": (error**2).mean((0, 2))}

    def update(self, batch):
        return self.descend(self.losses, ["actor"], batch)


def test_a_loss_that_averages_over_the_wrong_axis_is_caught():
    algorithm, view = iql(AveragesOverSeeds), Transitions(toy())
    with pytest.raises(TypeCheckError, match=r"return value of offbench\.algorithms\.base\.Algorithm\._summed"):
        algorithm.update(view.batch(indices(view)))


def annotated(tree: ast.AST, above: str = "") -> Iterator[tuple[str, set[str]]]:
    """Qualified names of the functions of a module, and which of their arguments say a shape in so many words."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from annotated(node, f"{above}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            hints = {a.arg: a.annotation for a in [*node.args.args, *node.args.kwonlyargs]} | {"return": node.returns}
            yield above + node.name, {name for name, hint in hints.items() if hint is not None and says_shape(hint)}


def says_shape(hint: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id in shape_checks.KINDS for node in ast.walk(hint))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_shape_that_is_written_is_checked(path):
    # The hook passes over an annotation that it cannot resolve, without a word.
    module = f"offbench.{path.parent.name}.{path.stem}"
    import_module(module)
    for name, arguments in annotated(ast.parse(path.read_text())):
        assert arguments <= shape_checks.found.get((module, name), set()), f"{module}.{name}"


USER = """
import sys, torch
import offbench.training.run
from offbench.data.transitions import Batch
from offbench.nn.mlp import MLP
assert "beartype" not in sys.modules
assert not hasattr(MLP.__call__, "__wrapped__")
one = torch.zeros(1)
assert Batch(one, one, torch.zeros(2, 2), one, one).rewards.shape == (2, 2)
"""


def test_a_users_run_checks_nothing():
    subprocess.run([sys.executable, "-c", USER], check=True)


LOOKING = """
import sys
import offbench.catalog.loading, offbench.generation.recipes, offbench.report.table
assert not {"jaxtyping", "torch"} & set(sys.modules)
"""


def test_data_and_tables_take_no_time_for_shapes():
    subprocess.run([sys.executable, "-c", LOOKING], check=True)
