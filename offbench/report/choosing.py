"""Which records, and which of their fields: ``algorithm=iql``, ``steps>=100000``, ``config.expectile``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from offbench.basis.plain import plain
from offbench.errors import OffbenchError, UnknownNameError
from offbench.evaluation.rows import Row, Value

Chosen = TypeVar("Chosen")

_CONDITION = re.compile(r"(?P<field>[^=!<>]+)(?P<sign><=|>=|!=|=|<|>)(?P<value>.*)", re.DOTALL)
_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MOST_LISTED = 8


def choose(runs: Sequence[tuple[Row, Chosen]], conditions: Iterable[str]) -> list[Chosen]:
    """What meets all conditions.

    Args:
        runs: rows of `offbench.evaluation.rows.run_row`, each with what stands for it.
        conditions: ``FIELD=PATTERN`` and ``FIELD!=PATTERN``, whose patterns have ``*``, ``?`` and ``[...]`` and equal
            numbers as numbers, or ``FIELD<NUMBER`` and the like. A field of the configuration needs no ``config.``.

    Raises:
        OffbenchError: a condition is none, no run has its field, or nothing meets it.
    """
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise OffbenchError(f"{condition!r} is no condition; write one like algorithm=iql or steps>=100000")
        name = field(match["field"].strip(), [row for row, _ in runs])
        meets = _test(match["sign"], match["value"].strip(), condition)
        kept = [(row, run) for row, run in runs if meets(row.get(name))]
        if not kept:
            raise OffbenchError(f"no run has {condition}; {name} is {_listed(row.get(name) for row, _ in runs)}")
        runs = kept
    return [run for _, run in runs]


def field(name: str, rows: Sequence[Row]) -> str:
    """The column that a name stands for: itself, or a field of the configuration without its ``config.``.

    Raises:
        UnknownNameError: no row has it.
    """
    columns: Collection[str] = dict.fromkeys(column for row in rows for column in row)
    for found in (name, f"config.{name}"):
        if found in columns:
            return found
    raise UnknownNameError("field of the runs", name, columns)


def text(value: Value) -> str:
    """A value as conditions are compared with it and tables show it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def number(value: str) -> float | None:
    """The number that a text is; None of any other."""
    try:
        return float(value.replace("_", ""))
    except ValueError:
        return None


def _test(sign: str, wanted: str, condition: str) -> Callable[[Value], bool]:
    bound = number(wanted)
    if sign in _ORDERED:
        if bound is None:
            raise OffbenchError(f"{condition!r} compares with {wanted!r}, which is no number")
        return lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and _ORDERED[sign](value, bound)
        )

    def equal(value: Value) -> bool:
        if bound is not None and isinstance(value, int | float) and not isinstance(value, bool):
            return value == bound
        return fnmatchcase(text(value), wanted)

    return equal if sign == "=" else lambda value: not equal(value)


def _listed(values: Iterable[Value]) -> str:
    found = list(dict.fromkeys(plain(text(value)) for value in values))
    more = f" and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    return ", ".join(found[:MOST_LISTED]) + more
