import os

import pytest

from offbench.basis.cores import default_workers, usable_cores
from offbench.errors import OffbenchError

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cgroup(root, line, **files):
    """A file system in which the kernel shows a control group: paths below sys/fs/cgroup with their texts."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, ALL),
        ("0::/", {"cpu.max": "50000 100000"}, 1),  # half a core is one process
        ("0::/", {"cpu.max": "9999900000 100000"}, ALL),
        ("0::/job/step", {"job/step/cpu.max": "max 100000", "job/cpu.max": "100000 100000"}, 1),
        ("0::/of/the/host", {"cpu.max": "100000 100000"}, 1),  # a container sees its own group at the top
        (
            "4:cpu,cpuacct:/a",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, ALL),
        ("7:memory:/a", {"memory/a/cpu.max": "100000 100000"}, ALL),
        ("0::/", {"cpu.max": "garbage"}, ALL),
        ("0::/", {"cpu.max": "100000 0"}, ALL),
        ("no colons", {}, ALL),
    ],
)
def test_quotas_of_control_groups_count(line, files, expected, tmp_path):
    assert usable_cores(cgroup(tmp_path, line, **files)) == expected


def test_a_system_without_control_groups_has_its_cores(tmp_path):
    assert usable_cores(tmp_path) == ALL


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or ALL < 2, reason="one core, or no affinity to set")
def test_affinity_counts():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_number_of_workers_can_be_set(monkeypatch):
    monkeypatch.setenv("OFFBENCH_WORKERS", "3")
    assert default_workers() == 3
    monkeypatch.setenv("OFFBENCH_WORKERS", "")
    assert default_workers() == usable_cores()
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("OFFBENCH_WORKERS", wrong)
        with pytest.raises(OffbenchError, match=r"a number of processes, 1 or more, would be right"):
            default_workers()
