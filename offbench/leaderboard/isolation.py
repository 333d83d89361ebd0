"""Where code of strangers is trained: what the machine has that keeps it from the network and from others' files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from offbench.errors import OffbenchError
from offbench.leaderboard import confined

_SECONDS = 30


@dataclass(frozen=True)
class Isolation:
    """What a command is put into.

    Attributes:
        name: for a sentence.
        told: what it keeps code from.
        prefix: what stands before the command; ``{folder}`` is where it may write.
    """

    name: str
    told: str
    prefix: tuple[str, ...]

    def command(self, command: Sequence[str], folder: Path) -> list[str]:
        """The command, put into it, with one folder to which it may write."""
        return [part.replace("{folder}", str(folder)) for part in self.prefix] + list(command)


# The command itself goes through `confined` in each: writes only to the folder, opens no sockets.
_CONFINED = (sys.executable, "-I", confined.__file__, "{folder}")
_WAYS = (
    Isolation(
        "bubblewrap",
        "no network, no other processes, a read-only system",
        (
            *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
            *("--bind", "{folder}", "{folder}", "--unshare-all", "--die-with-parent", "--new-session"),
        ),
    ),
    Isolation(
        "unshare",
        "no network, no other processes; it reads what this user may read",
        ("unshare", "--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"),
    ),
)


def isolation() -> Isolation | None:
    """The strictest way that works here, None where there is none."""
    for way in _WAYS:
        whole = Isolation(way.name, way.told, (*way.prefix, *_CONFINED))
        if _works(whole):
            return whole
    return None


_TRY = """
import sys
open(sys.argv[1], "w").close()
try:
    open(sys.argv[2], "w").close()
except OSError:
    pass
"""


@cache
def _works(way: Isolation) -> bool:
    """Whether a command comes back from it, writes to its folder and to none beside it: kernels may lack landlock."""
    if shutil.which(way.prefix[0]) is None:
        return False
    with tempfile.TemporaryDirectory(prefix="offbench-tried-") as temporary:
        own, beside = Path(temporary).resolve() / "own", Path(temporary).resolve() / "beside"
        own.mkdir()
        try:
            tried = way.command([sys.executable, "-I", "-c", _TRY, str(own / "file"), str(beside)], own)
            done = subprocess.run(tried, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and (own / "file").exists() and not beside.exists()


def container(engine: str, image: str, folder: Path, command: Sequence[str]) -> list[str]:
    """The command in a container of an image that has offbench: no network, no rights, one folder to write to.

    Raises:
        OffbenchError: the engine is not installed.
    """
    if shutil.which(engine) is None:
        raise OffbenchError(f"{engine} is not installed; leave --image out for a sandbox of this machine's own")
    place = str(folder)
    limits = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    mounts = ["--tmpfs", "/tmp", "--volume", f"{place}:{place}", "--workdir", place]
    return [engine, "run", "--rm", *limits, *mounts, "--env", f"HOME={place}", image, *command]
