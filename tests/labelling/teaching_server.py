"""A real HTTP server on loopback that answers as teachers should, and in every way that they should not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWERS: dict[str, bytes] = {
    "first": b'{"label": 0, "reason": "upright"}',
    "second": b'{"label": 1}',
    "tie": b'{"label": 0.5}',
    "unsure": b'{"label": -1}',
    "null": b'{"label": null}',
    "not JSON": b"<html>busy</html>",
    "no object": b"[0]",
    "other label": b'{"label": 2}',
    "word": b'{"label": "first"}',
    "yes": b'{"label": true}',
    "nan": b'{"label": NaN}',
    "deep": b"[" * 50_000,
    "other schema": b'{"schema": "offbench.teacher/2", "label": 0}',
    "huge": b'{"label": 0, "reason": "' + b"x" * 200_000 + b'"}',
}


class TeachingServer:
    """Answers request number k by ``script[k]``, the last one for ever.

    Attributes:
        requests: what was asked.
    """

    def __init__(self) -> None:
        self.script = ["first"]
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = len(server.requests)
                server.requests.append(json.loads(body))
                with suppress(OSError):
                    server.answer(self, server.script[min(number, len(server.script) - 1)])

            def log_message(self, format: str, *values: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/label?key=1"

    def answer(self, to: BaseHTTPRequestHandler, how: str) -> None:
        if how == "silent":
            self.released.wait(20)
        elif how == "drips":
            to.send_response(200)
            to.end_headers()
            while not self.released.wait(0.05):
                to.wfile.write(b" ")
        elif how == "drips headers":
            while not self.released.wait(0.05):
                to.wfile.write(b"H")
        elif how == "redirect":
            to.send_response(302)
            to.send_header("Location", "http://192.0.2.1/")
            to.end_headers()
        elif how == "hangs up":
            to.close_connection = True
        elif how.isdigit():
            to.send_response(int(how))
            if how == "429":
                to.send_header("Retry-After", "7")
            to.end_headers()
            to.wfile.write(b"no\x1bway")
        else:
            to.send_response(200)
            if how != "huge":
                to.send_header("Content-Length", str(len(ANSWERS[how])))
            to.end_headers()
            to.wfile.write(ANSWERS[how])


@contextmanager
def teaching() -> Iterator[TeachingServer]:
    server = TeachingServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def wait_for(true: Any, seconds: float = 5.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(true())
