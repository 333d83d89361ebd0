"""The digest of code: another for another number, the same for other words about it."""

import ast
from pathlib import Path

import pytest

from offbench.algorithms import registry
from offbench.basis import code
from offbench.basis.code import meaning, package_digest

SOURCE = '''"""A module."""
import math

def area(radius: float) -> float:
    """Of a circle."""
    return math.pi * radius**2  # exactly
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("  # exactly", "", True),
        ('"""Of a circle."""', '"""Of a disc, in square metres."""', True),
        ('    """Of a circle."""\n', "", True),
        ("radius**2", "radius ** 2", True),
        ("radius**2", "radius**3", False),
        ("math.pi", "3.14", False),
        ("area", "surface", False),
    ],
)
def test_what_code_does_counts_and_not_how_it_is_commented(old, new, same):
    assert (meaning(SOURCE.replace(old, new)) == meaning(SOURCE)) is same


def test_the_package_has_one_digest_and_every_decisive_file_counts(tmp_path, monkeypatch):
    assert package_digest() == package_digest()
    for name in code._DECISIVE:
        assert (code._PACKAGE / name).exists(), name
    folder = tmp_path / "offbench"
    (folder / "nn").mkdir(parents=True)
    (folder / "algorithms").mkdir()
    for name in ("nn/mlp.py", "algorithms/base.py"):
        (folder / name).write_text(SOURCE)
    monkeypatch.setattr(code, "_PACKAGE", folder)
    monkeypatch.setattr(code, "_DECISIVE", ("nn", "algorithms/base.py"))
    seen = set()
    for path in (None, folder / "nn/mlp.py", folder / "algorithms/base.py"):
        if path is not None:
            Path(path).write_text(SOURCE.replace("**2", "**3"))
        seen.add(package_digest.__wrapped__())
    assert len(seen) == 3


def test_whatever_our_algorithms_import_counts():
    """A record of a method must tell when a file that its numbers depend on has changed."""
    for name, target in registry.OURS.items():
        module = target.partition(":")[0]
        parts = (*code._DECISIVE, *(code.COMPOSED if getattr(registry.algorithm(name), "composes", False) else ()))
        tree = ast.parse((code._PACKAGE.parent / f"{module.replace('.', '/')}.py").read_text())
        for node in ast.walk(tree):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("offbench.")):
                continue
            path = node.module.removeprefix("offbench.").replace(".", "/")
            decisive = any(f"{path}.py" == part or path.split("/")[0] == part for part in parts)
            assert decisive or node.module == "offbench.errors", f"{module} imports {node.module}"


def test_the_digest_is_kept_under_the_very_bytes_and_a_damaged_one_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    first = package_digest.__wrapped__(("nn",))
    (kept,) = (tmp_path / "code").iterdir()
    asked = []
    monkeypatch.setattr(code, "meaning", lambda source: asked.append(source) or meaning(source))
    assert package_digest.__wrapped__(("nn",)) == first
    assert not asked
    for damaged in ("0" * 64 + " " + "1" * 64, "", first):
        asked.clear()
        kept.write_text(damaged)
        assert package_digest.__wrapped__(("nn",)) == first
        assert asked
