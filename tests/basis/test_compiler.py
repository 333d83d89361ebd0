import pytest
import torch

from offbench.basis import compiler as compilation
from offbench.basis.compiler import can_compile, compiled_folder

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_never_means_never(monkeypatch):
    monkeypatch.setattr(compilation, "compiler", lambda: "/usr/bin/g++")
    assert can_compile("auto", CPU)
    assert not can_compile("never", CPU)


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
