import dataclasses
import hashlib
import linecache
import sys
import types
from abc import abstractmethod
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from offbench.algorithms import names, registry
from offbench.algorithms.iql import IQL
from offbench.catalog.cards import cards
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
        ("d4rl/pen-human-v1", "pen-*"),
        ("offbench/pointmaze/crossing-v0", "crossing-v*"),
        # CORL trained on other versions, on fewer mazes, and on no environment of others.
        ("d4rl/hopper-medium-v0", None),
        ("d4rl/antmaze-umaze-v0", None),
        ("d4rl/pen-human-v0", None),
        ("minari/mujoco/hopper/medium-v0", None),
        ("minari/D4RL/pen/human-v2", None),
        ("ogbench/antmaze-large-navigate-v0", None),
        ("ogbench/antmaze-large-navigate-singletask-v0", None),
        ("antmaze-umaze-v2", None),
        ("offbench/pointmaze/medium-v0", None),
        ("minari/D4RL/pointmaze/umaze-v2", None),
        ("neorl2/RandomFrictionHopper", None),
        ("medium-v0", None),
        ("", None),
    ],
)
def test_only_what_a_source_trained_on_has_its_presets(dataset, pattern):
    found = registry.preset(IQL, dataset)
    assert pattern in (found.datasets if found else (None,))


def test_every_preset_of_d4rl_serves_a_dataset_that_has_a_card():
    for name in registry.OURS:
        found = registry.algorithm(name)
        served = [registry.preset(found, card) for card in cards()]
        assert all(each in served for each in found.presets), name


def test_mazes_that_corl_did_not_train_on_have_no_preset():
    for dataset in ("d4rl/maze2d-umaze-dense-v1", "d4rl/maze2d-open-v0", "d4rl/ant-medium-v2", "d4rl/hopper-random-v2"):
        assert registry.preset(registry.algorithm("cql"), dataset) is None, dataset
        assert registry.preset(registry.algorithm("dt"), dataset) is None, dataset


def test_a_flag_beats_the_preset():
    assert registry.configure(IQL, "d4rl/antmaze-umaze-v2", {"expectile": 0.6}).expectile == 0.6


def test_every_preset_names_fields_of_its_config():
    for name in registry.OURS:
        found = registry.algorithm(name)
        for preset in found.presets:
            registry.configure(found, "x", dict(preset.values))
            assert preset.source


# ---------------------------------------------------------------- learners, and where they lie

LEARNERS = """
from dataclasses import dataclass

@dataclass
class Fields:
    rate: float = 0.5
    inner: int = 3

    def fit(self, data, task, seed, budget):
        return self.rate

class Plain:
    def fit(self, data, task, seed, budget):
        return None

made = Fields(2.0)
"""


