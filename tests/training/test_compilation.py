import json

import pytest

from offbench.algorithms.bc import BC
from offbench.training.compilation import AGAIN_SHARE, FIRST_SECONDS, CompileTimes, update_step


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_an_update_that_is_not_compiled_is_the_method_itself():
    assert update_step(BC, compiled=False) is BC.step


def test_what_compiling_took_is_what_it_is_expected_to_take(folder):
    one, other, stranger = CompileTimes("a", "iql"), CompileTimes("b", "iql"), CompileTimes("c", "dt")
    assert (one.known, one.expected()) == (False, FIRST_SECONDS)
    one.keep(30.0)
    assert (one.known, one.expected()) == (True, AGAIN_SHARE * 30.0)
    one.keep(3.0)
    assert one.expected() == 3.0
    assert (other.known, other.expected()) == (False, 30.0)  # another configuration of the same method
    assert stranger.expected() == FIRST_SECONDS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"first": "long"}', '{"first": 3, "again": null}', "\x00"])
def test_a_damaged_note_is_no_note(folder, text):
    times = CompileTimes("a", "iql")
    times.keep(1.0)
    times._path.write_text(text)
    assert (times.known, times.expected()) == (False, FIRST_SECONDS)
    times.keep(2.0)
    assert json.loads(times._path.read_text()) == {"method": "iql", "first": 2.0}


def test_a_cache_that_cannot_be_written_to_forgets(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "file"))
    times = CompileTimes("a", "iql")
    with times.held():
        times.keep(1.0)
    assert not times.known
