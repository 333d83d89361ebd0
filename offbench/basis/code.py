"""A digest of code: of what it does, not of how it is commented."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from offbench.basis.files import atomic, cache_folder
from offbench.errors import OffbenchError

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
    "algorithms/window.py",
    "evaluation",
    "training",
)


# What fitted dynamics depend on besides the data: no simulator, no method, no way of training.
DYNAMICS = ("basis", "nn", "data", "dynamics")

# What models that label data depend on besides the data.
LABELLING = ("basis", "nn", "data", "labelling")

# What an algorithm that is made with another one of ours depends on besides its own file.
COMPOSED = ("labelling", "algorithms")


@cache
def package_digest(parts: tuple[str, ...] | None = None) -> str:
    """SHA-256 of the code of offbench that every run's numbers depend on, or of ``parts``.

    Comments and docstrings do not count. Reading what the code says takes a second, so that the digest is kept in the
    cache folder, under that of the very bytes.
    """
    sources = dict(_sources(parts or _DECISIVE))
    plain = hashlib.sha256(sys.version.encode())  # the text of a syntax tree is that of a version of Python
    for name, content in sources.items():
        plain.update(f"{name} {len(content)}\n".encode() + content)
    kept = cache_folder() / "code" / f"{plain.hexdigest()}.txt"
    return _kept(kept) or _keep(kept, _digest(sources))


def _sources(parts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The files of the parts by name, and what they hold."""
    for name in parts:
        place = _PACKAGE / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            yield path.relative_to(_PACKAGE).as_posix(), path.read_bytes()


def _digest(sources: Mapping[str, bytes]) -> str:
    made = hashlib.sha256()
    for name, content in sources.items():
        made.update(f"{name} {meaning(content.decode('utf-8'))}\n".encode())
    return made.hexdigest()


def _kept(path: Path) -> str | None:
    """The digest in a file of the cache that has its own checksum; None where there is none or it is damaged."""
    try:
        digest, _, checksum = path.read_text(encoding="utf-8").strip().partition(" ")
    except (OSError, ValueError):
        return None
    return digest if checksum == _checksum(path, digest) else None


def _keep(path: Path, digest: str) -> str:
    with suppress(OSError, OffbenchError):  # a folder that cannot be written to costs time and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_text(f"{digest} {_checksum(path, digest)}\n", encoding="utf-8")
    return digest


def _checksum(path: Path, digest: str) -> str:
    return hashlib.sha256(f"{path.name} {digest}".encode()).hexdigest()


def meaning(source: str) -> str:
    """The syntax tree of a module without docstrings, as text: equal for modules that do the same in the same words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
