"""The order of imports, what no module may call, and what a bare import costs (DESIGN.md, sections 2 and 4)."""

import ast
import json
import re
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
    "labelling",
    "algorithms",
    "evaluation",
    "training",
    "online",
    "selection",
    "conformance",
    "d4rl",
    "sweep",
    "report",
    "studies",
    "leaderboard",
    "cli",
)
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 350, 80
# How tables name what is imported when asked for: a module, or something in it.
NAMED = re.compile(r"(offbench(?:\.\w+)+)(?::\w+)?")
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
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def named(tree: ast.AST) -> Iterator[str]:
    """The modules that strings name, to be imported when asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (match := NAMED.fullmatch(node.value)):
            yield match[1]


def parts_imported(tree: ast.AST, module: str, *, is_package: bool) -> set[str]:
    used = {*imports(tree, module, is_package=is_package), *named(tree)}
    return {part(name) for name in used if name.split(".")[0] == "offbench"} - {"", "__version__"}


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


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Imports, within functions, by name and for type checkers too, that run against the order of the folders."""
    allowed = ORDER[: ORDER.index(part(module)) + 1]
    return sorted(parts_imported(ast.parse(source), module, is_package=is_package) - set(allowed))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_in_the_order_of_the_folders(path: Path) -> None:
    module = name_of(path)
    if path.parent == PACKAGE and path.stem != "errors":
        return  # modules at the top are what users import; they may use any part
    folder = part(module)
    assert folder in ORDER, f"the folder {folder} has no place in the order; give it one here and in the design"
    assert violations(path.read_text(), module, is_package=path.name == "__init__.py") == []


def test_only_trajectories_ask_the_top_for_what_stands_above_them() -> None:
    sources = {name_of(path): ast.parse(path.read_text()) for path in MODULES if path.parent == PACKAGE / "data"}
    asking = [name for name, tree in sources.items() if "offbench" in imports(tree, name, is_package=False)]
    assert asking == ["offbench.data.trajectories"]


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which of the modules each one imports; none of them is a package."""
    graph = {}
    for module, source in sources.items():
        used = imports(ast.parse(source), module, is_package=False)
        # ``a.b.c`` is the module a.b and its c, or the module a.b.c.
        either = {name for each in used for name in (each, each.rpartition(".")[0])}
        graph[module] = (either & sources.keys()) - {module}
    return graph


def cycle(sources: dict[str, str]) -> list[str]:
    """Modules that import each other, the first one twice; none if imports run one way."""
    try:
        TopologicalSorter(import_graph(sources)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other() -> None:
    # Folders' own __init__ hold no imports, which the next test sees to, but for those that only users import.
    sources = {name_of(path): path.read_text() for path in MODULES if path.name != "__init__.py"}
    found = cycle(sources)
    assert not found, f"files import each other: {' <- '.join(found)}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_folders_import_nothing_by_themselves(path: Path) -> None:
    if path.parent in (PACKAGE, PACKAGE / "d4rl"):  # users import names from these two themselves
        return
    assert list(imports(ast.parse(path.read_text()), name_of(path), is_package=True)) == []


def too_long(source: str) -> list[str]:
    """What of a file is longer than the design allows."""
    lines = source.count("\n")
    found = [f"{lines} lines"] if lines > MOST_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_LINES_OF_A_FUNCTION:
                found.append(f"{node.name} has {length} lines")
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    assert too_long(path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("offbench.data.one", "from offbench.formats import native", ["formats"]),
        ("offbench.data.one", "def f():\n    from offbench.catalog.cards import card", ["catalog"]),
        ("offbench.data.one", "if TYPE_CHECKING:\n    import offbench.cli.main", ["cli"]),
        ("offbench.data.one", "importlib.import_module('offbench.training.run')", ["training"]),
        ("offbench.data.one", "READERS = {'hdf5': 'offbench.formats.hdf5:read_hdf5'}", ["formats"]),
        ("offbench.data.one", "from .. import lint\nfrom ..report.table import build", ["lint", "report"]),
        ("offbench.data.one", "from offbench import load", ["load"]),
        ("offbench.data.one", "from offbench.basis.files import atomic\nfrom . import two", []),
        ("offbench.data.one", "'As offbench.cli.main shows it.'", []),
        ("offbench.catalog.one", "from offbench import __version__\nfrom offbench.generation.recipe import Recipe", []),
    ],
)
def test_imports_against_the_order_are_found(module: str, source: str, wrong: list[str]) -> None:
    assert violations(source, module) == wrong


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"a.one": "from a import two", "a.two": "def f():\n    from a.one import name"}, True),
        ({"a.one": "from a.two import x", "a.two": "from a.three import y", "a.three": "import a.one"}, True),
        ({"a.one": "from a.two import x", "a.two": "if TYPE_CHECKING:\n    from .one import T"}, True),
        ({"a.one": "from . import two", "a.two": "import_module('a.one')"}, True),
        ({"a.one": "from a.two import x", "a.two": "import json", "a.three": "from a import one, two"}, False),
    ],
)
def test_files_that_import_each_other_are_found(sources: dict[str, str], found: bool) -> None:
    assert bool(cycle(sources)) is found


def test_long_files_and_functions_are_found() -> None:
    assert too_long("x = 1\n" * 351) == ["351 lines"]
    assert too_long("def f():\n" + "    x = 1\n" * 80) == ["f has 81 lines"]
    assert too_long("def f():\n" + "    x = 1\n" * 79) == []


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
        ("from . import files", {"formats"}),
        ("import torch", set()),
    ],
)
def test_the_reader_of_imports_finds_them(source: str, expected: set[str]) -> None:
    assert parts_imported(ast.parse(source), "offbench.formats.hdf5", is_package=False) == expected


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


def test_commands_of_data_start_without_torch_and_simulators() -> None:
    code = "import sys, offbench.cli.data; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert "offbench" in loaded
    assert not loaded & {"torch", "gymnasium", "gymnasium_robotics", "mujoco", "minari", "matplotlib", "pandas"}
