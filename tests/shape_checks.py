"""Shapes checked at run time: jaxtyping's import hook, on the folders whose functions say what shapes they take."""

import random
from collections import defaultdict
from typing import Any, get_type_hints

import jaxtyping
import torch
from beartype import beartype
from beartype._check.code import codemain

CHECKED = ["offbench.data", "offbench.nn", "offbench.algorithms", "offbench.evaluation"]
# Made of users' arrays: what does not fit is refused in a sentence, which tests provoke.
SAY_IT_THEMSELVES = {"Trajectories.__init__", "Segments.__init__", "Preferences.__init__"}

found: dict[tuple[str, str], set[str]] = defaultdict(set)  # by module and function, the arguments that say a shape


class EagerOnly(type(jaxtyping.config)):  # type: ignore[misc]
    """jaxtyping's switch, off while torch compiles or exports: it would trace the checks, which eager twins run."""

    @property
    def jaxtyping_disable(self) -> bool:
        return torch.compiler.is_compiling()


def shapes_only(function: Any) -> Any:
    """Beartype for annotations of shapes; the others are for mypy, and tests break them to see what is said."""
    hints = {name: hint for name, hint in function.__annotations__.items() if "jaxtyping." in repr(hint)}
    found[function.__module__, function.__qualname__] |= hints.keys()
    # jaxtyping calls with arguments alone first, and then with the result: they need no second look.
    function.__annotations__ = {"return": hints["return"]} if "return" in hints else hints
    return beartype(function) if hints and function.__qualname__ not in SAY_IT_THEMSELVES else function


def install() -> None:
    """Check what is imported from now on."""
    codemain.getrandbits = random.Random(0).getrandbits  # or beartype would draw the items it checks as users draw
    jaxtyping.config.update("jaxtyping_remove_typechecker_stack", True)
    jaxtyping.config.__class__ = EagerOnly
    jaxtyping.install_import_hook(CHECKED, "shape_checks.shapes_only")
    from offbench.data.sequences import SequenceBatch
    from offbench.data.transitions import Batch

    for batch in (Batch, SequenceBatch):  # the hook reaches functions and dataclasses, not named tuples
        made = batch.__new__
        made.__annotations__ = get_type_hints(batch, include_extras=True)
        batch.__new__ = staticmethod(jaxtyping.jaxtyped(made, typechecker=shapes_only))