@pytest.fixture
def learners(tmp_path, monkeypatch):
    """A module of learners in the current folder, which is not searched, as under an installed command."""
    (tmp_path / "some_learners.py").write_text(LEARNERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    yield "some_learners"
    sys.modules.pop("some_learners", None)


def test_learners_are_found_in_the_current_folder_which_is_searched_once(learners, tmp_path):
    found = registry.find(f"{learners}:Fields")
    assert registry.find(f"{learners}:Plain").__name__ == "Plain"
    assert registry.find(f"{learners}:made") == found(2.0)
    assert sys.path.count(str(tmp_path)) == 1
    assert not registry.is_algorithm(found)
    assert registry.is_algorithm(registry.find("iql"))
    with pytest.raises(OffbenchError, match=r"some_learners:Plain has a fit of its own; a subclass of .*Algorithm is"):
        registry.algorithm(f"{learners}:Plain")


def test_a_learner_is_found_by_the_name_of_its_entry_point(learners, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)  # where an installed package lies
    point = EntryPoint("fields", f"{learners}:Fields", names.GROUP)
    monkeypatch.setattr(names, "entry_points", lambda group: [point] if group == "offbench.algorithms" else [])
    assert registry.find("fields") is registry.find(f"{learners}:Fields")
    with pytest.raises(UnknownNameError, match=r"no algorithm named 'field'; nearest: .*fields"):
        registry.find("field")


def test_a_dataclass_is_its_own_config_and_others_have_none(learners):
    found = registry.find(f"{learners}:Fields")
    assert registry.config_type(found) is found
    assert registry.configure(found, "d4rl/hopper-medium-v2", {"rate": 0.1}) == found(rate=0.1, inner=3)
    for name in ("Plain", "made"):
        other = registry.find(f"{learners}:{name}")
        assert registry.config_type(other) is registry.NoHyperparameters
        assert registry.configure(other, "", {}) == registry.NoHyperparameters()
        with pytest.raises(UnknownNameError, match=r"no hyperparameter of .* named 'rate'"):
            registry.configure(other, "", {"rate": 0.1})
    assert registry.config_type(IQL) is IQL.Config


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("def broken(:", r"SyntaxError: invalid syntax .*some_learners\.py, line 1"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('two\\n  lines')", r"ValueError: two lines \(some_learners\.py, line 1, in <module>: raise"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("", "AttributeError: module 'some_learners' has no attribute 'Fields'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(text, cause, learners, tmp_path):
    (tmp_path / "some_learners.py").write_text(text)
    sentence = f"^the algorithm some_learners:Fields cannot be imported: {cause}"
    with pytest.raises(OffbenchError, match=sentence) as caught:
        registry.find(f"{learners}:Fields")
    assert "\n" not in str(caught.value)


def test_what_neither_subclasses_nor_fits_is_refused():
    with pytest.raises(OffbenchError, match=r"is no algorithm; .* or have fit\(data, task, seed, budget\)$"):
        registry.find("math:pi")


# ---------------------------------------------------------------- source


def test_the_digest_is_that_of_the_file(learners, tmp_path):
    digest = hashlib.sha256(LEARNERS.encode()).hexdigest()
    assert {registry.source_digest(registry.find(f"{learners}:{name}")) for name in ("Fields", "Plain", "made")} == {
        digest
    }
    file = Path(sys.modules[IQL.__module__].__file__)
    assert registry.source_digest(IQL) == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def notebook(monkeypatch):
    """Runs cells as a notebook does: in a ``__main__`` without a file, each cell's text in linecache."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    cells = []

    def run(text, cached=True):
        name = f"<cell {len(cells)}>"
        cells.append(name)
        if cached:
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), vars(main))
        return registry.find("__main__:Fields")

    yield run
    for name in cells:
        linecache.cache.pop(name, None)


def test_a_class_of_a_notebook_has_a_digest_that_follows_its_functions(notebook):
    first = registry.source_digest(notebook(LEARNERS))
    assert registry.source_digest(notebook("\n\n" + LEARNERS)) == first  # the same class in another cell
    assert registry.source_digest(notebook(LEARNERS.replace("self.rate\n", "self.rate + 1\n"))) != first
    inherited = notebook("class Base:\n    def fit(self, *given):\n        return 1\nclass Fields(Base): pass\n")
    other = notebook("class Base:\n    def fit(self, *given):\n        return 2\nclass Fields(Base): pass\n")
    assert registry.source_digest(inherited) != registry.source_digest(other)


def test_a_class_without_any_source_is_to_be_written_to_a_file(notebook):
    found = notebook(LEARNERS, cached=False)
    with pytest.raises(OffbenchError, match=r"source of __main__:Fields cannot be read, .*; write the class to a file"):
        registry.source_digest(found)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"Config": None}, "lacks Config, a dataclass"),
        ({"Config": type("Plain", (), {})}, "lacks Config, a dataclass"),
        ({"Config": dataclasses.make_dataclass("NoBatch", [("hidden", int, 3)])}, "lacks the field batch_size"),
        ({"metrics": "loss"}, "lacks metrics, a tuple"),
        ({"metrics": ()}, "lacks metrics, a tuple"),
        ({"act": abstractmethod(lambda self, observations: None)}, "lacks the method act; see"),
    ],
)
def test_an_algorithm_that_lacks_a_part_is_refused(parts, sentence, monkeypatch):
    module = types.ModuleType("incomplete")
    module.Mine = type("Mine", (registry.algorithm("bc"),), parts)
    monkeypatch.setitem(sys.modules, "incomplete", module)
    with pytest.raises(OffbenchError, match=f"Mine {sentence}"):
        registry.find("incomplete:Mine")
