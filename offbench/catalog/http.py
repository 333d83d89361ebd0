"""HTTP as downloads need it: an opener that goes nowhere else, how long it waits, and what answers and errors say."""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

GARBLED = (http.client.HTTPException, OSError, ValueError)
"""What urllib raises for bad lines and bad answers."""


@dataclass(frozen=True)
class Patience:
    """How long a server is given.

    Attributes:
        timeout: seconds without an answer, or with less than ``least`` bytes, after which a transfer is cut.
        attempts: failures in a row without a new byte after which an address is given up.
        unanswered: the same for an address of which no byte has come yet and that does not answer at all: a host that
            is out, or no network, should be told within seconds.
        pause: seconds before the second attempt; each further pause is twice as long, up to ``longest``.
        longest: seconds of the longest pause.
        least: bytes that must come within ``timeout``.
    """

    timeout: float = 12.0
    attempts: int = 5
    unanswered: int = 2
    pause: float = 1.0
    longest: float = 30.0
    least: int = 1024


class TransferError(Exception):
    """One attempt failed; ``final`` if another one at the same address cannot help, ``silent`` if nobody answered."""

    def __init__(self, reason: str, final: bool = False, silent: bool = False) -> None:
        super().__init__(reason)
        self.final, self.silent = final, silent


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            raise TransferError(f"redirects to {newurl}, which is not followed", final=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Refuse what the standard library would refuse with an error of its own."""
        target = headers.get("location") or headers.get("uri") or ""
        if urlsplit(target).scheme not in ("", "http", "https"):
            raise TransferError(f"redirects to {target}, which is not followed", final=True)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def opener() -> urllib.request.OpenerDirector:
    """An opener that knows http, https and the proxies of the environment, and nothing else."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        made.add_handler(handler)
    return made


def validator_of(response: Any) -> str:
    """The strong entity tag of an answer, else its date, else nothing."""
    tag = response.headers.get("ETag", "")
    return (tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")) or ""


def content_length(response: Any) -> int | None:
    """Number of bytes that an answer announces."""
    text = response.headers.get("Content-Length")
    return int(text) if text and text.isdigit() else None


def content_range(response: Any) -> tuple[int | None, int | None]:
    """(first byte, size of the whole) of an answer to a Range."""
    unit, _, rest = (response.headers.get("Content-Range") or "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdigit():
        return None, None
    return int(start), int(total) if total.isdigit() else None


def plain(error: BaseException) -> str:
    """What an error of ``GARBLED`` says, in as few words as it has."""
    reason = getattr(error, "reason", error)
    return str(reason) or type(error).__name__
