"""What `offbench.<TAB>` shows: everything that is public, each with a docstring, resolved yet or not."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

import offbench

# To be written down here as well as in offbench/__init__.py: a public name is a promise.
NAMES = [
    "Budget",
    "Card",
    "OffbenchError",
    "Preferences",
    "Reference",
    "Run",
    "SemiSupervised",
    "Sequences",
    "Task",
    "Trajectories",
    "Transitions",
    "__version__",
    "card",
    "check",
    "concatenate",
    "datasets",
    "evaluate",
    "from_arrays",
    "label",
    "load",
    "records",
    "recover_environment",
    "save",
    "task",
    "tasks",
    "train",
]
TYPES = [name for name in NAMES if name[0].isupper()]


def members(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The public functions and properties that a class defines itself."""
    # A base of pydantic, NamedTuple or ValueError has names that are documented there.
    own = [each for each in kind.__mro__ if each.__module__.startswith("offbench")]
    for name, value in ((name, value) for each in own for name, value in vars(each).items()):
        if not name.startswith("_") and (callable(value) or isinstance(value, property | staticmethod | classmethod)):
            yield name, value


def test_public_names_are_those_that_are_written_down() -> None:
    assert offbench.__all__ == sorted(offbench.__all__)
    assert sorted(NAMES) == offbench.__all__
    assert dir(offbench) == offbench.__all__


def test_completion_shows_them_before_any_of_them_was_used() -> None:
    code = "import sys, offbench; print(*dir(offbench)); print('torch' in sys.modules or 'numpy' in sys.modules)"
    shown, heavy = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert shown.split() == offbench.__all__
    assert heavy == "False"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_every_public_name_resolves_and_has_a_docstring(name: str) -> None:
    found = getattr(offbench, name)
    assert inspect.getdoc(found), f"{name} has no docstring"
    assert found.__module__.startswith("offbench.")
    # What dataclasses and pydantic write by themselves is none.
    assert not (found.__doc__ or "").startswith(f"{name}(")


@pytest.mark.parametrize("name", TYPES)
def test_what_public_types_offer_has_a_docstring(name: str) -> None:
    lacking = [member for member, value in members(getattr(offbench, name)) if not inspect.getdoc(value)]
    assert lacking == []


def test_a_name_without_a_docstring_would_be_found() -> None:
    class Bare:
        def undocumented(self) -> None: ...

    Bare.__module__ = "offbench.somewhere"
    assert [name for name, value in members(Bare) if not inspect.getdoc(value)] == ["undocumented"]


def test_fields_of_public_types_are_described() -> None:
    for name in TYPES:
        kind = getattr(offbench, name)
        fields = [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
        fields += list(kind.model_fields) if issubclass(kind, pydantic.BaseModel) else []
        lacking = [field for field in fields if not field.startswith("_") and field not in (kind.__doc__ or "")]
        assert lacking == [], name


def test_a_name_that_is_not_there_is_answered_with_those_that_are_spelt_like_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'concat'; nearest: concatenate"):
        _ = offbench.concat  # type: ignore[attr-defined]
    assert not hasattr(offbench, "__wrapped__")


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(offbench.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {a.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert homes == {name: getattr(offbench, name).__module__ for name in NAMES if name != "__version__"}
