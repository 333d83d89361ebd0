"""What a learner may be given: whole trajectories, a part of them without actions, or comparisons for rewards."""

from __future__ import annotations

from typing import Any

from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.supervision import SemiSupervised
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError

Learned = Trajectories | SemiSupervised | PreferenceData
Kind = type[Trajectories] | type[SemiSupervised] | type[PreferenceData]
# What is asked for, in words, and a name that gives it.
_WORDS: dict[Kind, tuple[str, str]] = {
    Trajectories: ("whole trajectories", "DATASET"),
    SemiSupervised: ("a labelled part and one without actions", "DATASET?actions=10%-low"),
    PreferenceData: ("preferences in the place of rewards", "DATASET?preferences=500x50"),
}


def whole(data: Any) -> Trajectories:
    """The trajectories that stand for the data: those with actions, whose sizes, task and origin are those of all.

    Raises:
        DataError: it is nothing that a learner can be given.
    """
    if isinstance(data, SemiSupervised):
        return data.labelled
    if isinstance(data, PreferenceData):
        return data.trajectories
    if isinstance(data, Trajectories):
        return data
    known = ", ".join(kind.__name__ for kind in _WORDS)
    raise DataError(f"a {type(data).__name__} is nothing to learn from; one of {known} would be right")


def parts_of(data: Learned) -> list[Trajectories]:
    """All trajectories that the data are made of."""
    return [data.labelled, data.action_free] if isinstance(data, SemiSupervised) else [whole(data)]


def asked_for(requires: tuple[str | type, ...]) -> tuple[Kind, tuple[str, ...]]:
    """The kind of data and the columns that ``requires`` of an algorithm asks for.

    ``Preferences`` asks for `PreferenceData`, which has them.

    Raises:
        OffbenchError: it names a type that is no kind of data, or several.
    """
    columns = tuple(each for each in requires if isinstance(each, str))
    kinds = [PreferenceData if each is Preferences else each for each in requires if not isinstance(each, str)]
    unknown = [each for each in kinds if each not in _WORDS]
    if unknown or len(kinds) > 1:
        listed = ", ".join(getattr(each, "__name__", str(each)) for each in unknown or kinds)
        raise OffbenchError(
            f"requires names {listed}; the names of columns, and SemiSupervised or Preferences, would be right"
        )
    return (kinds[0] if kinds else Trajectories), columns


def check_kind(kind: Kind, data: Learned, learner: str) -> None:
    """Refuse data that are not of the kind that a learner asks for, with a DataError."""
    if isinstance(data, kind):
        return
    wanted, example = _WORDS[kind]
    given, _ = next(words for known, words in _WORDS.items() if isinstance(data, known))
    raise DataError(
        f"{learner} learns from {wanted}, and {whole(data).name} is a dataset of {given}; {example} would be right"
    )


def described(kind: Kind) -> str:
    """The kind in words; empty for whole trajectories."""
    return "" if kind is Trajectories else _WORDS[kind][0]
