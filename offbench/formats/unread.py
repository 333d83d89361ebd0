"""What is met in place of a dataset and not read: how it is recognised, what it is, and what to do instead."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from offbench.formats.source import Source

Told = str | Callable[[Source], str]

_AS_COLUMNS = "save its observations, actions, rewards, terminals and timeouts with numpy.savez and give that file"
_NO_PICKLE = f"a pickle can run code and is not opened; where you trust it, {_AS_COLUMNS}"

# First bytes, the program that packs so, and the command that unpacks.
_PACKED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x"),
    (b"Rar!\x1a\x07", "RAR", "unrar x"),
)
_TAR_NAME = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$")
_WEB_PAGE = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body|error)\b", re.I | re.S)
# How pickles of protocols 0 and 1 begin, which have no mark of their own: a dictionary, a list, or a name to import.
_OLD_PICKLE = re.compile(rb"\((?:dp?|lp?)\d*\n|c[A-Za-z_][\w.]*\n\w+\n|[\]})(]q\x00")
_OPCODES = {instruction.code for instruction in pickletools.opcodes}
# The number by which torch.save marked its files before it wrote zips.
_TORCH_MARK = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_EPISODE = re.compile(r"episode_\d+")


@dataclass(frozen=True)
class Unread:
    """One kind of content that is not read.

    Attributes:
        recognises: whether a source is of this kind, asked after all kinds above it in the table have declined.
        what: what it is, which follows the path in a sentence.
        remedy: what to do, which follows that.
    """

    recognises: Callable[[Source], object]
    what: Told
    remedy: Told

    def tell(self, source: Source) -> str:
        """The sentence for a source of this kind."""
        what, remedy = (part if isinstance(part, str) else part(source) for part in (self.what, self.remedy))
        return f"{source.path} {what}; {remedy}"


def explain(source: Source, suffixes: Sequence[str], titles: Sequence[str]) -> str:
    """One sentence on what a source is, which is of no format that is read, and what to do about it.

    Args:
        source: the file or folder.
        suffixes: of files of the formats that are read.
        titles: what is read, each with its article.
    """
    for kind in UNREAD:
        if kind.recognises(source):
            return kind.tell(source)
    if source.is_folder:
        return _other_folder(source, tuple(suffixes))
    what = "holds text" if source.text else f"begins with {source.head[:8]!r}"
    if source.path.suffix in suffixes:
        what += f", as no {source.path.suffix} file does"
        return f"{source.path} {what}, so it is damaged or misnamed; fetch or write it anew"
    return f"{source.path} {what} and is of no format that is read; {', '.join(titles)} would be right"


def listed(names: Iterable[str]) -> str:
    """At most eight names, quoted so that none carries commands to a terminal."""
    names = list(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(map(repr, names[:8])) or "nothing") + more


# -------------------------------------------------------------------- files


def _starts(*beginnings: bytes) -> Callable[[Source], bool]:
    return lambda source: source.head.startswith(beginnings)


def _is(container: str) -> Callable[[Source], bool]:
    return lambda source: source.container == container


def _is_empty(source: Source) -> bool:
    return not source.is_folder and not source.head


def _is_web_page(source: Source) -> bool:
    return bool(_WEB_PAGE.match(source.text))


def _unpacker(source: Source) -> tuple[str, str]:
    """(program, command) of a packed file, empty for others."""
    if source.is_tar:
        return "tar", "tar -xf"
    found = next(((name, command) for magic, name, command in _PACKED if source.head.startswith(magic)), ("", ""))
    return (found[0], "tar -xf") if found[0] and _TAR_NAME.search(source.path.name) else found


def _unpacking(source: Source) -> str:
    return f"unpack it first ({_unpacker(source)[1]} {source.path.name}) and give what comes out"


def _is_torch(source: Source) -> bool:
    zipped = source.container == "zip" and any(name.split("/")[-1] == "data.pkl" for name in source.names)
    return zipped or source.head[2:].startswith(_TORCH_MARK)


def _is_pickle(source: Source) -> bool:
    head = source.head
    if head[:1] == b"\x80" and len(head) > 2:
        return 2 <= head[1] <= 5 and chr(head[2]) in _OPCODES
    named = not source.is_folder and source.path.suffix in (".pkl", ".pickle")
    return named or bool(_OLD_PICKLE.match(head))


def _table_remedy(source: Source) -> str:
    """For Parquet and Arrow, in which Minari keeps one episode a folder."""
    above = list(source.path.absolute().parents)[:2]
    folder = next((each for each in above if (each / "metadata.json").is_file()), None)
    return f"read it with pyarrow, {_AS_COLUMNS}" if folder is None else f"give the whole Minari dataset, {folder}"


def _is_json(source: Source) -> bool:
    return source.text.lstrip()[:1] in ("{", "[")


def _is_csv(source: Source) -> bool:
    lines = source.text.splitlines()[:4]
    counts = [{line.count(mark) for line in lines} for mark in ",;\t"]
    alike = len(lines) > 2 and any(len(each) == 1 and each != {0} for each in counts)
    return bool(lines) and (alike or source.path.suffix in (".csv", ".tsv"))


# -------------------------------------------------------------------- Minari that is not whole, or old


def _holds_episodes(source: Source) -> bool:
    return source.container == "hdf5" and bool(source.names) and all(map(_EPISODE.fullmatch, source.names))


def _is_old_minari(source: Source) -> bool:
    """Up to Minari 0.4, what is in metadata.json today were attributes of main_data.hdf5."""
    if source.is_folder:
        whole = [source.path / name for name in ("data/main_data.hdf5", "main_data.hdf5")]
        return any(path.is_file() and _is_old_minari(Source(path)) for path in whole)
    if not _holds_episodes(source):
        return False
    # Imported here because what is no HDF5 does without its library.
    from offbench.formats.hdf5_file import open_hdf5

    with open_hdf5(source.path, "an HDF5 file") as file:
        return "total_episodes" in file.attrs


# -------------------------------------------------------------------- folders


def _is_rlds(source: Source) -> bool:
    return source.is_folder and "features.json" in source.names and any(".tfrecord" in name for name in source.names)


def _has_labels(source: Source) -> bool:
    marks = ("label_human", "human_label_", "fake_label_")
    return source.is_folder and any(name.startswith(marks) for name in source.names)


def _datasets_below(source: Source) -> list[str]:
    """Folders of Minari in a folder."""
    names = source.names if source.is_folder else ()
    return [name for name in names if (source.path / name / "data" / "metadata.json").is_file()]


def _other_folder(source: Source, suffixes: tuple[str, ...]) -> str:
    found = [name for name in source.names if name.endswith(suffixes)]
    # A cache of x.hdf5 is no dataset beside it.
    files = [name for name in found if name.rpartition(".")[0] not in found and (source.path / name).is_file()]
    if files:
        joined = "; several are joined by offbench.concatenate, or, numbered, as one dataset" if len(files) > 1 else ""
        return f"{source.path} is a folder with files of data, {listed(files)}; name one of them{joined}"
    what = f"is a folder that holds {listed(source.names)}" if source.names else "is an empty folder"
    return f"{source.path} {what}; the folder of a Minari dataset, which has data/metadata.json, would be right"


# -------------------------------------------------------------------- the table

UNREAD: tuple[Unread, ...] = (
    # Downloads that failed.
    Unread(_is_empty, "is empty", "what wrote or fetched it stopped at once, so do that again"),
    Unread(
        _starts(b"version https://git-lfs.github.com/spec/"),
        "is git-lfs's pointer to a file that was not fetched",
        "run git lfs pull in its repository",
    ),
    Unread(
        _is_web_page,
        "is a web page, which a server sent in place of the data",
        "read there what went wrong, and fetch the data anew",
    ),
    # Packed.
    Unread(lambda source: _unpacker(source)[0], lambda source: f"is packed with {_unpacker(source)[0]}", _unpacking),
    # Other ways to keep arrays and tables.
    Unread(_starts(b"\x93NUMPY"), "is one array of numpy, without the names of columns", _AS_COLUMNS),
    Unread(_is_torch, "was written by torch.save, which pickles", _NO_PICKLE),
    Unread(_is_pickle, "is a pickle", _NO_PICKLE),
    Unread(_starts(b"PAR1"), "is a Parquet table", _table_remedy),
    Unread(_starts(b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"), "is an Arrow table", _table_remedy),
    Unread(
        _is("zip"),
        lambda source: f"is a zip that holds {listed(source.names)} and no arrays",
        "if a dataset is in it, unpack it and give that",
    ),
    Unread(
        _is_old_minari,
        "was written by Minari 0.4 or before, which kept its metadata in main_data.hdf5",
        "fetch it anew with today's minari, or read it with the old one and write it with minari 0.5 or later",
    ),
    Unread(
        _holds_episodes,
        "has the episodes of a Minari dataset, but metadata.json is not beside it",
        "give the folder of a whole dataset",
    ),
    Unread(
        _is("hdf5"),
        lambda source: f"is HDF5 of no layout that is read: its root holds {listed(source.names)}",
        "D4RL's has observations, actions, rewards and terminals there, and Minari's episode_0, episode_1 and so on",
    ),
    Unread(
        _is("safetensors"),
        lambda source: (
            f"is a safetensors file of the format {source.metadata.get('format', 'none')!r} that holds "
            f"{listed(source.names)}"
        ),
        "one of trajectories, as offbench data export writes it, would be right",
    ),
    # Text.
    Unread(_is_json, "is JSON", _AS_COLUMNS),
    Unread(_is_csv, "is a table of text (CSV)", f"read it with pandas or numpy.genfromtxt, {_AS_COLUMNS}"),
    # Folders.
    Unread(
        _is_rlds,
        "is a TFDS folder of RLDS episodes in TFRecords",
        "read it with tensorflow_datasets.builder_from_directory where TensorFlow is, flatten its steps, and save "
        "observations, actions, rewards, is_first, is_last and is_terminal with numpy.savez",
    ),
    Unread(
        _has_labels,
        "has labels of preferences without the segments that they compare",
        "offbench.formats.preference_files.read_labels(folder, trajectories) joins the two",
    ),
    Unread(
        _datasets_below,
        lambda source: f"is a folder of Minari datasets, {listed(_datasets_below(source))}",
        "name one of these",
    ),
)
