"""What a run ran on: hardware, package versions and git commit, without names of hosts, people or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from offbench.basis.cores import usable_cores

PACKAGES = ("offbench", "torch", "numpy", "scipy", "gymnasium", "gymnasium-robotics", "mujoco", "h5py", "safetensors")


def describe_machine() -> tuple[dict[str, str], dict[str, str], str | None]:
    """Hardware by part, package versions by name, and the git commit of the current folder.

    The commit ends in ``-dirty`` where tracked files differ from it, and is None outside a repository or without git.
    """
    return _hardware(), _packages(), _git_commit()


def _hardware() -> dict[str, str]:
    import torch

    hardware = {
        "cpu": _processor(),
        "cores": str(usable_cores()),
        "threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        hardware["memory"] = f"{memory / 2**30:.0f} GiB"
    return hardware


def _processor() -> str:
    # platform.processor() is empty or only the architecture on Linux.
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def _packages() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def _git_commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
