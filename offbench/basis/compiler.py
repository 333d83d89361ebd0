"""Where a compiler is, a function of tensors is compiled whole; elsewhere the same Python runs eagerly."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

from offbench.basis.files import cache_folder
from offbench.basis.once import teach_compiler
from offbench.errors import OffbenchError

Compile = Literal["auto", "always", "never"]
Function = TypeVar("Function", bound=Callable[..., object])

# A graph as two files of C++, its kernels and what calls them: with a file a kernel, compilers spend most of their time
# on the headers of each, and with one file they optimise the calls as hard as the kernels. Two files do not earn what
# compiling headers beforehand takes, 150 MB on the disk included.
WHOLE = {"cpp_wrapper": True, "cpp_wrapper_build_separate": True, "cpp_cache_precompile_headers": False}

# Packages whose functions and classes stay what they are while a process runs, and a global of any module as Dynamo
# names it in a guard: `__import__('torch').utils`, `G['__import_mine_dot_parts'].helper`, `G['partial']`.
UNCHANGING = ("offbench", "torch")
_GLOBAL = re.compile(r"\b(?:__import__\('|G\['__import_)(?P<package>\w+?)(?:_dot_\w+)?'|\bG\['")


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU, or None."""
    return next(filter(None, (shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))), None)


def can_compile(mode: Compile, device: torch.device) -> bool:
    """Whether a run of this mode may compile its updates.

    Raises:
        OffbenchError: mode "always" on a CPU without a C++ compiler.
    """
    available = device.type != "cpu" or compiler() is not None
    if mode == "always" and not available:
        raise OffbenchError(
            "compiling was asked for and there is no C++ compiler; install g++ or leave compile on auto"
        )
    return mode != "never" and available


def compiled(function: Function, device: torch.device) -> Function:
    """``function`` of tensors on ``device``, compiled whole at its first call; the code is kept in the cache folder."""
    _keep_compiled_code()
    # Products are in float32 on purpose; torch would have every user told that they could be coarser.
    warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
    # One function may serve every algorithm, configuration and group size of a process, each a graph of its own.
    torch._dynamo.config.recompile_limit = 256
    # Here alone: it imports the compiler.
    from offbench.basis.products import REPLACE, replaced_here
    from offbench.basis.vectors import try_widest_first

    teach_compiler()
    try_widest_first()
    ours = function.__module__.partition(".")[0] in UNCHANGING
    options: dict[str, Any] = {"guard_filter_fn": lambda guards: [_may_fail(guard.name, ours) for guard in guards]}
    if replaced_here():
        options["post_grad_custom_post_pass"] = REPLACE
    if device.type == "cpu":
        options |= WHOLE
    # Sizes are those of one configuration, so that a run does not depend on what its process compiled before it.
    return cast(Function, torch.compile(function, fullgraph=True, dynamic=False, options=options))


def _may_fail(guard: str, ours: bool) -> bool:
    """Whether what a guard is about, ``self.config.beta`` or ``G['__import_torch_dot_func'].grad``, can become another.

    Most guards of an update are on functions and classes. Without those on torch's and offbench's own it is 1.02 to
    1.03 times as fast; what others wrote may be defined anew, in a notebook, and is looked at. ``ours`` says whether
    the compiled function is offbench's: globals without a package are of its module.
    """
    found = _GLOBAL.search(guard)
    if found is None:
        return True
    package = found["package"]
    return not ours if package is None else package not in UNCHANGING


def any_length(*columns: Tensor | None) -> None:
    """Let columns of data have any number of rows in compiled code, so that one code serves all data alike.

    On a CPU, where many runs are compiled; with a GPU it was not measured.
    """
    for column in columns:
        if column is not None and column.device.type == "cpu":
            torch._dynamo.maybe_mark_dynamic(column, 0)


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the kernel after each update.

    An update frees and takes back the same few hundred kilobytes many times; with glibc's defaults each time costs page
    faults. Measured with one seed of IQL on two cores: 190 updates a second before, 280 after.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)


def compiled_folder() -> Path:
    """Where code is kept that this machine compiled.

    Torch's own key of a graph holds the graph, torch's version and the kind of vector unit; the code is made for the
    very processor, by the very compiler. A home folder that several machines share has a folder for each of them, and
    each way to compile has one, so that what an older offbench says of its code is not believed of this one's.
    """
    return cache_folder() / "compiled" / _machine_key()


@cache
def _machine_key() -> str:
    parts = [torch.__version__, sys.version, platform.machine(), _processor_flags(), _compiler_version(), str(WHOLE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _keep_compiled_code() -> None:
    """Let torch keep compiled code in our cache folder, unless the user named another."""
    folder = compiled_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # torch's own place, in the folder for temporary files, does as well for this process
    if os.access(folder, os.W_OK):
        _remove_cut_code(folder)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


@cache
def _remove_cut_code(folder: Path) -> None:
    """Remove what a compiler was killed in writing: torch would take it for whole in every run from then on.

    Linkers write where the library will lie. One whose lock, torch's own, is held is being written, and stays.
    """
    if os.name != "posix":
        return
    import fcntl

    for path in folder.glob("??/*"):
        with suppress(OSError), ExitStack() as held:
            if not _is_cut(path):
                continue
            lock = folder / "locks" / f"{path.name.partition('.')[0]}.lock"
            if lock.exists():
                fcntl.flock(held.enter_context(lock.open("rb")), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_cut(path):  # still
                path.unlink()


def _is_cut(path: Path) -> bool:
    """Whether a file is empty, or a library of Linux that ends before the table which its header says comes last."""
    if not path.name.endswith(".so"):
        return path.is_file() and path.stat().st_size == 0
    with path.open("rb") as file:
        header = file.read(64)
    if len(header) < 64 or not any(header):
        return True
    if not header.startswith(b"\x7fELF\x02"):
        return False  # of another system
    table, entry, entries = (int.from_bytes(header[a:b], sys.byteorder) for a, b in ((40, 48), (58, 60), (60, 62)))
    return path.stat().st_size < table + entry * entries


def _processor_flags() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compiler_version() -> str:
    path = compiler()
    if path is None:
        return ""
    try:
        return subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return path
