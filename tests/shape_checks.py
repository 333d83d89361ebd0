"""Shapes checked at run time: jaxtyping's import hook, on the folders whose functions say what shapes they take."""

import builtins
import functools
import random
import types
from collections import defaultdict
from typing import Any, get_type_hints

import jaxtyping
import numpy as np
import torch
from beartype import beartype
from beartype._check.code import codemain

CHECKED = ["offbench.data", "offbench.nn", "offbench.labelling", "offbench.algorithms", "offbench.evaluation"]
# Made of users' arrays: what does not fit is refused in a sentence, which tests provoke.
SAY_IT_THEMSELVES = {"Trajectories.__init__", "Segments.__init__", "Preferences.__init__"}

# Float, Int and their like. Modules that do without torch import them for type checkers alone: with what jaxtyping
# imports they would take a tenth of a second.
KINDS = {name: kind for name, kind in vars(jaxtyping).items() if isinstance(kind, type(jaxtyping.Float))}

found: dict[tuple[str, str], set[str]] = defaultdict(set)  # by module and function, the arguments that say a shape


class EagerOnly(type(jaxtyping.config)):  # type: ignore[misc]
    """jaxtyping's switch, off while torch compiles or exports: it would trace the checks, which eager twins run."""

    @property
    def jaxtyping_disable(self) -> bool:
        return torch.compiler.is_compiling()


# What a function was found right for in this test, and whatever is told apart in there by its identity.
passed: set[Any] = set()
kept: dict[int, Any] = {}


def forget() -> None:
    """Check everything anew, as every test does."""
    passed.clear()
    kept.clear()


def alike(value: Any) -> Any:
    """What is equal for values whose shapes are judged alike."""
    kind = type(value)
    if kind is torch.Tensor or kind is np.ndarray:
        return kind, value.shape, value.dtype
    if kind is dict:
        return tuple(value), *map(alike, value.values())
    if isinstance(value, tuple | list):
        return kind, *map(alike, value)
    if value is None or kind is int or kind is bool or kind is str:  # a number may be the length of an axis
        return value
    if kind is float:
        return float
    kept[id(value)] = value  # or another object might come to have its identity
    return id(value)


def jaxtyped_once(function: Any = None, /, *, typechecker: Any, jaxtyped: Any = jaxtyping.jaxtyped) -> Any:
    """`jaxtyping.jaxtyped` for each new combination of shapes: its checks take as long as a small update does."""
    if function is None:
        return functools.partial(jaxtyped_once, typechecker=typechecker)
    checked = jaxtyped(function, typechecker=typechecker)
    if not isinstance(function, types.FunctionType):
        return checked
    hints = found[function.__module__, function.__qualname__]
    if not hints:
        return function
    results: list[Any] = []
    check_result = jaxtyped(giving(results, function), typechecker=typechecker)

    @functools.wraps(function)
    def once(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        key = (function, alike(args), alike(kwargs))
        known = key in passed
        result = (function if known else checked)(*args, **kwargs)
        passed.add(key)
        if "return" in hints and (whole := (key, alike(result))) not in passed:
            if known:
                results.append(result)
                check_result(*args, **kwargs)
            passed.add(whole)
        return result

    return once


def giving(results: list[Any], function: types.FunctionType) -> types.FunctionType:
    """A function that looks like another and returns the last of ``results``."""

    def give(*args: Any, **kwargs: Any) -> Any:
        return results.pop()

    # jaxtyping looks names of annotations up among the globals.
    made = types.FunctionType(give.__code__, function.__globals__, function.__name__, None, give.__closure__)
    return functools.update_wrapper(made, function)


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
    jaxtyping.jaxtyped = jaxtyped_once
    vars(builtins).update(KINDS)
    jaxtyping.install_import_hook(CHECKED, "shape_checks.shapes_only")
    from offbench.data.sequences import SequenceBatch
    from offbench.data.transitions import Batch

    for batch in (Batch, SequenceBatch):  # the hook reaches functions and dataclasses, not named tuples
        made = batch.__new__
        made.__annotations__ = get_type_hints(batch, include_extras=True)
        batch.__new__ = staticmethod(jaxtyping.jaxtyped(made, typechecker=shapes_only))
