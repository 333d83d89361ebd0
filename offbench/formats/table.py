"""The formats of the world: how each is recognised, what reads it, with which options, and what writes it.

A new format is one file beside this one and one entry here. `offbench.load`, the readers of cards, ``offbench data``
show, lint and export, and the message for a file of no known format all go by this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from offbench.basis.shapes import Array
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, UnknownNameError
from offbench.formats import native
from offbench.formats.caching import cached
from offbench.formats.source import Source
from offbench.formats.unread import explain

Rows = tuple[dict[str, Array], dict[str, Array]]


@dataclass(frozen=True)
class Format:
    """One format. Functions are named as ``module:function`` and imported when they are needed.

    Attributes:
        name: what cards, ``offbench data export --to`` and messages call it.
        title: a file or folder of it, with its article, for sentences.
        containers: what `Source.container` may be.
        recognises: of a `Source` in such a container, whether it is of this format.
        reader: of a path and some options, what it holds.
        options: names of those options. A caller offers what it knows, and those are passed that the reader takes.
        version: of the reader, part of what makes a cached file valid: to be raised whenever the same file would be
            read differently.
        cached: whether what was read is kept as a native file.
        alone: whether one file is a dataset by itself.
        content: trajectories, or preferences, which are recognised and not loaded as trajectories.
        suffixes: how names of its files end, the first one as export writes them. What ends so is taken for a path.
        rows: of a path, (columns, infos) as they lie in the file, of whatever lengths and values, for the lint, None
            where it has no such rows; the names are those of `offbench.formats.row_names`. Empty if no file has some.
        writer: see `write`; empty if the format is only read.
        target: what an exported dataset is called where nobody says it, ``{}`` being its name.
    """

    name: str
    title: str
    containers: tuple[str, ...]
    recognises: str
    reader: str
    options: tuple[str, ...] = ()
    version: int = 1
    cached: bool = True
    alone: bool = True
    content: str = "trajectories"
    suffixes: tuple[str, ...] = ()
    rows: str = ""
    writer: str = ""
    target: str = ""

    def holds(self, source: Source) -> bool:
        """Whether a source is of this format."""
        return source.container in self.containers and bool(resolve(self.recognises)(source))

    def read(self, path: Path, **known: Any) -> Trajectories:
        """The trajectories in a path.

        Args:
            path: the file or folder.
            known: values of options; those that the reader does not take, or that are None, are left out.

        Raises:
            DataError: it holds none, or is missing or damaged.
        """
        if self.content != "trajectories":
            raise DataError(
                f"{path} is {self.title} and holds no trajectories; {self.reader.replace(':', '.')} reads it"
            )
        read: Trajectories = resolve(self.reader)(path, **self._taken(known))
        return read

    def stamp(self, **known: Any) -> str:
        """What the result of reading depends on besides the file, for `offbench.formats.caching.cached`."""
        taken = "".join(f", {name}={value!r}" for name, value in sorted(self._taken(known).items()))
        return f"{self.name} {self.version}{taken}"

    def raw_rows(self, path: Path) -> Rows | None:
        """(columns, infos) as they lie in the file, None if the format has no such rows; raises as `read` does."""
        found: Rows | None = resolve(self.rows)(path) if self.rows else None
        return found

    def write(self, trajectories: Trajectories, target: str, environment: str | None = None) -> tuple[Path, list[str]]:
        """Write trajectories and return (the file or folder, notes on what the format cannot hold).

        Args:
            trajectories: what to write.
            target: the name of the dataset, as the format names datasets: a file's, or Minari's id.
            environment: id of the Gymnasium environment that they are from, where known.

        Raises:
            DataError: the format cannot hold them.
            OffbenchError: something of that name exists, or it cannot be written.
        """
        path, notes = resolve(self.writer)(trajectories, target, environment)
        return path, list(notes)

    def _taken(self, known: Mapping[str, Any]) -> dict[str, Any]:
        return {name: known[name] for name in self.options if known.get(name) is not None}


# The first that holds a source reads it, so that what is more special stands first.
FORMATS: tuple[Format, ...] = (
    Format(
        name="native",
        title="a native file of offbench",
        containers=("safetensors",),
        recognises="offbench.formats.native:recognises",
        reader="offbench.formats.native:load",
        options=("verify",),
        cached=False,
        suffixes=(native.SUFFIX, ".safetensors"),
        writer="offbench.formats.writers:export_native",
        target=f"{{}}{native.SUFFIX}",
    ),
    Format(
        name="preferences",
        title="a native file of preferences",
        containers=("safetensors",),
        recognises="offbench.formats.native:recognises_preferences",
        reader="offbench.formats.preferences:load",
        content="preferences",
        suffixes=(native.SUFFIX,),
    ),
    Format(
        name="minari",
        title="a Minari dataset",
        containers=("folder", "hdf5"),
        recognises="offbench.formats.minari_format:recognises",
        reader="offbench.formats.minari_format:read_minari",
        options=("observation",),
        version=3,
        cached=False,
        alone=False,
        writer="offbench.formats.writers:export_minari",
        target="offbench/{}",
    ),
    Format(
        name="robomimic",
        title="an HDF5 file of robomimic",
        containers=("hdf5",),
        recognises="offbench.formats.robomimic:recognises",
        reader="offbench.formats.robomimic:read_robomimic",
        suffixes=(".hdf5",),
    ),
    Format(
        name="d3rlpy",
        title="an HDF5 file of d3rlpy's ReplayBuffer.dump",
        containers=("hdf5",),
        recognises="offbench.formats.d3rlpy_episodes:recognises",
        reader="offbench.formats.d3rlpy_episodes:read_d3rlpy",
        suffixes=(".h5",),
    ),
    Format(
        name="lerobot",
        title="a LeRobot dataset",
        containers=("folder",),
        recognises="offbench.formats.lerobot:recognises",
        reader="offbench.formats.lerobot:read_lerobot",
        alone=False,
    ),
    Format(
        name="d4rl",
        title="a D4RL-style HDF5 file",
        containers=("hdf5",),
        recognises="offbench.formats.hdf5:recognises",
        reader="offbench.formats.hdf5:read_hdf5",
        options=("episode_limit",),
        version=4,
        suffixes=(".hdf5", ".h5"),
        rows="offbench.formats.hdf5:raw_rows",
        writer="offbench.formats.writers:export_d4rl",
        target="{}.hdf5",
    ),
    Format(
        name="ipl",
        title="an IPL .npz file of preferences",
        containers=("zip",),
        recognises="offbench.formats.preference_files:recognises",
        reader="offbench.formats.preference_files:read_ipl",
        content="preferences",
        suffixes=(".npz",),
    ),
    Format(
        name="ogbench",
        title="an .npz file of OGBench",
        containers=("zip",),
        recognises="offbench.formats.ogbench:recognises",
        reader="offbench.formats.ogbench:read_ogbench",
        suffixes=(".npz",),
        rows="offbench.formats.ogbench:raw_rows",
    ),
    Format(
        name="neorl2",
        title="a NeoRL-2 .npz file",
        containers=("zip",),
        recognises="offbench.formats.npz:recognises_neorl2",
        reader="offbench.formats.npz:read_npz",
        options=("episode_limit",),
        version=3,
        suffixes=(".npz",),
        rows="offbench.formats.npz:raw_rows",
    ),
    Format(
        name="npz",
        title="a flat .npz file with D4RL's names",
        containers=("zip",),
        recognises="offbench.formats.npz:recognises",
        reader="offbench.formats.npz:read_npz",
        options=("episode_limit",),
        version=3,
        suffixes=(".npz",),
        rows="offbench.formats.npz:raw_rows",
    ),
)


def recognise(path: Path | str) -> Format:
    """The format of a file or folder, by its content.

    Raises:
        DataError: it is missing, damaged, or of no format in the table; the message says what it is and what to do.
    """
    found = recognised(path)
    if found is not None:
        return found
    titles = [each.title for each in FORMATS if each.content == "trajectories"]
    raise DataError(explain(Source(Path(path)), suffixes(), titles))


def recognised(path: Path | str) -> Format | None:
    """`recognise`, or None where it is of no format in the table."""
    source = Source(Path(path))
    return next((each for each in FORMATS if each.holds(source)), None)


def named(name: str) -> Format:
    """The format of that name; raises UnknownNameError."""
    found = {each.name: each for each in FORMATS}
    if name not in found:
        raise UnknownNameError("format", name, found)
    return found[name]


def written() -> list[Format]:
    """The formats that trajectories can be written in."""
    return [each for each in FORMATS if each.writer]


def suffixes() -> tuple[str, ...]:
    """How names of files of all formats end."""
    return tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))


def load(path: Path | str, **known: Any) -> Trajectories:
    """The trajectories of a file or folder of any format, mapped from the cache where that has them.

    Args:
        path: the file or folder.
        known: values of options of readers, see `Format.read`.

    Raises:
        DataError: as `recognise` and the format's reader do, or it holds no trajectories.
    """
    path = Path(path)
    found = recognise(path)

    def read(path: Path) -> Trajectories:
        return found.read(path, **known)

    return cached(path, read, options=found.stamp(**known)) if found.cached else read(path)


def resolve(name: str) -> Any:
    """The function called ``module:function``."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
