"""What tasks of a cluster say while they run: that they begin, where, and how far they are, checkpoints included."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"  # names the other files of a run
SEND_EVERY = 5.0  # seconds between two looks at whether there is a new checkpoint to send


class Desk:
    """An actor whom tasks tell, and whom the one asks who handed them out; of each run it holds the last state."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.states: dict[str, dict[str, bytes]] = {}
        self.versions: dict[str, int] = {}

    def begin(self, folder: str, where: str) -> None:
        """The run of a folder begins."""
        self.places[folder] = where

    def keep(self, folder: str, files: dict[str, bytes]) -> None:
        """So far the run of a folder has come."""
        self.states[folder] = files
        self.versions[folder] = self.versions.get(folder, 0) + 1

    def seen(self) -> tuple[dict[str, str], dict[str, int]]:
        """Where each run that began is made, and how many states of it came, by its folder."""
        return self.places, self.versions

    def state(self, folder: str) -> dict[str, bytes]:
        """The files of a run as they came last; none after `forget`."""
        return self.states.get(folder, {})

    def forget(self, folder: str) -> None:
        """A run ended, and its files take memory."""
        self.states.pop(folder, None)


def run_files(folder: Path) -> dict[str, bytes]:
    """The files of a run, by their paths in its folder; none where it was not begun."""
    if not (folder / MANIFEST).exists():
        return {}
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not path.name.startswith(".")}


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a run that is being made, as they lay there at one moment; none where that moment was missed."""
    try:
        before = (folder / MANIFEST).read_bytes()
        files = run_files(folder)
        same = before == files.get(MANIFEST) == (folder / MANIFEST).read_bytes()
    except OSError:  # not begun, or a checkpoint was followed by the next
        return {}
    return files if same else {}


@contextmanager
def sending(folder: Path, name: str, desk: Any, every: float) -> Iterator[None]:
    """While the block runs, send each new state of the run in ``folder`` to the desk, where it is called ``name``."""
    ended = threading.Event()

    def send() -> None:
        sent: Mapping[str, bytes] = {}
        while not ended.wait(every):
            files = snapshot(folder)
            if files and files[MANIFEST] != sent.get(MANIFEST):
                desk.keep.remote(name, files)
                sent = files

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
