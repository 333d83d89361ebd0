"""A file or folder, looked at as far as telling its format needs: nothing is unpacked, unpickled or read as data."""

from __future__ import annotations

import os
import struct
import zipfile
from codecs import getincrementaldecoder
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open

from offbench.errors import DataError

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # the second one of a zip without members
_TAR_SIGNATURE, _TAR_PLACE = b"ustar", 257
_LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file by its specification
_HEAD = 4096  # bytes


@dataclass(frozen=True)
class Source:
    """A path and what a first look at it shows; each look is taken when it is asked for, and once.

    What damage makes unreadable raises DataError where it is asked for.

    Attributes:
        path: an existing file or folder.
    """

    path: Path

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder; raises DataError for what is neither that nor a plain file, such as a pipe."""
        if not self.path.is_dir() and not self.path.is_file():
            what = "is neither a file nor a folder" if self.path.exists() else "does not exist"
            raise DataError(f"{self.path} {what}; give the path of a dataset")
        return self.path.is_dir()

    @cached_property
    def head(self) -> bytes:
        """The first 4,096 bytes of a file, of a folder none."""
        return b"" if self.is_folder else self.bytes_at(0, _HEAD)

    def bytes_at(self, place: int, count: int) -> bytes:
        """At most ``count`` bytes of the file from ``place`` on."""
        try:
            with self.path.open("rb") as file:
                file.seek(place)
                return file.read(count)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read ({error.strerror}); change that or give another") from error

    @cached_property
    def container(self) -> str:
        """``folder``, ``zip``, ``safetensors`` or ``hdf5`` by its first bytes, empty for everything else."""
        if self.is_folder:
            return "folder"
        if self.head.startswith(_ZIP_SIGNATURES):
            return "zip"
        if self.head[8:9] == b"{" and 2 <= struct.unpack("<Q", self.head[:8])[0] <= _LONGEST_HEADER:
            return "safetensors"
        return "hdf5" if not self.is_tar and self._has_hdf5_signature() else ""

    @cached_property
    def is_tar(self) -> bool:
        """Whether it is a tar archive."""
        return self.head[_TAR_PLACE:].startswith(_TAR_SIGNATURE)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What it holds at its top level: visible entries of a folder, members of a zip or of HDF5's root, tensors."""
        if self.container == "folder":
            return tuple(sorted(name for name in self._entries() if not name.startswith(".")))
        if self.container == "zip":
            return self._members()
        if self.container == "safetensors":
            return self._tensors[0]
        return self._root() if self.container == "hdf5" else ()

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The metadata of a safetensors file, empty for all else."""
        return self._tensors[1] if self.container == "safetensors" else {}

    @cached_property
    def text(self) -> str:
        """The beginning of a file of text, empty if it is none."""
        encoding = "utf-16" if self.head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        try:
            # The last letter may be cut in two.
            text = getincrementaldecoder(encoding)().decode(self.head)
        except UnicodeDecodeError:
            return ""
        return text if all(letter.isprintable() or letter.isspace() for letter in text) else ""

    def _has_hdf5_signature(self) -> bool:
        """HDF5 files may have something of others' before them: 512 bytes or a power of two times as many."""
        place, size = 0, self.path.stat().st_size
        while place < size:
            if self.bytes_at(place, len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return True
            place = max(512, 2 * place)
        return False

    def _entries(self) -> list[str]:
        try:
            return os.listdir(self.path)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read ({error.strerror}); change that or give another") from error

    def _members(self) -> tuple[str, ...]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return tuple(archive.namelist())
        except (zipfile.BadZipFile, struct.error, OSError, EOFError, RuntimeError, ValueError, LookupError) as error:
            raise self._damaged("zip", error) from error

    @cached_property
    def _tensors(self) -> tuple[tuple[str, ...], dict[str, str]]:
        try:
            with safe_open(self.path, framework="numpy") as file:
                return tuple(sorted(file.keys())), file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise self._damaged("safetensors", error) from error

    def _root(self) -> tuple[str, ...]:
        # Imported here because the other kinds of files do without HDF5's library.
        from offbench.formats.hdf5_file import open_hdf5

        with open_hdf5(self.path, "an HDF5 file") as file:
            return tuple(sorted(file))

    def _damaged(self, kind: str, error: Exception) -> DataError:
        reason = " ".join(str(error).split())[:200]
        return DataError(f"{self.path} is a truncated or damaged {kind} file; fetch or write it anew ({reason})")
