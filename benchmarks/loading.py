"""Loading 1,000,000 transitions of hopper's shapes, against a loop in the style of D4RL's ``qlearning_dataset``.

Both begin at a file and end at arrays from which batches can be drawn. The file is laid out and packed like the
published ones (gzip), with infos that neither side needs left out. The rival walks over all rows in Python, appends to
lists and makes arrays of them, as d4rl/__init__.py and most code copied from it do. offbench is timed from the same
file, and from the cache that the first load leaves behind. Each measurement is a process of its own, the median of
several; peak memory is the kernel's ``ru_maxrss``, without that of the imports.

Last, two processes load the cache at the same time, and the kernel says how many of its pages they share.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

OBSERVATION, ACTION, EPISODE = 11, 3, 500
MEBIBYTE = 2**20


def write(path: Path, steps: int) -> None:
    """A file in D4RL's layout; half of its episodes terminate, half are truncated."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(0)
    last = np.arange(steps) % EPISODE == EPISODE - 1
    odd = np.arange(steps) // EPISODE % 2 == 1
    observations = rng.standard_normal((steps + 1, OBSERVATION), dtype=np.float32)
    columns = {
        "observations": observations[:-1],
        "next_observations": observations[1:],
        "actions": np.tanh(rng.standard_normal((steps, ACTION), dtype=np.float32)),
        "rewards": rng.standard_normal(steps, dtype=np.float32),
        "terminals": last & odd,
        "timeouts": last & ~odd,
    }
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, compression="gzip")


def rival(path: Path) -> int:
    """The loop: rows with a time-out are left out, the next observation is that of the next row."""
    import h5py
    import numpy as np
    import torch

    with h5py.File(path, "r") as file:
        names = ("observations", "actions", "rewards", "terminals", "timeouts")
        dataset = {name: file[name][:] for name in names}
    columns: dict[str, list[object]] = {name: [] for name in ("s", "a", "r", "s_next", "done")}
    for i in range(len(dataset["rewards"]) - 1):
        if dataset["timeouts"][i]:
            continue
        columns["s"].append(dataset["observations"][i].astype(np.float32))
        columns["s_next"].append(dataset["observations"][i + 1].astype(np.float32))
        columns["a"].append(dataset["actions"][i].astype(np.float32))
        columns["r"].append(dataset["rewards"][i].astype(np.float32))
        columns["done"].append(bool(dataset["terminals"][i]))
    tensors = {name: torch.from_numpy(np.array(column, dtype=np.float32)) for name, column in columns.items()}
    return len(tensors["r"])


def ours(path: Path) -> int:
    """Trajectories, checked, and the view from which algorithms draw batches."""
    from offbench.data.hdf5 import read_hdf5
    from offbench.data.transitions import Transitions

    return len(Transitions(read_hdf5(path)))


def cached(path: Path) -> int:
    """The same from the cache, which this never writes."""
    from offbench.data.native import load
    from offbench.data.transitions import Transitions

    return len(Transitions(load(path.with_name(path.name + ".offbench"))))


def plain_load(path: Path) -> int:
    """The cache alone, mapped and checked."""
    from offbench.data.native import load

    return load(path.with_name(path.name + ".offbench")).steps


WAYS = {"loop": rival, "hdf5": ours, "cache": cached, "map": plain_load}


def measure(way: str, path: Path) -> dict[str, float]:
    """Seconds and peak bytes of one load in this process."""
    for name in ("torch", "h5py", "offbench.data.transitions", "offbench.data.native", "offbench.data.hdf5"):
        import_module(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    count = WAYS[way](path)
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"seconds": seconds, "peak": peak, "count": count}


def in_process(way: str, path: Path) -> dict[str, float]:
    """`measure` in a process of its own."""
    output = subprocess.check_output([sys.executable, __file__, "--measure", way, str(path)], text=True)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def hold(path: Path) -> None:
    """Load the cache, say so, and when told print how this process holds the pages of the file, in bytes."""
    from offbench.data.native import load

    trajectories = load(path)
    total = sum(float(column.sum()) for column in trajectories.columns().values())  # touches every page
    print(f"loaded {total}", flush=True)
    sys.stdin.readline()
    sizes = dict.fromkeys(("Rss", "Pss", "Shared_Clean", "Private_Clean", "Private_Dirty"), 0)
    mine = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in line.split()[0]:
            mine = line.endswith(path.name)
        elif mine and name in sizes:
            sizes[name] += int(rest.split()[0]) * 1024
    print(json.dumps(sizes))


def share(path: Path) -> None:
    """Two processes with the same cache: their pages are the same ones."""
    if not Path("/proc/self/smaps").exists():
        print("sharing of pages is not shown, as this system has no /proc/self/smaps")
        return
    command = [sys.executable, __file__, "--hold", str(path)]
    holders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for holder in holders:
        assert holder.stdout is not None
        holder.stdout.readline()
    reports = [json.loads(holder.communicate("go\n")[0].splitlines()[-1]) for holder in holders]
    print(f"\ntwo processes with the cache of {path.stat().st_size / MEBIBYTE:.0f} MiB mapped:")
    for number, sizes in enumerate(reports, 1):
        shown = ", ".join(f"{name} {size / MEBIBYTE:.0f} MiB" for name, size in sizes.items())
        print(f"  process {number}: {shown}")


def main(steps: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hopper.hdf5"
        write(path, steps)
        subprocess.check_call(
            [
                sys.executable,
                "-c",
                "import sys; from offbench.data import hdf5, native; native.cached(sys.argv[1], hdf5.read_hdf5)",
                path,
            ]
        )
        cache = path.with_name(path.name + ".offbench")
        print(f"{steps:,} steps, {path.stat().st_size / MEBIBYTE:.0f} MiB of HDF5, {os.cpu_count()} cores")
        results = {way: [in_process(way, path) for _ in range(1 if way == "loop" else repeats)] for way in WAYS}
        slow = statistics.median(result["seconds"] for result in results["loop"])
        print(f"{'':24s}{'seconds':>10s}{'ratio':>8s}{'peak MiB':>10s}{'rows':>12s}")
        titles = {"loop": "loop over the HDF5 file", "hdf5": "offbench, HDF5", "cache": "offbench, cache"}
        titles["map"] = "offbench, cache mapped"
        for way, found in results.items():
            seconds = statistics.median(result["seconds"] for result in found)
            peak = statistics.median(result["peak"] for result in found) / MEBIBYTE
            print(f"{titles[way]:24s}{seconds:10.4f}{slow / seconds:8.1f}{peak:10.0f}{found[0]['count']:12,d}")
        share(cache)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
    elif arguments.hold:
        hold(arguments.hold)
    else:
        main(arguments.steps, arguments.repeats)
