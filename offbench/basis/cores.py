"""How many cores this process may use. A machine may have more: affinity and the quotas of control groups count."""

from __future__ import annotations

import os
from pathlib import Path

from offbench.errors import OffbenchError

# What the numerical libraries read when they are loaded. Their threads wait for each other spinning, so that one which
# another program holds up holds up all: a process of ours has one thread, and more work has more processes.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)


def default_workers() -> int:
    """OFFBENCH_WORKERS where it is set, else one for each core that this process may use.

    Raises:
        OffbenchError: OFFBENCH_WORKERS is no number above 0.
    """
    given = os.environ.get("OFFBENCH_WORKERS", "").strip()
    if not given:
        return usable_cores()
    if not given.isdecimal() or int(given) < 1:
        raise OffbenchError(f"OFFBENCH_WORKERS is {given!r}; a number of processes, 1 or more, would be right")
    return int(given)


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use, at least 1.

    root: the file system in which the kernel shows control groups.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_quotas(root)]))


def _quotas(root: Path) -> list[int]:
    """Whole cores that each control group above this process leaves it, of those that have a quota."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            folder, read = root / "sys/fs/cgroup", _second_version
        elif "cpu" in controllers.split(","):
            folder, read = root / "sys/fs/cgroup" / controllers, _first_version
            folder = folder if folder.is_dir() else root / "sys/fs/cgroup/cpu"
        else:
            continue
        # A container may see the path of its host: what is there of it counts, and what is at the top.
        own = folder / path.strip("/")
        groups = [own, *own.parents]
        found += [quota for group in groups[: groups.index(folder) + 1] if (quota := read(group)) is not None]
    return [max(1, int(quota)) for quota in found]


def _second_version(group: Path) -> float | None:
    """Cores of the quota in ``cpu.max``, which is "max" or microseconds of processor time, and of a period."""
    words = _words(group / "cpu.max")
    return _cores(words[0], words[1]) if len(words) == 2 else None


def _first_version(group: Path) -> float | None:
    """The same of control groups of version 1, where -1 means no quota."""
    quota, period = _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us")
    return _cores(quota[0], period[0]) if quota and period else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []


def _cores(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period)
