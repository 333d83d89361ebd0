"""Loading 1,000,000 transitions of hopper's shapes, against a loop in the style of D4RL's ``qlearning_dataset``.

Both begin at a file and end when a first batch of 256 transitions has been drawn. The rival reads all columns of the
file, as D4RL's ``get_dataset`` does, walks over the rows in Python, appends to lists and makes arrays of them, as D4RL
and most code copied from it do. offbench is timed from the same file, and from the cache that a first load leaves; once
more with states standardised, which the rival does not do and most algorithms want.

The file is written twice, plain and packed with gzip like the published ones. Unpacking random numbers takes longer
than everything else that offbench does, and the rival has to do it too, so that the ratio is smaller there.

Each measurement is a process of its own that has imported everything and read nothing, with the files in the kernel's
page cache; the median of several counts. Peak memory is the kernel's ``ru_maxrss`` less that before the load; pages of
a mapped file are part of it, although the kernel may take them back. Last, two processes hold the cache at the same
time, and the kernel says how many of its pages they share.
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

OBSERVATION, ACTION, EPISODE, BATCH = 11, 3, 500, 256
MEBIBYTE = 2**20


def write(path: Path, steps: int, compression: str | None) -> None:
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
            file.create_dataset(name, data=column, compression=compression)


def rival(path: Path) -> int:
    """The loop: rows with a time-out are left out, the next observation is that of the next row."""
    import h5py
    import numpy as np
    import torch

    with h5py.File(path, "r") as file:
        dataset = {name: file[name][:] for name in file}
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
    count = len(tensors["r"])
    rows = torch.randint(count, (BATCH,))
    batch = {name: tensor[rows] for name, tensor in tensors.items()}
    assert batch["s"].shape == (BATCH, OBSERVATION)
    return count


def ours(path: Path) -> int:
    """Trajectories, checked, and the view from which algorithms draw batches."""
    from offbench.formats.hdf5 import read_hdf5

    return first_batch(read_hdf5(path))


def cached(path: Path) -> int:
    """The same from the cache, which this never writes."""
    from offbench.formats.native import load

    return first_batch(load(path.with_name(path.name + ".offbench")))


def standardised(path: Path) -> int:
    """The same, with the states' mean and deviation, which need a pass over all of them."""
    from offbench.formats.native import load

    return first_batch(load(path.with_name(path.name + ".offbench")), normalise_states=True)


def first_batch(trajectories, **options: bool) -> int:
    """Make the view and draw from it; returns how many transitions it has."""
    import torch

    from offbench.data.transitions import Transitions

    transitions = Transitions(trajectories, **options)
    batch = transitions.batch(torch.randint(len(transitions), (1, BATCH)))
    assert batch.observations.shape == (1, BATCH, OBSERVATION)
    return len(transitions)


def plain_load(path: Path) -> int:
    """The cache alone, mapped and checked."""
    from offbench.formats.native import load

    return load(path.with_name(path.name + ".offbench")).steps


WAYS = {"loop": rival, "hdf5": ours, "cache": cached, "standardised": standardised, "map": plain_load}
TITLES = {
    "loop": "loop, from {kind} HDF5",
    "hdf5": "offbench, from {kind} HDF5",
    "cache": "offbench, from the cache",
    "standardised": "offbench, from the cache, standardised",
    "map": "offbench, the cache mapped and checked",
}


def measure(way: str, path: Path) -> dict[str, float]:
    """Seconds and peak bytes of one load in this process."""
    for name in ("torch", "h5py", "offbench.data.transitions", "offbench.formats.native", "offbench.formats.hdf5"):
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
    from offbench.formats.native import load

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
    print(json.dumps(sizes), flush=True)
    sys.stdin.readline()  # the pages stay until the other has reported, too


def share(path: Path) -> None:
    """Two processes with the same cache: their pages are the same ones."""
    if not Path("/proc/self/smaps").exists():
        print("sharing of pages is not shown, as this system has no /proc/self/smaps")
        return
    command = [sys.executable, __file__, "--hold", str(path)]
    holders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def ask(holder: subprocess.Popen[str], word: str) -> str:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(word)
        holder.stdin.flush()
        return holder.stdout.readline()

    for holder in holders:
        ask(holder, "")
    reports = [json.loads(ask(holder, "report\n")) for holder in holders]
    for holder in holders:
        holder.communicate("end\n")
    print(f"\ntwo processes at once, each with the cache of {path.stat().st_size / MEBIBYTE:.0f} MiB mapped:")
    for number, sizes in enumerate(reports, 1):
        shown = ", ".join(f"{name} {size / MEBIBYTE:.0f} MiB" for name, size in sizes.items())
        print(f"  process {number}: {shown}")


def main(steps: int, repeats: int) -> None:
    """Print seconds, ratios and peaks, and how pages are shared."""
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"hopper-{kind}.hdf5" for kind in ("plain", "gzip")}
        for kind, path in files.items():
            write(path, steps, None if kind == "plain" else kind)
        cache = files["plain"].with_name(files["plain"].name + ".offbench")
        # What a first load leaves in the cache folder, under a name that the processes know.
        fill = "from offbench.formats import hdf5, native; native.save(hdf5.read_hdf5(argv[1]), argv[2])"
        subprocess.check_call([sys.executable, "-c", f"from sys import argv; {fill}", files["plain"], cache])
        if hasattr(os, "sync"):
            os.sync()  # so that writing the files to disk does not go on beside the measurements
        sizes = ", ".join(f"{path.stat().st_size / MEBIBYTE:.0f} MiB {kind}" for kind, path in files.items())
        print(f"{steps:,} steps of HDF5 ({sizes}), {os.cpu_count()} cores")
        print(f"{'':38s}{'seconds':>10s}{'ratio':>8s}{'peak MiB':>10s}{'rows':>12s}")
        plan = [
            ("loop", "plain"),
            ("hdf5", "plain"),
            ("cache", "plain"),
            ("standardised", "plain"),
            ("map", "plain"),
            ("loop", "gzip"),
            ("hdf5", "gzip"),
        ]
        slow: dict[str, float] = {}
        for way, kind in plan:
            found = [in_process(way, files[kind]) for _ in range(3 if way == "loop" else repeats)]
            seconds = statistics.median(result["seconds"] for result in found)
            peak = statistics.median(result["peak"] for result in found) / MEBIBYTE
            slow.setdefault(kind, seconds)  # the loop comes first
            title = TITLES[way].format(kind=kind)
            print(f"{title:38s}{seconds:10.4f}{slow[kind] / seconds:8.1f}{peak:10.0f}{found[0]['count']:12,d}")
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
