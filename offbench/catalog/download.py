"""Downloads that end with the right file or with none.

A transfer goes into ``<name>.part`` beside its destination and is renamed when size and checksum hold. One that was cut
goes on where it stopped, in this process or a later one, if the bytes there and the bytes to come surely belong
together: the server gives the same entity tag or date for both, or a checksum will tell in the end. Own code because
neither pooch nor urllib resumes, and huggingface_hub does so for its own host alone.
"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offbench.basis.locks import locked
from offbench.catalog import hub
from offbench.catalog.content import Content
from offbench.catalog.http import (
    GARBLED,
    Patience,
    TransferError,
    content_length,
    content_range,
    opener,
    plain,
    validator_of,
)
from offbench.catalog.part import ContentError, Part
from offbench.catalog.progress import Progress
from offbench.errors import OffbenchError

_UNKNOWN, _USUAL = Content(), Patience()
_MISMATCHES = 2  # wrong content that an address may serve before it is given up: a line may garble once
_TRY_AGAIN = (408, 425, 429)  # client errors that pass; those from 500 on do too


def fetch(
    urls: tuple[str, ...],
    path: Path,
    content: Content = _UNKNOWN,
    progress: Progress = lambda done, size: None,
    patience: Patience = _USUAL,
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
                _Transfer(allowed, Part(path, content, progress, patience), patience).run()
    except OSError as error:
        raise OffbenchError(
            f"cannot write {path}: {error.strerror or error}; name another folder or mend it"
        ) from error
    return path


def is_offline() -> bool:
    """Whether OFFBENCH_OFFLINE forbids the use of the network."""
    return os.environ.get("OFFBENCH_OFFLINE", "") not in ("", "0")


@dataclass
class _Transfer:
    """One file on its way from one of several addresses into its part."""

    urls: tuple[str, ...]
    part: Part
    patience: Patience

    def run(self) -> None:
        """Try the addresses in turn until one has given the file."""
        reasons: dict[str, str] = {}
        failures = dict.fromkeys(self.urls, 0)
        mismatches = dict.fromkeys(self.urls, 0)
        furthest = self.part.size
        pause = self.patience.pause
        # Whatever a server does, it is asked a bounded number of times.
        for _ in range(20 * self.patience.attempts):
            waiting = [url for url in self.urls if url in failures]
            if not waiting:
                break
            url = min(waiting, key=lambda each: failures[each])
            try:
                self._attempt(url)
                self.part.finish()
                return
            except TransferError as error:
                reasons[url] = str(error)
                mismatches[url] += isinstance(error, ContentError)
                failures[url] += 1
                if self.part.size > furthest:
                    furthest, pause, failures[url] = self.part.size, self.patience.pause, 0
                silent = error.silent and not self.part.size
                most = min(self.patience.unanswered, self.patience.attempts) if silent else self.patience.attempts
                if error.final or mismatches[url] >= _MISMATCHES or failures[url] >= most:
                    del failures[url]
            if failures and min(failures.values()) > 0:
                time.sleep(pause)
                pause = min(2 * pause, self.patience.longest)
        listed = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
        kept = f"; {self.part.size:,} bytes are kept to go on from" if self.part.size else "; nothing was kept"
        raise OffbenchError(f"{self.part.path.name} could not be downloaded: {listed}{kept}")

    def _attempt(self, url: str) -> None:
        by_scheme = {"file": self._copy, "hf": self._from_hub, "http": self._request, "https": self._request}
        scheme = urlsplit(url).scheme
        if scheme not in by_scheme:
            raise TransferError(f"the scheme {scheme!r} is none of http, https, file, hf", final=True)
        by_scheme[scheme](url)

    def _copy(self, url: str) -> None:
        parts = urlsplit(url)
        source = Path(urllib.request.url2pathname(parts.path))
        if parts.netloc not in ("", "localhost") or not source.is_file():
            raise TransferError("there is no such file on this machine", final=True)
        self.part.discard()
        try:
            stream = source.open("rb")
        except OSError as error:
            raise TransferError(f"cannot be read: {error.strerror}", final=True) from error
        with stream:
            self.part.store(stream.read, 0, source.stat().st_size)

    def _from_hub(self, url: str) -> None:
        self.part.discard()
        try:
            hub.download(url, self.part.file)
        except OffbenchError as error:
            raise TransferError(str(error), final=True) from error
        except OSError as error:
            raise TransferError(plain(error)) from error

    # ---------------------------------------------------------------- http

    def _request(self, url: str) -> None:
        known = self.part.validator(url)
        offset = self.part.size if known is not None else 0
        if offset and offset == self.part.content.size:
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
                self.part.discard()
                raise TransferError("the server has fewer bytes than were received before") from error
            passing = error.code >= 500 or error.code in _TRY_AGAIN
            raise TransferError(f"the server answers {error.code} {error.reason}", final=not passing) from error
        except GARBLED as error:
            raise TransferError(plain(error), silent=True) from error
        with response:
            self._receive(url, response, offset, known)

    def _receive(self, url: str, response: Any, offset: int, known: str | None) -> None:
        content, validator = self.part.content, validator_of(response)
        if response.status == 206 and offset:
            start, total = content_range(response)
            # A server that ignores If-Range may go on with another file. Where it gives no tag, the checksum will tell.
            other = known and validator != known and bool(validator or not content.is_certain)
            if other or start != offset:
                self.part.discard()
                raise TransferError("the file changed on the server between two parts")
        elif response.status == 200:
            offset, total = 0, content_length(response)
            self.part.discard()
        else:
            raise TransferError(f"the server answers {response.status}, which holds no file", final=True)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise TransferError("the server sends the file encoded, so that its bytes are others", final=True)
        if total is None and content.size is None and not content.is_certain:
            raise TransferError("neither server nor card says how long the file is", final=True)
        if total is not None and content.size is not None and total != content.size:
            self.part.discard()
            raise ContentError(f"{total:,} bytes offered where {content.size:,} are right")
        self.part.note_origin(url, validator)
        self.part.store(response.read1, offset, total if total is not None else content.size)
