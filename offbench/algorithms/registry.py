"""Algorithms by name: ours, those of installed packages (entry points), and ``module:Class``.

What is found is of one of two kinds: a subclass of `Algorithm`, or a learner, which is a class or an object with
``fit(data, task, seed, budget)`` (`offbench.training.fitting`). A learner that is a dataclass has its fields as
hyperparameters; any other has none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from importlib import import_module
from numbers import Integral, Real
from types import FunctionType
from typing import Any, TypeGuard, get_origin, get_type_hints

from offbench.algorithms.base import Algorithm, Preset
from offbench.algorithms.names import OURS as OURS
from offbench.algorithms.names import names as names
from offbench.algorithms.names import registered
from offbench.algorithms.sources import trained_on
from offbench.basis.code import COMPOSED, package_digest
from offbench.basis.foreign import foreign, staying
from offbench.basis.modules import search_current_folder
from offbench.errors import OffbenchError, UnknownNameError


def name_of(algorithm: str | type) -> str:
    """The name by which records call an algorithm: the registered one, or ``module:Class`` of a class.

    Raises:
        UnknownNameError: the name is not registered.
        OffbenchError: the class is no attribute of a module.
    """
    if isinstance(algorithm, str):
        return registered(algorithm)
    if getattr(sys.modules.get(algorithm.__module__), algorithm.__qualname__, None) is not algorithm:
        raise OffbenchError(f"{title(algorithm)} cannot be found by that name; define the class at the top of a module")
    return title(algorithm)


def find(name: str) -> Any:
    """What a registered name or ``module:Class`` stands for: a subclass of Algorithm, or a learner.

    A module in the current folder is found, too, and a registered name in any case and punctuation (``TD3+BC``).

    Raises:
        UnknownNameError: the name is not registered.
        OffbenchError: it cannot be imported, or it is neither.
    """
    name = registered(name)
    target = name if ":" in name else names()[name]
    if ":" in name:
        search_current_folder()
    found = _imported(target)
    if not (is_algorithm(found) or callable(getattr(found, "fit", None))):
        raise OffbenchError(
            f"{target} is no algorithm; it must be a subclass of offbench.algorithms.base.Algorithm or have "
            "fit(data, task, seed, budget)"
        )
    if is_algorithm(found):
        _check_declared(found)
    return found


def _check_declared(found: type[Algorithm]) -> None:
    """Refuse a subclass of Algorithm that lacks a part, with an OffbenchError."""
    config, metrics = getattr(found, "Config", None), getattr(found, "metrics", None)
    lacking = [f"the method {name}" for name in sorted(found.__abstractmethods__)]
    if not (inspect.isclass(config) and dataclasses.is_dataclass(config)):
        lacking.append("Config, a dataclass of its hyperparameters")
    elif "batch_size" not in {field.name for field in dataclasses.fields(config)}:
        lacking.append("the field batch_size in its Config, what one seed learns from in an update")
    if not metrics or isinstance(metrics, str) or not all(isinstance(name, str) for name in metrics):
        lacking.append("metrics, a tuple of the names that update gives")
    if lacking:
        raise OffbenchError(f"{title(found)} lacks {' and '.join(lacking)}; see docs/your-algorithm.md")


def algorithm(name: str) -> type[Algorithm]:
    """The subclass of Algorithm that a registered name or ``module:Class`` stands for.

    Raises:
        UnknownNameError: the name is not registered.
        OffbenchError: it cannot be imported, or it is no subclass of Algorithm.
    """
    found = find(name)
    if not is_algorithm(found):
        raise OffbenchError(f"{name} has a fit of its own; a subclass of offbench.algorithms.base.Algorithm is needed")
    return found


def is_algorithm(found: Any) -> TypeGuard[type[Algorithm]]:
    """Whether it is a subclass of Algorithm; what else `find` gives is a learner."""
    return inspect.isclass(found) and issubclass(found, Algorithm)


def title(found: Any) -> str:
    """``module:Class`` of what was found; that of its class where it is an object."""
    if inspect.ismodule(found):
        return found.__name__
    named = found if inspect.isclass(found) else type(found)
    return f"{named.__module__}:{named.__qualname__}"


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    # Anything may come from a module that is run for the first time; SystemExit from one that is a whole program.
    with staying(), foreign(target, lambda why: f"the algorithm {target} cannot be imported: {why}"):
        return getattr(import_module(module), attribute)


# -------------------------------------------------------------------- hyperparameters


@dataclasses.dataclass(frozen=True)
class NoHyperparameters:
    """The config of a learner that is no dataclass."""


def config_type(found: Any) -> type[Any]:
    """The dataclass whose fields are the hyperparameters: a learner's own class, if it is one."""
    if is_algorithm(found):
        return found.Config
    return found if inspect.isclass(found) and dataclasses.is_dataclass(found) else NoHyperparameters


