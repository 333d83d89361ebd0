"""Ctrl-C and the system's wish that a process ends: a run stops where it can go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or SIGTERM; the message says where it is saved and how to go on."""


@contextmanager
def interrupts(at_once: bool = False) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a flag that is looked at between pieces of work; a second one interrupts.

    With ``at_once`` the first one interrupts, too. In other threads than the main one nothing changes.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, frame: object) -> None:
        if at_once or flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
