"""Downloads that end with the right file or with none.

A transfer goes into ``<name>.part`` beside its destination and is renamed when size and checksum hold. One that was cut
goes on where it stopped, in this process or a later one, if the bytes there and the bytes to come surely belong
together: the server gives the same entity tag or date for both, or a checksum will tell in the end. Own code because
neither pooch nor urllib resumes, and huggingface_hub does so for its own host alone.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offbench.basis.locks import locked
from offbench.catalog.http import TransferError, content_length, content_range, opener, validator_of
from offbench.errors import OffbenchError

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes done and the number of all, where known."""

BLOCK = 2**18  # bytes that are read, hashed and written at a time
_MISMATCHES = 2  # wrong content that an address may serve before it is given up: a line may garble once
_GARBLED = (http.client.HTTPException, OSError, ValueError)  # what urllib raises for bad lines and bad answers
_TRY_AGAIN = (408, 425, 429)  # client errors that pass; those from 500 on do too


@dataclass(frozen=True)
class Content:
    """What the bytes of a file must be, as far as it is known."""

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def is_certain(self) -> bool:
        """Whether a checksum tells right from wrong."""
        return bool(self.sha256 or self.md5)

    def wrong(self, path: Path) -> str | None:
        """What is wrong with a file, both values named, or None."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"{size:,} bytes where {self.size:,} are right"
        for name in ("sha256", "md5"):
            expected = getattr(self, name)
            if expected and (found := digest(path, name)) != expected:
                return f"{name} {found} where {expected} is right"
        return None


@dataclass(frozen=True)
class Patience:
    """How long a server is given.

    Attributes:
        timeout: seconds without an answer, or with less than ``least`` bytes, after which a transfer is cut.
        attempts: failures in a row without a new byte after which an address is given up.
        pause: seconds before the second attempt; each further pause is twice as long, up to ``longest``.
        longest: seconds of the longest pause.
        least: bytes that must come within ``timeout``.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    longest: float = 30.0
    least: int = 1024


class _ContentError(TransferError):
    """The transfer was complete and its content wrong."""


