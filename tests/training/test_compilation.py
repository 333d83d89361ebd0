import json

import numpy as np
import pytest

from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC
from offbench.basis.compiler import compiler
from offbench.formats import native
from offbench.training import compilation
from offbench.training.compilation import AGAIN_SHARE, FIRST_SECONDS, CompileTimes, of_any_length, update_step
from offbench.training.group import Group
from offbench.training.views import make_view


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(compilation, "_HERE", set())
    return tmp_path


def in_another_process():
    compilation._HERE.clear()


def test_an_update_that_is_not_compiled_is_the_method_itself():
    assert update_step(BC, compiled=False) is BC.step


def test_what_compiling_took_is_what_it_is_expected_to_take(folder):
    one, other, stranger = CompileTimes("a", "iql"), CompileTimes("b", "iql"), CompileTimes("c", "dt")
    assert (one.known, one.expected()) == (False, FIRST_SECONDS)
    one.keep(30.0)
    assert (one.known, one.expected()) == (True, 0.0)  # this process has it
    one.keep(0.01)
    in_another_process()
    assert (one.known, one.expected()) == (True, AGAIN_SHARE * 30.0)
    one.keep(3.0)
    in_another_process()
    assert one.expected() == 3.0
    assert json.loads(one._path.read_text())["all"] == 33.0
    assert (other.known, other.expected()) == (False, 30.0)  # another configuration of the same method
    assert stranger.expected() == FIRST_SECONDS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"first": "long"}', '{"first": 3, "again": null}', "\x00"])
def test_a_damaged_note_is_no_note(folder, text):
    times = CompileTimes("a", "iql")
    times.keep(1.0)
    in_another_process()
    times._path.write_text(text)
    assert (times.known, times.expected()) == (False, FIRST_SECONDS)
    times.keep(2.0)
    assert json.loads(times._path.read_text()) == {"method": "iql", "first": 2.0, "all": 2.0}


def test_a_cache_that_cannot_be_written_to_forgets(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "file"))
    times = CompileTimes("a", "iql")
    with times.held():
        times.keep(1.0)
    assert not times.known


@pytest.mark.skipif(compiler() is None, reason="there is no compiler")
def test_compiled_code_serves_data_of_any_length(folder, pendulum_file):
    import torch

    data, reach = native.load(pendulum_file), (np.array([-2.0], np.float32), np.array([2.0], np.float32))
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    made = []
    for part in (data, data[:7], data[7:12]):
        view = make_view(BC, BC.Config(hidden=(8,), batch_size=4), part, reach, "cpu", torch.float32)
        of_any_length(view)
        group = Group(BC(BC.Config(hidden=(8,), batch_size=4), Sizes(3, 1), [0], 10), view, update_step(BC, True))
        group.advance(0, 3)
        made.append(torch._dynamo.utils.counters["stats"]["unique_graphs"] - before)
    assert made == [1, 1, 1]


@pytest.mark.skipif(compiler() is None, reason="there is no compiler")
def test_compiled_updates_do_not_depend_on_what_their_process_compiled_before(folder, pendulum_file):
    """Code for any width would take other products than code for one width does: other last bits, and slower."""
    import torch

    data, reach = native.load(pendulum_file), (np.array([-2.0], np.float32), np.array([2.0], np.float32))

    def updated(*hidden):
        config = BC.Config(hidden=hidden)
        view = make_view(BC, config, data, reach, "cpu", torch.float32)
        of_any_length(view)
        group = Group(BC(config, Sizes(3, 1), [0], 10), view, update_step(BC, True))
        group.advance(0, 5)
        return {name: value.clone() for name, value in group.algorithm.state().items()}

    torch._dynamo.reset()
    alone = updated(256, 192)
    torch._dynamo.reset()
    updated(128, 128)
    after = updated(256, 192)
    assert all(torch.equal(alone[name], after[name]) for name in alone)
