import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from offbench.basis import compiler as compilation
from offbench.basis.compiler import _may_fail, can_compile, compiled, compiled_folder

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


@pytest.mark.skipif(os.name != "posix", reason="libraries of Linux and locks of files")
def test_libraries_that_were_cut_in_writing_are_removed_and_whole_ones_stay(tmp_path):
    import fcntl

    whole = next((Path(torch.__file__).parent / "lib").glob("libtorch.so"), Path(np._core._multiarray_umath.__file__))
    content = whole.read_bytes()
    if content[:5] != b"\x7fELF\x02":
        pytest.skip("needs libraries of Linux, 64 bits")
    (tmp_path / "ab").mkdir()
    (tmp_path / "locks").mkdir()
    shutil.copy(whole, tmp_path / "ab" / "whole.main.so")
    (tmp_path / "ab" / "source.py").write_text("x = 1")
    (tmp_path / "ab" / "empty.py").write_text("")
    for size in (0, 40, 5000, len(content) - 1):
        (tmp_path / "ab" / f"cut{size}.so").write_bytes(content[:size])
    (tmp_path / "ab" / "zeros.so").write_bytes(bytes(5000))
    (tmp_path / "ab" / "written.main.so").write_bytes(content[:5000])
    with (tmp_path / "locks" / "written.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # by a process that is linking it
        compilation._remove_cut_code(tmp_path)
        left = sorted(path.name for path in (tmp_path / "ab").iterdir())
        assert left == ["source.py", "whole.main.so", "written.main.so"]
    compilation._remove_cut_code.cache_clear()
    compilation._remove_cut_code(tmp_path)
    assert not (tmp_path / "ab" / "written.main.so").exists()


@pytest.mark.parametrize(
    ("guard", "kept"),
    [
        ("", True),  # of modes and shapes
        ("self.config.beta", True),
        ("self.networks['actor']['0.weight']", True),
        ("dict(type(self).__mro__[1].__dict__)['metrics'][0]", True),
        ("G['__import___main__'].helper", True),
        ("G['__import_mine_dot_torch_dot_parts'].helper", True),
        ("G['__import_torchrl_dot_modules'].helper", True),
        ("G['__import_torch']._functorch", False),
        ("G['__import_torch_dot_utils_dot__pytree'].tree_flatten", False),
        ("dict(G['__import_offbench_dot_data_dot_transitions'].Batch.__dict__)['__new__'].__func__", False),
        ("list(dict.keys(__import__('torch').utils._pytree.SUPPORTED_NODES))[2]", False),
        ("G['partial']", False),
    ],
)
def test_guards_are_on_what_can_become_another(guard, kept):
    assert _may_fail(guard, ours=True) == kept
    assert _may_fail(guard, ours=False) == (kept or guard == "G['partial']")


@pytest.mark.skipif(compilation.compiler() is None, reason="there is no compiler")
def test_a_function_that_was_defined_anew_is_compiled_anew(folder):
    names: dict[str, object] = {"__name__": "mine"}
    exec("def helper(x):\n    return x + 1\n\ndef function(x):\n    return helper(x) * 2\n", names)
    made, x = compiled(names["function"], CPU), torch.arange(3.0)
    assert made(x).tolist() == [2.0, 4.0, 6.0]
    exec("def helper(x):\n    return x - 1\n", names)
    assert made(x).tolist() == [-2.0, 0.0, 2.0]
