"""Short names for tables and figures: TD3+BC for ``td3_bc``, HalfCheetah medium for ``d4rl/halfcheetah-medium-v2``.

The defaults are those of ``datasets/labels.toml``; a file with the same tables changes and adds to them. Names that
would be equal in one table keep what tells them apart: version, source, or the whole id.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from offbench.basis.plain import plain
from offbench.basis.resources import resources
from offbench.errors import OffbenchError, UnknownNameError

TABLES = ("algorithms", "datasets", "environments", "sources", "domains")
# Longer names that nothing is known about are cut in the middle.
LONGEST = 40
# name-v2, name-v2-val, name-v2-100000 and name-v2?actions=10%-low.
_PARTS = re.compile(
    r"(?P<stem>.+?)(?:-v(?P<version>\d+)(?:-(?P<size>\d+))?)?(?P<validation>-val)?(?:\?(?P<split>.+))?", re.DOTALL
)
_SETTINGS = re.compile(r"(?P<name>.+?) \((?P<settings>.+)\)")


@dataclass(frozen=True)
class Labels:
    """How names are shown.

    Attributes:
        tables: by table of the labels file (``algorithms``, ``datasets``, ``environments``, ``sources``, ``domains``)
            the labels by name.
        first: names of algorithms and datasets that stand first in tables, in this order.
        short: False to show names as they are.
    """

    tables: Mapping[str, Mapping[str, str]]
    first: tuple[str, ...] = ()
    short: bool = True

    def algorithm(self, name: str, config: Mapping[str, Any] | None = None) -> str:
        """The label of a registered name or ``module:Class``; of a class that nothing is known about, its name.

        Args:
            name: as a record has it.
            config: where given, labels of settings that it has go first: ``bc`` with ``top_fraction=0.1`` is 10% BC.
        """
        known = self.tables["algorithms"]
        if not self.short:
            return name
        for key, label in known.items() if config else ():
            match = _SETTINGS.fullmatch(key)
            if match and match["name"] == name and _has(config or {}, match["settings"]):
                return label
        return known[name] if name in known else _shortened(name.rpartition(":")[2] or name)

    def dataset(self, name: str) -> str:
        """The label of a dataset's id or file."""
        return self._datasets_forms(name)[0]

    def algorithms(self, names: Iterable[str]) -> dict[str, str]:
        """Labels of algorithms that stand in one table, no two alike."""
        return _told_apart(names, lambda name: [self.algorithm(name)])

    def datasets(self, names: Iterable[str]) -> dict[str, str]:
        """Labels of datasets that stand in one table, no two alike."""
        return _told_apart(names, self._datasets_forms)

    def domain(self, name: str) -> str | None:
        """What a dataset is averaged with; None where nothing is known about it."""
        prefix = self._source(name)
        stem = name[len(prefix) :] if prefix else name
        found = _beginning(self.tables["domains"], stem if prefix or name in self.tables["datasets"] else "")
        return None if found is None else self.tables["domains"][found]

    def domain_order(self, name: str) -> int:
        """Sorts datasets by domain, in the order of the labels file; those of none come last."""
        domains = list(dict.fromkeys(self.tables["domains"].values()))
        domain = self.domain(name)
        return domains.index(domain) if domain in domains else len(domains)

    def order(self, name: str) -> tuple[int, str]:
        """Sorts names of algorithms or datasets: those of the labels file as they stand there, then the others."""
        return (self.first.index(name) if name in self.first else len(self.first)), name

    def _datasets_forms(self, name: str) -> list[str]:
        """Labels of a dataset, each more precise than the one before."""
        if not self.short:
            return [name]
        if name in self.tables["datasets"]:
            return [self.tables["datasets"][name]]
        prefix = self._source(name)
        match = _PARTS.fullmatch(name[len(prefix) :]) if prefix else None
        said = self._environment(match["stem"]) if match else None
        if match is None or said is None:
            return [_shortened(name)]
        remarks = [f"{int(match['size']):,}"] if match["size"] else []
        remarks += ["validation"] if match["validation"] else []
        remarks += [match["split"].replace("=", " ")] if match["split"] else []
        source = self.tables["sources"][prefix]
        numbered = f"{said} v{match['version']}" if match["version"] else said
        forms = [(said, remarks), (numbered, remarks), (said, [source, *remarks]), (numbered, [source, *remarks])]
        return [f"{text} ({', '.join(more)})" if more else text for text, more in forms]

    def _source(self, name: str) -> str:
        """What of an id says where it is from; empty where that is not known."""
        return max((prefix for prefix in self.tables["sources"] if name.startswith(prefix)), key=len, default="")

    def _environment(self, stem: str) -> str | None:
        """``cube-double-play`` as ``Cube double-play``; None where no environment of the labels begins it."""
        known = self.tables["environments"]
        found = _beginning(known, stem)
        if found is None:
            return None
        rest = re.sub(r"-?singletask-task(\d+)", r" task \1", stem[len(found) :].lstrip("-/").replace("/", "-"))
        return f"{known[found]} {rest.replace('-singletask', ' default task')}".strip()