def hyperparameters(found: Any) -> list[dataclasses.Field[Any]]:
    """The fields that are set from outside."""
    return [field for field in dataclasses.fields(config_type(found)) if field.init]


def is_list(found: Any, name: str) -> bool:
    """Whether the values of this hyperparameter are lists themselves, as the sizes of hidden layers are."""
    if not hyperparameters(found):
        return False
    return get_origin(get_type_hints(config_type(found)).get(name)) is tuple


def preset(found: type[Algorithm], dataset: str) -> Preset | None:
    """The hyperparameters published for a dataset; None where there are none.

    Only datasets have some that their source trained on: those of D4RL, and those of ours that a preset is named after.
    What is made like one of D4RL's is given by that one's id, see `offbench.data.trajectories.Provenance.like`.
    """
    family, name = dataset.partition("/")[0], dataset.rpartition("/")[2]
    for each in found.presets:
        for pattern in each.datasets:
            claimed = family == "offbench" or (family == "d4rl" and trained_on(each.source, pattern, name))
            if claimed and fnmatch(name, pattern):
                return each
    return None


def configure(found: Any, dataset: str, changes: Mapping[str, Any]) -> Any:
    """The config: its defaults, then the dataset's preset, then ``changes``. A dataclass learner is its own config.

    Raises:
        UnknownNameError: a change names no field of the config.
        OffbenchError: a value is not of the kind that the field holds, or nothing can be made of these values.
    """
    known = [field.name for field in hyperparameters(found)]
    for name in changes:
        if name not in known:
            raise UnknownNameError(f"hyperparameter of {getattr(found, '__name__', title(found))}", name, known)
    _check_kinds(found, changes)
    if is_algorithm(found):
        published = preset(found, dataset)
        return _made(found, found.Config, {**(published.values if published else {}), **changes})
    for field in hyperparameters(found):
        given = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if not given and field.name not in changes:
            raise OffbenchError(f"the field {field.name} of {title(found)} has no default; give it one")
    return _made(found, config_type(found), changes)


_KINDS: dict[Any, tuple[type, str]] = {
    float: (Real, "a number"),
    int: (Integral, "a whole number"),
    bool: (bool, "true or false"),
    str: (str, "a word"),
}


def _check_kinds(found: Any, changes: Mapping[str, Any]) -> None:
    """Refuse what a field of a plain type does not hold, with an OffbenchError."""
    hints = get_type_hints(config_type(found)) if changes else {}
    for name, value in changes.items():
        kind, words = _KINDS.get(hints.get(name), (object, ""))
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (Real, Integral)):
            raise OffbenchError(f"{name} of {title(found)} must be {words}, not {value!r}")


def _made(found: Any, config: type[Any], values: Mapping[str, Any]) -> Any:
    """A config of these values, which may refuse them by an OffbenchError of its own."""
    with staying(), foreign(title(found), lambda why: f"{title(found)} cannot be made: {why}", ours=True):
        return config(**values)


# -------------------------------------------------------------------- source


def source_digest(found: Any) -> str:
    """SHA-256 of the file that defines it, so that a record says which code it measured.

    A class of a notebook has no file: there it is the source of the functions of the class, and what they call in
    other cells is not seen. For an object, it is the file of its class and that of its ``fit``.

    Raises:
        OffbenchError: there is no source to be had.
    """
    parts = [found] if inspect.isclass(found) else [type(found), found.fit]
    texts = [text for part in parts for text in _source(part)]
    if getattr(found, "composes", False):  # any of ours may be the one that it is made with
        texts.append(package_digest(COMPOSED))
    if not texts:
        raise OffbenchError(
            f"the source of {title(found)} cannot be read, so no record could say what was run; write the class to a "
            "file and name it as module:Class"
        )
    return hashlib.sha256("".join(dict.fromkeys(texts)).encode()).hexdigest()


def _source(part: Any) -> Iterator[str]:
    """The text of the module of a class or function; where that is no file, of the functions themselves."""
    module = sys.modules.get(getattr(part, "__module__", None) or "")
    if module is not None and (text := _text(module)):
        yield text
        return
    bases = [base for base in part.__mro__ if base.__module__ == part.__module__] if inspect.isclass(part) else []
    for function in [value for base in bases for value in vars(base).values()] or [part]:
        plain = getattr(function, "fget", None) or getattr(function, "__func__", function)  # of properties and methods
        if isinstance(plain, FunctionType) and (text := _text(plain)):
            yield text


def _text(part: Any) -> str:
    """Its source; empty where there is none, as for what a dataclass writes itself."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        return ""
