"""A built site for a local look: its files and nothing else, on this machine alone."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from offbench.errors import OffbenchError
from offbench.leaderboard.site_folder import MARK

ADDRESS = "127.0.0.1"


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a built site, not yet running; port 0 has the system choose.

    Raises:
        OffbenchError: the folder is no built site, or the port is taken.
    """
    if not (folder / MARK).is_file():
        raise OffbenchError(f"{folder} is no site; offbench leaderboard build --output {folder} makes one")
    try:
        return ThreadingHTTPServer((ADDRESS, port), partial(_Files, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise OffbenchError(f"port {port} cannot be listened on: {error}; name another with --port") from error


class _Files(SimpleHTTPRequestHandler):
    """Files with the headers that a published site should have; requests are not logged."""

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return
