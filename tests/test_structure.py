"""The order of imports, what no module may call, and what a bare import costs (DESIGN.md, sections 2 and 4)."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import offbench

PACKAGE = Path(offbench.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up: a module imports from its own folder and from those that stand before it (DESIGN.md, section 2).
ORDER = (
    "errors",
    "basis",
    "nn",
    "data",
    "formats",
    "lint",
    "environments",
    "behaviours",
    "generation",
    "catalog",
    "dynamics",
    "algorithms",
    "evaluation",
    "training",
    "online",
    "labelling",
    "selection",
    "conformance",
    "d4rl",
    "sweep",
    "report",
    "studies",
    "leaderboard",
    "cli",
)
# What stands against it as long as files have only moved.
LEFT = {"data": {"formats"}, "generation": {"catalog"}}
ALLOWED = {name: set(ORDER[:place]) | LEFT.get(name, set()) for place, name in enumerate(ORDER)}
# Readable by running code that is in them.
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def part(module: str) -> str:
    """The folder, or the module at the top, that ``offbench.<part>...`` belongs to; empty for offbench itself."""
    return module.split(".")[1] if "." in module else ""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Absolute names of all modules imported anywhere in a tree, also within functions and relatively."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + (1 if is_package else 0)]
                base = ".".join([*above, *([base] if base else [])])
            # ``from offbench import data`` imports offbench.data as much as ``import offbench.data`` does.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def parts_imported(tree: ast.AST, module: str, *, is_package: bool) -> set[str]:
    used = {name for name in imports(tree, module, is_package=is_package) if name.split(".")[0] == "offbench"}
    return {part(name) for name in used} - {"", "__version__"}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Calls and imports that may run code found in data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("eval", "exec"):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called = f"{node.value.id}.{node.attr}"
            if called in ("torch.load", "builtins.eval", "builtins.exec"):
                yield called
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield "allow_pickle"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in UNSAFE_MODULES)
            if isinstance(node, ast.ImportFrom) and node.module in ("torch", "torch.serialization"):
                yield from (f"torch.{alias.name}" for alias in node.names if alias.name == "load")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    module = name_of(path)
    own = part(module)
    if own not in ALLOWED:
        # Modules at the top are what users import; they may use any part.
        assert path.parent == PACKAGE, f"the folder {own} has no place in the order of imports; give it one here"
        return
    used = parts_imported(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
    assert used - {own} <= ALLOWED[own], f"{module} imports {sorted(used - {own} - ALLOWED[own])}"


def test_no_two_folders_import_each_other_but_those_left() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        module = name_of(path)
        if part(module) in ALLOWED:
            used = parts_imported(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
            graph.setdefault(part(module), set()).update(used - {part(module)} - LEFT.get(part(module), set()))
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"folders import each other: {' <- '.join(error.args[1])}")
    assert set(graph) <= set(order)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_runs_code_that_is_found_in_data(path: Path) -> None:
    assert list(unsafe(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "load = eval",
        "def f():\n    import builtins\n    builtins.exec('1')",
        "import joblib.numpy_pickle",
    ],
)
def test_the_check_for_unsafe_calls_finds_them(source: str) -> None:
    assert list(unsafe(ast.parse(source)))


def test_the_check_for_unsafe_calls_leaves_sound_ones_alone() -> None:
    assert (
        list(unsafe(ast.parse("model.eval()\nnp.load('x', allow_pickle=False)\nsafetensors.torch.load_file('x')")))
        == []
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import offbench.cli.main", {"cli"}),
        ("from offbench import report, __version__", {"report"}),
        ("from offbench.report.table import build", {"report"}),
        ("def f():\n    from offbench.training import loop", {"training"}),
        ("from .. import catalog", {"catalog"}),
        ("from ..nn.mlp import MLP", {"nn"}),
        ("from . import segments", {"data"}),
        ("import torch", set()),
    ],
)
def test_the_reader_of_imports_finds_them(source: str, expected: set[str]) -> None:
    assert parts_imported(ast.parse(source), "offbench.data.rows", is_package=False) == expected


def test_import_is_light() -> None:
    code = (
        "import json, sys, time; start = time.perf_counter(); import offbench; seconds = time.perf_counter() - start;"
        "print(json.dumps([seconds, sorted(name for name in sys.modules if '.' not in name)]))"
    )
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(5)]
    assert min(seconds for seconds, _ in runs) < 0.5
    loaded = set(runs[0][1])
    assert "offbench" in loaded
    assert not loaded & {"torch", "gymnasium", "gymnasium_robotics", "mujoco", "matplotlib", "seaborn", "pandas"}
