"""Ways to a teacher outside this process: a command, or an HTTP endpoint; time limits, sizes, and asking again."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.labelling.contract import MOST_BYTES, Answer, PassingError, parse

# Statuses of a server that may answer a little later.
_PASSING = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0  # seconds between two tries
_TOO_MUCH = f"it answered more than {MOST_BYTES:,} bytes, and a label is a short JSON object"


@dataclass(frozen=True)
class Command:
    """A command that is started for each pair: the request on its standard input, the answer on its standard output.

    Attributes:
        command: as a shell would split it into words; no shell sees it.
        timeout: seconds after which it is killed, with all that it started.
    """

    command: str
    timeout: float = 60.0

    def __post_init__(self) -> None:
        _check_timeout(self.timeout)
        if not self._words():
            raise OffbenchError("the teacher's command is empty; a program and its arguments would be right")

    def __str__(self) -> str:
        return f"command {self.command!r}"

    def send(self, body: bytes) -> bytes:
        """What it answers to one request; raises PassingError or OffbenchError."""
        try:
            process = subprocess.Popen(
                self._words(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise OffbenchError(f"it cannot be started ({error.strerror or error})") from error
        return _heard(process, body, self.timeout)

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.command)
        except ValueError as error:
            raise OffbenchError(
                f"the teacher's command {self.command!r} cannot be split into words: {error}"
            ) from error


@dataclass(frozen=True)
class Endpoint:
    """An address to which the request is posted, and whose response is the answer.

    Redirections are not followed, and proxies not used.

    Attributes:
        url: of http or https.
        timeout: seconds for the whole of a request and its response.
    """

    url: str
    timeout: float = 60.0

    def __post_init__(self) -> None:
        _check_timeout(self.timeout)
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:
            raise OffbenchError(f"the endpoint {self.url!r} is no address; http://127.0.0.1:8000/label would be right")
        if parts.username is not None:
            raise OffbenchError(
                f"the endpoint on {parts.hostname} has a name or password in its address, which would be written down; "
                "let a server of your own on this machine hold it"
            )

    def __str__(self) -> str:
        return f"endpoint {self.url.partition('?')[0]}"

    def send(self, body: bytes) -> bytes:
        """What it answers to one request; raises PassingError or OffbenchError."""
        parts, deadline = urlsplit(self.url), time.monotonic() + self.timeout
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        late = threading.Event()
        try:
            connection.connect()
            # A server may send a byte now and then for ever: whatever it does, the line is cut at the deadline.
            watch = threading.Timer(max(0.0, deadline - time.monotonic()), _hang_up, (connection.sock, late))
            watch.daemon = True
            watch.start()
            try:
                target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
                connection.request("POST", target, body, headers)
                return _response(connection.getresponse(), late)
            finally:
                watch.cancel()
        except ssl.SSLCertVerificationError as error:
            raise OffbenchError(f"its certificate is not valid ({error.verify_message})") from error
        except (OSError, http.client.HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise _late(self.timeout) from error
            if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
                raise PassingError(f"it cannot be reached ({error.strerror or error})") from error
            raise PassingError(f"it hung up or spoke no HTTP ({type(error).__name__})") from error
        finally:
            connection.close()


Transport = Command | Endpoint


@dataclass(frozen=True)
class Patience:
    """How often a teacher is asked for one label.

    Attributes:
        tries: at most.
        wait: seconds before the second try; twice as many before each further one, at most 30. Where an endpoint says
            when to come back (Retry-After), that counts, up to the same limit.
    """

    tries: int = 4
    wait: float = 1.0

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.wait < float("inf"):
            raise OffbenchError(f"tries {self.tries} and wait {self.wait} must be at least 1 and 0")


def answer(transport: Transport, body: bytes, patience: Patience, sleep: Callable[[float], Any] = time.sleep) -> Answer:
    """The answer to a request, asked for again where what went wrong may pass.

    Raises:
        OffbenchError: no answer by the contract, after the last try or where another would be of no use.
    """
    for number in range(1, patience.tries + 1):
        try:
            return parse(transport.send(body))
        except PassingError as error:
            if number == patience.tries:
                tries = f"{number} {'try' if number == 1 else 'tries'}"
                raise OffbenchError(f"the {transport} gave no label in {tries}: {error}") from error
            sleep(min(_LONGEST_WAIT, max(error.wait, patience.wait * 2 ** (number - 1))))
        except OffbenchError as error:
            raise OffbenchError(f"the {transport} gave no label: {error}") from error
    raise AssertionError  # tries are at least one


def _check_timeout(timeout: float) -> None:
    if not 0 < timeout < threading.TIMEOUT_MAX:
        raise OffbenchError(f"the time limit of a teacher must be a positive number of seconds, not {timeout}")


# -------------------------------------------------------------------- commands


def _heard(process: subprocess.Popen[bytes], body: bytes, timeout: float) -> bytes:
    """What a process writes until it ends; nothing that it started is left."""
    said: list[bytes] = []
    complaints = bytearray()
    threads = [
        threading.Thread(target=lambda: said.append(_up_to(process.stdout, MOST_BYTES + 1)), daemon=True),
        threading.Thread(target=_last, args=(process.stderr, complaints), daemon=True),
        threading.Thread(target=_fed, args=(process.stdin, body), daemon=True),
    ]
    deadline = time.monotonic() + timeout
    for each in threads:
        each.start()
    try:
        threads[0].join(timeout)
        if said and len(said[0]) > MOST_BYTES:
            raise OffbenchError(_TOO_MUCH)
        status = process.wait(max(0.0, deadline - time.monotonic()))
        if not said:  # it ended, and something that it started still holds its output
            raise _late(timeout)
    except subprocess.TimeoutExpired as error:
        raise _late(timeout) from error
    finally:
        _kill(process)
        for each, stream in zip(threads, (process.stdout, process.stderr, process.stdin), strict=True):
            each.join(1.0)
            if stream is not None and not each.is_alive():  # else it waits for what left the session, and closing would
                with suppress(OSError):
                    stream.close()
    if status != 0:
        lines = bytes(complaints).decode("utf-8", "replace").strip().splitlines() or ["it wrote no error"]
        raise PassingError(f"it ended with status {status}: {plain(lines[-1][:200])}")
    return said[0]


def _up_to(stream: Any, most: int) -> bytes:
    """As many bytes as come, or the first ones."""
    found = b""
    with suppress(OSError, ValueError):
        while len(found) < most and (more := stream.read1(most - len(found))):
            found += more
    return found


def _last(stream: Any, kept: bytearray, most: int = 4096) -> None:
    """The last bytes of a stream, which is read to its end."""
    with suppress(OSError, ValueError):
        while more := stream.read1(most):
            kept += more
            del kept[:-most]


def _fed(stream: Any, body: bytes) -> None:
    with suppress(OSError, ValueError):  # it need not read
        stream.write(body)
        stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started in its session."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


# -------------------------------------------------------------------- endpoints


def _hang_up(line: socket.socket | None, late: threading.Event) -> None:
    late.set()
    with suppress(OSError, AttributeError):
        line.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


def _response(response: http.client.HTTPResponse, late: threading.Event) -> bytes:
    """The body of a response, if it is an answer."""
    status = response.status
    if 300 <= status < 400:
        where = plain(response.headers.get("Location", "nowhere")[:200])
        raise OffbenchError(f"it redirects to {where}, which is not followed; name that address if it is the right one")
    declared = response.length or 0
    body = b"" if declared > MOST_BYTES else response.read(MOST_BYTES + 1)
    if late.is_set():
        raise TimeoutError
    if status // 100 != 2:
        said = plain(body[:200].decode("utf-8", "replace").strip() or response.reason)
        if status in _PASSING:
            raise PassingError(f"it answered with status {status}: {said}", _retry_after(response))
        raise OffbenchError(f"it answered with status {status}: {said}")
    if max(declared, len(body)) > MOST_BYTES:
        raise OffbenchError(_TOO_MUCH)
    return body


def _retry_after(response: http.client.HTTPResponse) -> float:
    """Seconds that a server asks to wait; 0 where it says nothing, or a date."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() and len(said) < 9 else 0.0


def _late(timeout: float) -> PassingError:
    return PassingError(f"it did not answer within {timeout:g} seconds")
