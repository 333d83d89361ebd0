"""A worker's end of the line to the process that started it, which may be gone at any moment."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any


class Line:
    """Messages from the process that started this one, and answers to it; this one ends when that has ended."""

    def __init__(self) -> None:
        """Take the line whose descriptor is the first argument, of the process whose id is the second."""
        descriptor, parent = (int(word) for word in sys.argv[1:3])
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        self._socket = socket.socket(fileno=descriptor)
        self._messages = self._socket.makefile("rb")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each message, until there is nobody any more to send one."""
        while True:
            try:
                line = self._messages.readline()
            except OSError:
                return
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)

    def answer(self, message: Mapping[str, Any]) -> None:
        """Send an answer; where nobody is there to hear it, this process has nothing left to do, and ends."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            sys.exit(1)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, even in the middle of a long job."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
