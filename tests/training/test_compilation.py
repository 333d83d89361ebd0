import json

import pytest
import torch

from offbench.algorithms.bc import BC
from offbench.training import compilation
from offbench.training.compilation import AGAIN_SHARE, FIRST_SECONDS, CompileTimes, can_compile, compiled_folder

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_never_means_never(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: "/usr/bin/g++")
    assert can_compile("auto", CPU)
    assert not can_compile("never", CPU)
    assert compilation.update_step(BC, compiled=False) is BC.step


def test_code_of_another_processor_compiler_or_torch_lies_elsewhere(folder, monkeypatch):
    folders = set()
    for name, value in (("_processor_flags", "flags: avx2"), ("_compiler_version", "g++ 99"), ("compiler", None)):
        compilation._machine_key.cache_clear()
        folders.add(compiled_folder())
        monkeypatch.setattr(compilation, name, lambda value=value: value)
    monkeypatch.setattr(torch, "__version__", "0.0")
    compilation._machine_key.cache_clear()
    folders.add(compiled_folder())
    compilation._machine_key.cache_clear()
    assert len(folders) == 4
    assert {path.parent for path in folders} == {folder / "compiled"}


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
