"""Entries as they arrive: a folder or an archive of a stranger's, looked through before a byte of it is unpacked.

Only what the layout of an entry names may be in it: plain files, each once, none of them large, and not too many.
Everything else (paths that lead elsewhere, links, devices, bombs) is refused with what it is.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from offbench.basis.plain import plain
from offbench.errors import OffbenchError

MANIFEST = "entry.json"
VERDICT = "verification.json"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,150}"
_SEED = r"seed-(?:0|[1-9][0-9]{0,18})"  # each number has one spelling, so that no two files are one seed's
LAYOUT = re.compile(rf"entry\.json|records/{_SLUG}/{_SEED}\.json|policies/{_SLUG}/{_SEED}\.onnx")

MEBIBYTE = 2**20
LARGEST_JSON = 16 * MEBIBYTE
LARGEST_POLICY = 64 * MEBIBYTE
LARGEST_ENTRY = 1024 * MEBIBYTE
MOST_FILES = 10_000
MOST_SHRINKING = 200  # times that a file may be larger than its packed form; JSON of records shrinks 2 to 10 times


# What the two libraries raise for bytes that are damaged on purpose; text that is no UTF-8 is a ValueError.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, struct.error)


@dataclass(frozen=True)
class Member:
    """A file of an entry, as its folder or archive says.

    Attributes:
        name: path within the entry, with slashes.
        size: in bytes.
    """

    name: str
    size: int


@contextmanager
def opened(path: Path, *, verified: bool = False) -> Iterator[Path]:
    """The folder of an entry; that of an archive is a temporary one.

    Args:
        path: folder, .zip, .tar.gz, .tgz or .tar.
        verified: whether a verdict may lie in a folder, because it was verified before.

    Raises:
        OffbenchError: there is nothing, it is of no such kind, or holds what no entry does; nothing was unpacked then.
    """
    if path.is_symlink():
        raise OffbenchError(f"{path} is a link; name the folder or archive itself")
    if path.is_dir():
        check_members(path, _in_folder(path), verified)
        yield path
        return
    if not path.is_file():
        raise OffbenchError(f"there is no entry {path}; name a folder, a .zip or a .tar.gz")
    with tempfile.TemporaryDirectory(prefix="offbench-entry-") as temporary:
        folder = Path(temporary)
        try:
            if zipfile.is_zipfile(path):
                _unpack_zip(path, folder)
            else:
                _unpack_tar(path, folder)
        except OffbenchError:
            raise
        except _DAMAGED as error:
            raise OffbenchError(
                f"{path} is no folder, .zip or .tar.gz that can be read: {plain(error) or 'it is damaged'}"
            ) from error
        yield folder


def check_members(path: Path, members: Iterable[Member], verified: bool = False) -> list[Member]:
    """The files of an entry, once all of them are what the layout names.

    Raises:
        OffbenchError: one of them is not, or they are too many or too large.
    """
    found: dict[str, Member] = {}
    total = 0
    for member in members:
        name = member.name
        if name == VERDICT and verified:
            continue
        _check_name(path, name)
        if name.lower() in found:
            raise OffbenchError(f"{path} holds {plain(name)} twice; each file once would be right")
        largest = LARGEST_POLICY if name.endswith(".onnx") else LARGEST_JSON
        if member.size > largest:
            raise OffbenchError(
                f"{plain(name)} in {path} has {member.size:,} bytes; a file of its kind has at most {largest:,}"
            )
        total += member.size
        if total > LARGEST_ENTRY or len(found) >= MOST_FILES:
            raise OffbenchError(
                f"{path} holds more than {MOST_FILES:,} files or {LARGEST_ENTRY:,} bytes; no entry is that large"
            )
        found[name.lower()] = member
    if MANIFEST not in found:
        raise OffbenchError(f"{path} has no {MANIFEST} at its top, so it is no entry")
    return list(found.values())


def _check_name(path: Path, name: str) -> None:
    shown = plain(name)
    if name == VERDICT:
        raise OffbenchError(
            f"{path} brings its own {VERDICT} along; that file is written by who verifies, leave it out"
        )
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise OffbenchError(f"{path} holds the path {shown}, which leads out of the entry")
    if not LAYOUT.fullmatch(name):
        raise OffbenchError(
            f"{path} holds {shown}, which is no file of an entry; {MANIFEST}, records/DATASET/seed-N.json and "
            "policies/DATASET/seed-N.onnx are"
        )


def _in_folder(path: Path) -> Iterator[Member]:
    for where, folders, names in os.walk(path):
        for name in sorted([*folders, *names]):
            full = Path(where, name)
            state = full.lstat()
            relative = full.relative_to(path).as_posix()
            if stat.S_ISDIR(state.st_mode):
                continue
            _check_kind(path, relative, stat.S_ISLNK(state.st_mode), stat.S_ISREG(state.st_mode))
            yield Member(relative, state.st_size)


def _check_kind(path: Path, name: str, is_link: bool, is_plain: bool) -> None:
    if is_link:
        raise OffbenchError(f"{plain(name)} in {path} is a link; entries hold plain files alone")
    if not is_plain:
        raise OffbenchError(f"{plain(name)} in {path} is a device, a pipe or a socket; entries hold plain files alone")


# -------------------------------------------------------------------- archives


def _unpack_zip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = check_members(path, _in_zip(path, archive))
        for member in members:
            with archive.open(member.name) as source:
                _write(source, folder / member.name, member, path)


def _in_zip(path: Path, archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            _check_folder(path, info.filename)
            continue
        _check_kind(path, info.filename, kind == stat.S_IFLNK, kind in (0, stat.S_IFREG))
        if info.flag_bits & 1:
            raise OffbenchError(f"{plain(info.filename)} in {path} is encrypted; pack it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OffbenchError(f"{plain(info.filename)} in {path} is packed in a way of its own; deflate is right")
        if info.file_size > MOST_SHRINKING * max(info.compress_size, 1) and info.file_size > MEBIBYTE:
            raise OffbenchError(
                f"{plain(info.filename)} in {path} would unpack to {info.file_size / max(info.compress_size, 1):,.0f} "
                f"times its size; more than {MOST_SHRINKING} times is taken for a bomb"
            )
        yield Member(info.filename, info.file_size)


def _check_folder(path: Path, name: str) -> None:
    """Folders are made as files need them; an entry of an archive that is one has to be harmless all the same."""
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
        raise OffbenchError(f"{path} holds the path {plain(name)}, which leads out of the entry")


class _Bounded(io.RawIOBase):
    """The bytes of a packed file, and an end with a sentence where they become too many."""

    def __init__(self, path: Path, source: gzip.GzipFile | IO[bytes], most: int) -> None:
        self._path, self._source, self._left, self._most = path, source, most, most

    def readable(self) -> bool:
        """It is read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as there are bytes.

        Raises:
            OffbenchError: more were read than any entry of this packed size has.
        """
        got = self._source.read(len(buffer))
        self._left -= len(got)
        if self._left < 0:
            raise OffbenchError(f"{self._path} unpacks to more than {self._most:,} bytes; that is taken for a bomb")
        buffer[: len(got)] = got
        return len(got)


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as packed:
        is_gzip = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        size = path.stat().st_size
        most = min(LARGEST_ENTRY, max(MOST_SHRINKING * size, MEBIBYTE)) + MEBIBYTE
        source = gzip.GzipFile(fileobj=packed) if is_gzip else packed
        bounded = io.BufferedReader(_Bounded(path, source, most))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            yield archive


def _unpack_tar(path: Path, folder: Path) -> None:
    with _tar(path) as archive:
        members = {member.name: member for member in check_members(path, _in_tar(path, archive))}
    with _tar(path) as archive:
        for info in archive:
            source = archive.extractfile(info) if info.isreg() else None
            if source is not None:
                _write(source, folder / info.name, members[info.name], path)


def _in_tar(path: Path, archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            _check_folder(path, info.name)
            continue
        _check_kind(path, info.name, info.issym() or info.islnk(), info.isreg())
        yield Member(info.name, info.size)


def _write(source: IO[bytes], target: Path, member: Member, path: Path) -> None:
    """Write a member whose name and size were checked; a longer one than it says is refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with target.open("xb") as file:
        while part := source.read(min(left + 1, MEBIBYTE)):
            left -= len(part)
            if left < 0:
                raise OffbenchError(f"{plain(member.name)} in {path} is longer than the archive says")
            file.write(part)
    if left:
        raise OffbenchError(f"{plain(member.name)} in {path} is shorter than the archive says")
