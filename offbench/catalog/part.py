"""What has come of a file so far, and how it becomes the file: ``<name>.part`` and ``<name>.part.json`` beside it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offbench.catalog.content import Content
from offbench.catalog.http import GARBLED, Patience, TransferError, plain
from offbench.catalog.progress import Progress
from offbench.errors import OffbenchError

BLOCK = 2**18  # bytes that are read, hashed and written at a time


class ContentError(TransferError):
    """The transfer was complete and its content wrong."""


@dataclass
class Part:
    """The bytes that have come of ``path``, and in a second file from where.

    Attributes:
        path: what it becomes.
        content: what the bytes must be.
        progress: hears of bytes done and all.
        patience: how slow they may come.
    """

    path: Path
    content: Content
    progress: Progress
    patience: Patience
    file: Path = field(init=False)
    origin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.path.with_name(self.path.name + ".part")
        self.origin = self.path.with_name(self.path.name + ".part.json")

    @property
    def size(self) -> int:
        """Number of bytes that have come."""
        return self.file.stat().st_size if self.file.is_file() else 0

    def discard(self) -> None:
        """Begin anew."""
        self.file.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give it the name of the whole, on the disk; raises ContentError and begins anew if its bytes are wrong."""
        wrong = self.content.wrong(self.file)
        if wrong:
            self.discard()
            raise ContentError(wrong)
        with self.file.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.file, self.path)
        self.origin.unlink(missing_ok=True)

    def note_origin(self, url: str, validator: str) -> None:
        """Record where the bytes come from, and the tag or date that they had there."""
        self.origin.write_text(json.dumps({"url": url, "validator": validator}))

    def validator(self, url: str) -> str | None:
        """The validator to ask for what follows the bytes that are there; empty if none is needed, None if in vain."""
        if not self.size:
            return None
        try:
            origin = json.loads(self.origin.read_text())
            known = origin["validator"] if origin["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            known = None
        if isinstance(known, str) and known:
            return known
        return "" if self.content.is_certain else None

    # ---------------------------------------------------------------- writing

    def store(self, read: Callable[[int], bytes], offset: int, total: int | None) -> None:
        """Append what ``read`` gives, until it gives nothing or more than there should be.

        Args:
            read: gives at most as many bytes as it is asked for, none at the end.
            offset: the size of what is there, or 0 to begin anew.
            total: the size of the whole, where known.

        Raises:
            TransferError: it was cut, stalled, or gave more or fewer bytes than ``total``.
            OffbenchError: there is no room for it, or it cannot be written.
        """
        self._check_room(offset, total)
        # A server that does not say how much it sends may send without end.
        most = total if total is not None else offset + shutil.disk_usage(self.path.parent).free // 2
        received, since, window = offset, offset, time.monotonic()
        with self.file.open("ab" if offset else "wb") as file:
            while True:
                try:
                    block = read(BLOCK)
                except GARBLED as error:
                    raise TransferError(f"cut after {received:,} bytes ({plain(error)})") from error
                if not block:
                    break
                self._write(file, block)
                received += len(block)
                self.progress(received, total)
                if received > most:
                    break
                now = time.monotonic()
                if now - window > self.patience.timeout:
                    if received - since < self.patience.least:
                        raise TransferError(f"stalled after {received:,} bytes")
                    since, window = received, now
        if total is None and received > most:
            self.discard()
            raise TransferError(f"{received:,} bytes came without an end, half of what is free here", final=True)
        if total is not None and received != total:
            if received > total:
                self.discard()
            raise TransferError(f"{received:,} of {total:,} bytes came")

    def _check_room(self, offset: int, total: int | None) -> None:
        needed = (total or 0) - offset
        if needed > shutil.disk_usage(self.path.parent).free:
            self.discard()
            raise OffbenchError(
                f"{self.path.parent} has no room for the {needed:,} bytes of {self.path.name}; make some or move the "
                "cache with OFFBENCH_CACHE"
            )

    def _write(self, file: Any, block: bytes) -> None:
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            self.discard()
            raise OffbenchError(
                f"{self.path.name} cannot be written in {self.path.parent}: {error.strerror}; make room or move the "
                "cache with OFFBENCH_CACHE"
            ) from error
