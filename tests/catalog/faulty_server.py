"""A real HTTP server on loopback that does whatever goes wrong with real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "cut", "stall", "says more", "says less", "redirect", "redirect in circles", "redirect to file", "404", "403",
    "500", "416", "ignores range", "other file", "other file without tag", "wrong bytes", "wrong range", "chunked",
    "chunked and cut", "no length", "no tag", "empty", "hangs up", "gibberish", "encoded",
)  # fmt: skip


class Server:
    """Serves ``body``; ``behave(number of the request)`` names what goes wrong with it, or "ok".

    Attributes:
        requests: (path, Range or None, what was done) of every request.
        bodies: how many requests were answered with the whole body.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.other = hashlib.sha256(body).digest() * (len(body) // 32 + 1)
        self.behave: Callable[[int], str] = lambda number: "ok"
        self.requests: list[tuple[str, str | None, str]] = []
        self.bodies = 0
        self.delay = 0.0
        self.released = threading.Event()
        self.guard = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *values: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.bin"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        with self.guard:
            number = len(self.requests)
            fault = self.behave(number) if to.path.partition("?")[0].endswith("/file.bin") else "ok"
            self.requests.append((to.path, to.headers.get("Range"), fault))
        with suppress(OSError):  # the client has gone
            self._answer(to, fault)
        to.close_connection = True

    def _answer(self, to: BaseHTTPRequestHandler, fault: str) -> None:
        if fault in ("404", "403", "500", "416"):
            to.send_error(int(fault))
        elif fault.startswith("redirect"):
            to.send_response(302)
            where = {"redirect": "/real", "redirect in circles": "/file.bin", "redirect to file": "file:///etc/passwd"}
            to.send_header("Location", where[fault])
            to.end_headers()
        elif fault == "hangs up":
            to.close_connection = True
        elif fault == "gibberish":
            to.wfile.write(b"\x00\xffnot http at all\r\n\r\n")
        else:
            self._send(to, fault)

    def _send(self, to: BaseHTTPRequestHandler, fault: str) -> None:
        other = fault.startswith("other file")
        body = self.other if other else self.body
        tag = None if fault in ("no tag", "other file without tag") else f'"{hashlib.md5(body).hexdigest()}"'
        start = self._start(to, fault, tag)
        if fault == "wrong bytes":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "wrong range" and start:
            start -= 1
            body = body[:-1]  # so that as many bytes come as were asked for
        part = body[start:]
        to.send_response(206 if start else 200)
        if tag:
            to.send_header("ETag", tag)
        if start:
            to.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(self.body)}")
        if fault == "encoded":
            to.send_header("Content-Encoding", "gzip")
        if fault.startswith("chunked"):
            to.protocol_version = "HTTP/1.1"
            to.send_header("Transfer-Encoding", "chunked")
        elif fault != "no length":
            announced = {"says more": len(part) + 10, "says less": max(len(part) - 10, 0), "empty": 0}
            to.send_header("Content-Length", str(announced.get(fault, len(part))))
        to.end_headers()
        self._write(to, fault, part, whole=not start)

    def _start(self, to: BaseHTTPRequestHandler, fault: str, tag: str | None) -> int:
        """First byte to send: what was asked for, where Range is understood and If-Range holds."""
        asked = to.headers.get("Range")
        condition = to.headers.get("If-Range")
        if asked is None or fault == "ignores range":
            return 0
        # "other file without tag" goes on with other bytes: the worst that a server can do.
        if condition is not None and condition != tag and fault != "other file without tag":
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _write(self, to: BaseHTTPRequestHandler, fault: str, part: bytes, *, whole: bool) -> None:
        half = (len(part) + 1) // 2
        if fault == "stall":
            to.wfile.write(part[:half])
            to.wfile.flush()
            self.released.wait(2)
        elif fault == "cut":
            to.wfile.write(part[:half])
        elif fault == "drips":
            for position in range(len(part)):
                to.wfile.write(part[position : position + 1])
                if self.released.wait(0.02):
                    return
        elif fault.startswith("chunked"):
            for block in (part[:half], part[half:]):
                to.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
                if fault == "chunked and cut":
                    return
            to.wfile.write(b"0\r\n\r\n")
        elif fault != "empty":
            self.bodies += whole
            for first in range(0, len(part), 2**14):
                to.wfile.write(part[first : first + 2**14])
                if self.delay:
                    self.released.wait(self.delay)


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    server = Server(body)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()