def read_labels(path: Path | None) -> Labels:
    """The default labels, or those of a TOML file in front of them.

    Args:
        path: a file with any of the tables ``[algorithms]``, ``[datasets]``, ``[environments]``, ``[sources]``,
            ``[domains]``, each from a name to its label. The names of its first two stand first in tables.

    Raises:
        OffbenchError: it cannot be read, is no TOML, or holds something else.
    """
    default = _default()
    if path is None:
        return Labels(default)
    given = _read(path)
    merged = {
        table: MappingProxyType({**given.get(table, {}), **_without(default[table], given.get(table, {}))})
        for table in TABLES
    }
    first = tuple(name for table in ("algorithms", "datasets") for name in given.get(table, {}))
    return Labels(MappingProxyType(merged), first)


def _beginning(names: Iterable[str], stem: str) -> str | None:
    """The longest of the names that is the stem or what it begins with, up to a dash or a slash."""
    return max((name for name in names if re.match(rf"{re.escape(name)}(?:[-/]|$)", stem)), key=len, default=None)


def _without(values: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: label for name, label in values.items() if name not in names}


@cache
def _default() -> Mapping[str, Mapping[str, str]]:
    return MappingProxyType(
        {table: MappingProxyType(labels) for table, labels in _read(resources() / "labels.toml").items()}
    )


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OffbenchError(f"cannot read the labels {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OffbenchError(f"the labels {path} are not TOML: {error}") from error
    for table, labels in content.items():
        if table not in TABLES:
            raise UnknownNameError(f"table of the labels {path}", table, TABLES)
        if not isinstance(labels, dict):
            raise OffbenchError(f"{table} of the labels {path} is no table; write [{table}] on a line of its own")
        for name, label in labels.items():
            if not isinstance(label, str) or not label.strip():
                raise OffbenchError(f"the label of {plain(name)} in {path} is {label!r}; it must be a text in quotes")
    return content


def _has(config: Mapping[str, Any], settings: str) -> bool:
    """Whether a config has all of ``name=value, name=value``, the values as JSON or as bare texts."""
    for setting in settings.split(", "):
        name, _, value = setting.partition("=")
        if name not in config or value not in (json.dumps(config[name]), config[name]):
            return False
    return True


def _shortened(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    last = name.rpartition("/")[2]
    return last if 0 < len(last) <= LONGEST else f"{name[: LONGEST // 2 - 1]}…{name[-LONGEST // 2 :]}"


def _told_apart(names: Iterable[str], forms: Callable[[str], Sequence[str]]) -> dict[str, str]:
    """The first form of each name, and for names that share it the first one that differs in all of them."""
    chosen = {name: forms(name)[0] for name in dict.fromkeys(names)}
    for shared in _shared(chosen):
        candidates = [list(form) for form in zip(*(forms(name) for name in shared), strict=False)]
        distinct = (form for form in candidates if len(set(form)) == len(shared))
        chosen |= zip(shared, next(distinct, shared), strict=True)
    for shared in _shared(chosen):  # what was chosen may be the label of something else
        chosen |= zip(shared, shared, strict=True)
    return {name: name for name in chosen} if _shared(chosen) else chosen


def _shared(labels: Mapping[str, str]) -> list[list[str]]:
    """Groups of names that have the same label."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for name, label in labels.items():
        by_label[label].append(name)
    return [names for names in by_label.values() if len(names) > 1]
