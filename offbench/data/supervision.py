"""Less supervision: datasets without actions in most episodes, without actions, or without rewards.

The splits are those of SS-ORL (Zheng et al. 2023, "Semi-Supervised Offline Reinforcement Learning with Action-Free
Trajectories", https://arxiv.org/abs/2210.06518). A split has a name, so that two papers can mean the same one::

    actions=10%-low          actions in 10 % of the episodes, drawn from the half with the lowest returns
    actions=10%-q30          ... from the 30 % with the lowest returns
    actions=10%-low-to-high  ... from the lowest third of returns; the highest third is there without actions
    actions=none             no actions at all
    part=labelled            where some actions are hidden, the episodes with actions alone; action_free: the others
    rewards=none             no rewards
    preferences=500x50       500 comparisons of segments of 50 steps by a scripted teacher in the place of rewards
    ties=5                   returns that differ by no more are a tie; 0 if left out, none for no ties at all
    seed=3                   another draw of the labelled episodes, or of the segments; 0 if left out

Settings are joined by ``&``: ``actions=10%-low&rewards=none&seed=3``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.preference_data import PreferenceData
from offbench.data.preferences import Preferences
from offbench.data.teacher import Teacher
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError, UnknownNameError

Mode = Literal["coupled", "decoupled"]
TERCILES = ("low", "medium", "high")

_KEYS = ("actions", "part", "rewards", "preferences", "ties", "seed")
_PARTS = ("labelled", "action_free")
_EXAMPLES = ("10%-low", "10%-q30", "10%-low-to-high", "none")
_PARTLY = re.compile(
    r"(?P<share>\d{1,3}(\.\d{1,6})?)%-(q(?P<quantile>\d{1,3}(\.\d{1,6})?)|(?P<source>[a-z]+)(-to-(?P<target>[a-z]+))?)"
)
_KEY = f"({'|'.join(_KEYS)})"
_SPLIT_ID = re.compile(rf"(?P<dataset>.*)\?(?P<split>{_KEY}=[^?&]*(&{_KEY}=[^?&]*)*)")
_COMPARED = re.compile(r"(?P<pairs>[1-9]\d{0,7})x(?P<length>[1-9]\d{0,5})")


@dataclass(frozen=True, eq=False)
class SemiSupervised:
    """Episodes with actions, and others of the same task without.

    Attributes:
        labelled: episodes with actions, in their original order.
        action_free: episodes without, in their original order.
        split: name of the split, as `apply_split` takes it.
    """

    labelled: Trajectories
    action_free: Trajectories
    split: str

    @property
    def digest(self) -> str:
        """SHA-256 over the name of the split and the digests of both parts."""
        parts = (self.split, self.labelled.digest, self.action_free.digest)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def summary(self) -> str:
        """A printed description of both parts."""
        return f"{self.split}\nlabelled, {self.labelled.summary()}\naction-free, {self.action_free.summary()}"

    __str__ = summary


def apply_split(trajectories: Trajectories, query: str) -> SemiSupervised | PreferenceData | Trajectories:
    """The dataset under a named split, such as ``actions=10%-low&seed=3``; the grammar is in this module's docstring.

    Returns:
        `SemiSupervised` where some episodes keep their actions and no part is named, `PreferenceData` where comparisons
        stand in the place of rewards, else Trajectories.

    Raises:
        UnknownNameError: a key or a value that is none of the grammar's; the message lists the nearest.
        OffbenchError: a key twice, or a seed where nothing is drawn.
        DataError: data that the split cannot be made of.
    """
    settings = _parse(query)
    part = settings.pop("part", None)
    if part not in (None, *_PARTS):
        raise UnknownNameError("part of a split", str(part), _PARTS)
    found = _applied(trajectories, query, settings)
    if part is None:
        return found
    if not isinstance(found, SemiSupervised):
        raise OffbenchError(
            f"the split {query!r} has no parts to choose from; actions={_EXAMPLES[0]}, for example, has two"
        )
    chosen: Trajectories = getattr(found, part)
    return _renamed(chosen, f"part={part}", f"of the split the {part.replace('_', '-')} part alone")


def _applied(
    trajectories: Trajectories, query: str, settings: dict[str, str]
) -> SemiSupervised | PreferenceData | Trajectories:
    """Both parts of the dataset under the split of these settings."""
    actions, hidden = settings.get("actions"), "rewards" in settings
    if "preferences" in settings or "ties" in settings:
        return _compared(trajectories, query, settings)
    if hidden and settings["rewards"] != "none":
        raise UnknownNameError("split of rewards", settings["rewards"], ["none"])
    if actions is None or actions == "none":
        if "seed" in settings:
            raise OffbenchError(f"the split {query!r} draws nothing, so its seed means nothing; leave the seed out")
        whole = trajectories if actions is None else _without_actions(trajectories, "actions=none")
        return hide_rewards(whole) if hidden else whole
    match = _PARTLY.fullmatch(actions)
    if match is None:
        raise UnknownNameError("split of actions", actions, _EXAMPLES)
    view = _from_match(trajectories, match, _seed(settings.get("seed", "0")))
    if not hidden:
        return view
    split = _name({**_parse(view.split), "rewards": "none"})
    return SemiSupervised(hide_rewards(view.labelled), hide_rewards(view.action_free), split)


def hide_actions(
    trajectories: Trajectories,
    labelled: float = 0.1,
    quantile: float = 0.5,
    seed: int = 0,
    mode: Mode = "coupled",
    terciles: tuple[str, str] = ("low", "high"),
) -> SemiSupervised:
    """Keep the actions of a few episodes, drawn among those with low returns.

    Coupled: of n episodes, min(floor(quantile n), floor(labelled n)) are drawn uniformly without replacement from the
    floor(quantile n) with the lowest returns; all others lose their actions. Decoupled: episodes are cut by return into
    thirds at floor(n / 3) and floor(2 n / 3); min(third, floor(labelled n)) are drawn from the first third named, the
    second third named loses its actions, and the rest is left out. Equal returns are ranked by their place. The draw
    is the same with every version of NumPy.

    Args:
        trajectories: with actions and rewards.
        labelled: share of all episodes that keep their actions, in (0, 1].
        quantile: share of episodes, lowest returns first, that they are drawn from, in (0, 1]; coupled only.
        seed: of the draw.
        mode: "coupled" or "decoupled".
        terciles: (labelled, action-free), each "low", "medium" or "high" and not the same; decoupled only.

    Raises:
        DataError: no actions or rewards, or shares that leave one of the two parts without an episode.
        UnknownNameError: a mode or tercile that does not exist.
    """
    if trajectories.actions is None:
        raise DataError("the dataset has no actions that could be hidden")
    if mode not in get_args(Mode):
        raise UnknownNameError("mode of hiding actions", mode, get_args(Mode))
    share = _fraction("labelled", labelled)
    ranked, count = np.argsort(trajectories.returns, kind="stable"), len(trajectories)
    if mode == "coupled":
        portion = _fraction("quantile", quantile)
        source, rest = ranked[: int(portion * count)], ranked
        suffix = "low" if portion == Fraction(1, 2) else f"q{_percent(portion)}"
    else:
        source, rest = (_tercile(ranked, tercile) for tercile in terciles)
        if terciles[0] == terciles[1]:
            raise DataError(f"labelled and action-free episodes both come from tercile {terciles[0]}; name two")
        suffix = f"{terciles[0]}-to-{terciles[1]}"
    chosen = np.sort(_draw(source, min(len(source), int(share * count)), seed))
    others = np.setdiff1d(rest, chosen)
    for what, part in (("a labelled", chosen), ("an action-free", others)):
        if len(part) == 0:
            name = f"actions={_percent(share)}%-{suffix}"
            raise DataError(f"{name} leaves {what} part no episode of {count}; change a share")
    split = _name({"actions": f"{_percent(share)}%-{suffix}", "seed": str(seed)})
    named = _renamed(trajectories, split, f"{len(chosen)} of {count} episodes kept their actions")
    return SemiSupervised(named[chosen], _without_actions(named[others], None), split)


def compare(
    trajectories: Trajectories, pairs: int, length: int, ties: float | None = 0.0, seed: int = 0
) -> PreferenceData:
    """Comparisons by a scripted teacher in the place of rewards, see `Preferences.from_teacher`.

    Args:
        trajectories: with actions and rewards.
        pairs: how many.
        length: steps of a segment.
        ties: returns that differ by no more are a tie; None: none are.
        seed: of the draw.

    Raises:
        DataError: no actions or rewards, or no episode of that length.
    """
    asked = Preferences.from_teacher(trajectories, Teacher(ties=ties), pairs, length, seed)
    settings = {"preferences": f"{pairs}x{length}", "seed": str(seed)}
    if ties != 0.0:
        settings["ties"] = "none" if ties is None else repr(float(ties))
    split = _name(settings)
    first, second = (replace(side, rewards=None) for side in (asked.first, asked.second))
    bare = _renamed(hide_rewards(trajectories), split, asked.provenance.notes[-1])
    return PreferenceData(bare, Preferences(first, second, asked.labels, bare.provenance), split)


def hide_rewards(trajectories: Trajectories) -> Trajectories:
    """The same episodes without rewards, and without extras named after them; the provenance says so."""
    extras = {name: column for name, column in trajectories.extras.items() if not _about(name, "reward")}
    return replace(_renamed(trajectories, "rewards=none", "rewards were hidden"), rewards=None, extras=extras)


def pairs_and_steps(text: str) -> tuple[int, int] | None:
    """How many pairs and how long their segments are, as ``500x50`` says it; None where it says nothing of the kind."""
    match = _COMPARED.fullmatch(text)
    return None if match is None else (int(match["pairs"]), int(match["length"]))


def _compared(trajectories: Trajectories, query: str, settings: dict[str, str]) -> PreferenceData:
    asked = pairs_and_steps(settings.get("preferences", ""))
    if asked is None:
        raise OffbenchError(f"the split {query!r} needs preferences=PAIRSxSTEPS, preferences=500x50 for example")
    if "actions" in settings or "rewards" in settings:
        raise OffbenchError(f"the split {query!r} has preferences, beside which nothing else is hidden")
    ties = settings.get("ties", "0")
    if ties != "none" and not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", ties):
        raise OffbenchError(f"ties of a split are {ties!r}; a number such as 5, or none, would be right")
    level = None if ties == "none" else float(ties)
    return compare(trajectories, *asked, level, _seed(settings.get("seed", "0")))


# -------------------------------------------------------------------- parts


def _without_actions(trajectories: Trajectories, split: str | None) -> Trajectories:
    """Without actions and without extras that tell them; ``split`` names the result.

    These are log-probabilities and means, and the accelerations that actions caused, which a simulator's state has.
    """
    telling = ("action", "qacc")
    kept = {name: c for name, c in trajectories.extras.items() if not any(_about(name, each) for each in telling)}
    named = trajectories if split is None else _renamed(trajectories, split, "actions were hidden")
    return replace(named, actions=None, action_range=None, extras=kept)


def _about(extra: str, what: str) -> bool:
    return extra.rsplit("/", 1)[-1].startswith(what)


def _draw(episodes: Array, count: int, seed: int) -> Array:
    """``count`` of the episodes, uniformly without replacement."""
    # NumPy promises the raw stream of a bit generator for good, and that of Generator.choice for no version.
    keys = np.random.PCG64(seed).random_raw(len(episodes))
    drawn: Array = episodes[np.argsort(keys, kind="stable")[:count]]
    return drawn


def _tercile(ranked: Array, tercile: str) -> Array:
    if tercile not in TERCILES:
        raise UnknownNameError("tercile", tercile, TERCILES)
    third = TERCILES.index(tercile)
    return ranked[third * len(ranked) // 3 : (third + 1) * len(ranked) // 3]


def _fraction(name: str, share: float) -> Fraction:
    """The share as it is written: floor(0.29 * 100) is then 29."""
    if not 0 < share <= 1:
        raise DataError(f"{name} is {share}; a share of the episodes in (0, 1] would be right")
    return Fraction(repr(float(share)))


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):.10g}"


# -------------------------------------------------------------------- names


def _parse(query: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key not in _KEYS:
            raise UnknownNameError("key of a split", key, _KEYS, hint=f"e.g. actions={_EXAMPLES[0]}&seed=3")
        if key in settings:
            raise OffbenchError(f"the split {query!r} gives {key} twice; once would be right")
        settings[key] = value
    return settings


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise OffbenchError(f"the seed of a split is {text!r}; a whole number such as 3 would be right")
    return int(text)


def _from_match(trajectories: Trajectories, match: re.Match[str], seed: int) -> SemiSupervised:
    share = float(Fraction(match["share"]) / 100)
    source, target = match["source"], match["target"]
    if target is not None:
        return hide_actions(trajectories, share, seed=seed, mode="decoupled", terciles=(source, target))
    if source not in (None, "low"):
        raise UnknownNameError("split of actions", match.string, _EXAMPLES)
    quantile = 0.5 if source else float(Fraction(match["quantile"]) / 100)
    return hide_actions(trajectories, share, quantile, seed)


def _name(settings: dict[str, str]) -> str:
    return "&".join(f"{key}={settings[key]}" for key in _KEYS if key in settings)


def _renamed(trajectories: Trajectories, split: str, *remarks: str) -> Trajectories:
    """With the split in the name of the dataset and remarks in its notes."""
    provenance = trajectories.provenance
    match = _SPLIT_ID.fullmatch(provenance.dataset)
    dataset, earlier = (match["dataset"], _parse(match["split"])) if match else (provenance.dataset, {})
    added = _parse(split)
    if "preferences" in added:  # which say that rewards are hidden
        earlier.pop("rewards", None)
    merged = _name(earlier | added)
    notes: Iterable[str] = (*provenance.notes, *remarks)
    return trajectories.told(replace(provenance, dataset=f"{dataset}?{merged}", notes=tuple(notes)))