def fetch(
    urls: tuple[str, ...],
    path: Path,
    content: Content = Content(),
    progress: Progress = lambda done, size: None,
    patience: Patience = Patience(),
) -> Path:
    """Download a file unless it is there. Of several callers, in any process, one transfers and the others wait.

    Args:
        urls: address and mirrors, tried in turn: http, https, file or hf (see `offbench.catalog.hub`).
        path: destination.
        content: what the bytes must be.
        progress: hears of bytes done and all.
        patience: how long a server is given.

    Returns:
        ``path``. A file that was there before is not checked again.

    Raises:
        OffbenchError: no address gave the file (each reason is named), there is no room for it or no permission, or
            OFFBENCH_OFFLINE is set. No wrong or incomplete file is left under the name.
    """
    if path.is_file():
        return path
    allowed = tuple(url for url in urls if urlsplit(url).scheme == "file" or not is_offline())
    if not allowed:
        raise OffbenchError(f"{path} is not there and OFFBENCH_OFFLINE is set; unset it to download {urls[0]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(path.name + ".lock")):
            if not path.is_file():
                _Transfer(allowed, path, content, progress, patience).run()
    except OSError as error:
        raise OffbenchError(
            f"cannot write {path}: {error.strerror or error}; name another folder or mend it"
        ) from error
    return path


def is_offline() -> bool:
    """Whether OFFBENCH_OFFLINE forbids the use of the network."""
    return os.environ.get("OFFBENCH_OFFLINE", "") not in ("", "0")


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@dataclass
class _Transfer:
    """One file on its way. ``part`` holds what has come so far, ``origin`` says where from."""

    urls: tuple[str, ...]
    path: Path
    content: Content
    progress: Progress
    patience: Patience
    part: Path = field(init=False)
    origin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.part = self.path.with_name(self.path.name + ".part")
        self.origin = self.path.with_name(self.path.name + ".part.json")

    def run(self) -> None:
        """Try the addresses in turn until one has given the file."""
        reasons: dict[str, str] = {}
        failures = dict.fromkeys(self.urls, 0)
        mismatches = dict.fromkeys(self.urls, 0)
        furthest = self._offset()
        pause = self.patience.pause
        # Whatever a server does, it is asked a bounded number of times.
        for _ in range(20 * self.patience.attempts):
            waiting = [url for url in self.urls if url in failures]
            if not waiting:
                break
            url = min(waiting, key=lambda each: failures[each])
            try:
                self._attempt(url)
                self._finish(url)
                return
            except TransferError as error:
                reasons[url] = str(error)
                mismatches[url] += isinstance(error, _ContentError)
                failures[url] += 1
                if self._offset() > furthest:
                    furthest, pause, failures[url] = self._offset(), self.patience.pause, 0
                if error.final or mismatches[url] >= _MISMATCHES or failures[url] >= self.patience.attempts:
                    del failures[url]
            if failures and min(failures.values()) > 0:
                time.sleep(pause)
                pause = min(2 * pause, self.patience.longest)
        listed = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
        kept = f"; {self._offset():,} bytes are kept to go on from" if self._offset() else "; nothing was kept"
        raise OffbenchError(f"{self.path.name} could not be downloaded: {listed}{kept}")

    def _attempt(self, url: str) -> None:
        scheme = urlsplit(url).scheme
        if scheme == "file":
            self._copy(url)
        elif scheme == "hf":
            # Imported here because it needs an extra.
            from offbench.catalog.hub import download

            self._discard()
            try:
                download(url, self.part)
            except OffbenchError as error:
                raise TransferError(str(error), final=True) from error
            except OSError as error:
                raise TransferError(_plain(error)) from error
        elif scheme in ("http", "https"):
            self._request(url)
        else:
            raise TransferError(f"the scheme {scheme!r} is none of http, https, file, hf", final=True)

    def _finish(self, url: str) -> None:
        wrong = self.content.wrong(self.part)
        if wrong:
            self._discard()
            raise _ContentError(wrong)
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.part, self.path)
        self.origin.unlink(missing_ok=True)

    def _offset(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    # ---------------------------------------------------------------- file://

    def _copy(self, url: str) -> None:
        parts = urlsplit(url)
        source = Path(urllib.request.url2pathname(parts.path))
        if parts.netloc not in ("", "localhost") or not source.is_file():
            raise TransferError("there is no such file on this machine", final=True)
        self._discard()
        try:
            stream = source.open("rb")
        except OSError as error:
            raise TransferError(f"cannot be read: {error.strerror}", final=True) from error
        with stream:
            self._store(stream.read, 0, source.stat().st_size)

    # ---------------------------------------------------------------- http

    def _request(self, url: str) -> None:
        known = self._resumable(url)
        offset = self._offset() if known is not None else 0
        if offset and offset == self.content.size:
            return
        headers = {"User-Agent": "offbench", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if known:
                headers["If-Range"] = known
        try:
            response = opener().open(urllib.request.Request(url, headers=headers), timeout=self.patience.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                self._discard()
                raise TransferError("the server has fewer bytes than were received before") from error
            passing = error.code >= 500 or error.code in _TRY_AGAIN
            raise TransferError(f"the server answers {error.code} {error.reason}", final=not passing) from error
        except _GARBLED as error:
            raise TransferError(_plain(error)) from error
        with response:
            self._receive(url, response, offset, known)

    def _receive(self, url: str, response: Any, offset: int, known: str | None) -> None:
        validator = validator_of(response)
        if response.status == 206 and offset:
            start, total = content_range(response)
            # A server that ignores If-Range may go on with another file. Where it gives no tag, the checksum will tell.
            other = known and validator != known and bool(validator or not self.content.is_certain)
            if other or start != offset:
                self._discard()
                raise TransferError("the file changed on the server between two parts")
        elif response.status == 200:
            offset, total = 0, content_length(response)
            self._discard()
        else:
            raise TransferError(f"the server answers {response.status}, which holds no file", final=True)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise TransferError("the server sends the file encoded, so that its bytes are others", final=True)
        if total is None and self.content.size is None and not self.content.is_certain:
            raise TransferError("neither server nor card says how long the file is", final=True)
        if total is not None and self.content.size is not None and total != self.content.size:
            self._discard()
            raise _ContentError(f"{total:,} bytes offered where {self.content.size:,} are right")
        self.origin.write_text(json.dumps({"url": url, "validator": validator}))
        self._store(response.read1, offset, total if total is not None else self.content.size)

    def _resumable(self, url: str) -> str | None:
        """The validator to ask for what follows the bytes that are there; empty if none is needed, None if in vain."""
        if not self._offset():
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

    def _store(self, read: Callable[[int], bytes], offset: int, total: int | None) -> None:
        """Append what ``read`` gives to the part, until it gives nothing or more than there should be."""
        self._check_room(offset, total)
        received, since, window = offset, offset, time.monotonic()
        with self.part.open("ab" if offset else "wb") as file:
            while True:
                try:
                    block = read(BLOCK)
                except _GARBLED as error:
                    raise TransferError(f"cut after {received:,} bytes ({_plain(error)})") from error
                if not block:
                    break
                self._write(file, block)
                received += len(block)
                self.progress(received, total)
                if total is not None and received > total:
                    break
                now = time.monotonic()
                if now - window > self.patience.timeout:
                    if received - since < self.patience.least:
                        raise TransferError(f"stalled after {received:,} bytes")
                    since, window = received, now
        if total is not None and received != total:
            if received > total:
                self._discard()
            raise TransferError(f"{received:,} of {total:,} bytes came")

    def _check_room(self, offset: int, total: int | None) -> None:
        needed = (total or 0) - offset
        if needed > shutil.disk_usage(self.path.parent).free:
            self._discard()
            raise OffbenchError(
                f"{self.path.parent} has no room for the {needed:,} bytes of {self.path.name}; make some or move the "
                "cache with OFFBENCH_CACHE"
            )

    def _write(self, file: Any, block: bytes) -> None:
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            self._discard()
            raise OffbenchError(
                f"{self.path.name} cannot be written in {self.path.parent}: {error.strerror}; make room or move the "
                "cache with OFFBENCH_CACHE"
            ) from error


def _plain(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return str(reason) or type(error).__name__
