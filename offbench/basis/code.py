"""A digest of code: of what it does, not of how it is commented."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

# What the numbers of a run depend on besides its algorithm, its data and its task's simulators.
_DECISIVE = (
    "basis",
    "nn",
    "data",
    "environments",
    "dynamics",
    "algorithms/asking.py",
    "algorithms/base.py",
    "algorithms/imagined.py",
    "algorithms/soft.py",
    "evaluation",
    "training",
)


# What fitted dynamics depend on besides the data: no simulator, no method, no way of training.
DYNAMICS = ("basis", "nn", "data", "dynamics")


@cache
def package_digest(parts: tuple[str, ...] | None = None) -> str:
    """SHA-256 of the code of offbench that every run's numbers depend on, or of ``parts``.

    Comments and docstrings do not count.
    """
    made = hashlib.sha256()
    for name in parts or _DECISIVE:
        place = _PACKAGE / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name = path.relative_to(_PACKAGE).as_posix()
            made.update(f"{name} {meaning(path.read_text(encoding='utf-8'))}\n".encode())
    return made.hexdigest()


def meaning(source: str) -> str:
    """The syntax tree of a module without docstrings, as text: equal for modules that do the same in the same words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
