"""Reads mutated files of one kind and prints, as JSON, what became of them; test_mutations runs it as a process.

Arguments: kind, first seed, number of files, folder. Seed s always gives the same file. Before each file its seed is
printed, so that the parent knows which one a crash or a hang belongs to: an alarm ends the process after 5 seconds.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import episode_files
import h5py
import numpy as np

from offbench.catalog.cards import read_cards
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.formats import native, preferences, shards
from offbench.formats.hdf5 import read_hdf5
from offbench.formats.npz import read_npz
from offbench.formats.pickled_arrays import read_pickled_array
from offbench.formats.preference_files import read_ipl
from offbench.formats.table import recognise
from offbench.formats.writers import export_minari

SECONDS = 5.0

# What code would do that a file had smuggled in; reading does none of it once everything is imported.
FORBIDDEN = ("os.system", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "socket.", "ctypes.", "pickle.")
FORBIDDEN += ("os.remove", "os.rename", "os.mkdir", "shutil.", "import", "exec")

CARD = b"""
licence = "CC-BY-4.0"
address = "http://localhost/folder/"
known_defects = ["holds for all"]

[[dataset]]
id = "d4rl/hopper-medium-v2"
revision = 2
description = "cut after \\u00e9 two episodes"
reader = "d4rl"
steps = 1_000
files = [{ url = "hopper_medium-v2.hdf5", size = 152756557, mirrors = ["https://localhost/a"] }]

[[dataset]]
id = "offbench/pendulum/swingup-v0"
task = "pendulum"
steps = 100
description = '''made'''
[dataset.recipe]
name = "pendulum_swingup"
seed = 0
episodes = 500
arguments = { gain = 0.3, noise = [0.5, 3.0], at = 2020-01-02T03:04:05Z }
"""


def rows() -> dict[str, Any]:
    observations = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)
    ends = np.arange(20)
    return {
        "observations": observations,
        "next_observations": observations + 1,
        "actions": np.full((20, 1), 0.25, np.float32),
        "rewards": np.arange(20, dtype=np.float32),
        "terminals": ends == 9,
        "timeouts": ends == 19,
    }


def trajectories() -> Trajectories:
    observations = np.linspace(-1, 1, 44, dtype=np.float32).reshape(22, 2)
    ends = np.arange(20)
    return Trajectories(
        observations,
        np.array([0, 10, 20]),
        ends == 9,
        ends == 19,
        np.full((20, 1), 0.25, np.float32),
        np.arange(20, dtype=np.float32),
        {"goal": np.zeros((20, 2))},
        action_range=(-np.ones(1, np.float32), np.ones(1, np.float32)),
    )


# -------------------------------------------------------------------- sound files, several of each kind

Sample = bytes | dict[str, bytes]  # a file, or the files of a folder by name


def hdf5_samples(folder: Path) -> list[bytes]:
    found = []
    for number, options in enumerate(({}, {"compression": "gzip", "chunks": True, "shuffle": True}, {})):
        path = folder / f"sample{number}.hdf5"
        with h5py.File(path, "w", libver="latest" if number == 2 else None) as file:
            for name, column in rows().items():
                file.create_dataset(name, data=column, **options)
            file.create_dataset("infos/qpos", data=np.zeros((20, 3)), **options)
            file["metadata/algorithm"], file["metadata/text"] = np.bytes_("SAC"), "of variable length"
            file["metadata/action_low"], file["metadata/action_high"] = -np.ones(1), np.ones(1)
        found.append(path.read_bytes())
    return found


def npz_samples(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    pairs = {f"{name}_{side}": rng.random((3, 4, 2)) for name in ("obs", "action") for side in (1, 2)}
    found = []
    for save in (np.savez, np.savez_compressed):
        for columns in (rows(), pairs | {"label": np.array([0, 0.5, 1])}):
            content = io.BytesIO()
            save(content, **columns)
            found.append(content.getvalue())
    return found


def native_samples(folder: Path) -> list[bytes]:
    path = folder / "sample.offbench"
    native.save(trajectories(), path)
    found = [path.read_bytes()]
    part = Segments.cut(trajectories(), np.array([0, 3, 11]), 5)
    preferences.save(Preferences(part, part, np.array([0, 0.5, 1], np.float32)), path)
    return [*found, path.read_bytes()]


def pickle_samples(folder: Path) -> list[bytes]:
    things: list[Any] = [np.arange(9), np.arange(6, dtype=">i4").reshape(2, 3), np.array([[0.5, 0.5]]), [1, 0, -1, 0.5]]
    things.append([np.int64(3), np.float64(2)])
    return [pickle.dumps(thing, protocol) for thing in things for protocol in (2, 4, 5)]


def card_samples(folder: Path) -> list[bytes]:
    return [CARD]


def ogbench_rows() -> dict[str, Any]:
    """Two episodes of nine steps, a row longer each."""
    kept = {name: rows()[name] for name in ("observations", "actions")}
    return kept | {"terminals": np.arange(20) % 10 == 9, "qpos": np.zeros((20, 2)), "button_states": np.zeros((20, 1))}


def episode_samples(folder: Path) -> list[bytes]:
    """Files that keep episodes apart, and those of OGBench, whose episodes have a row more than they have steps."""
    ogbench = io.BytesIO()
    np.savez_compressed(ogbench, **ogbench_rows())
    path = folder / "sample"
    return [
        episode_files.robomimic(path).read_bytes(),
        episode_files.d3rlpy(path).read_bytes(),
        ogbench.getvalue(),
    ]


def folder_samples(folder: Path) -> list[dict[str, bytes]]:
    """LeRobot's and Minari's, and one of OGBench in two files."""
    os.environ["MINARI_DATASETS_PATH"] = str(folder / "minari")
    found = [episode_files.lerobot(folder / "lerobot", files=2), export_minari(trajectories(), "made/set-v0", None)[0]]
    ogbench = folder / "ogbench"
    ogbench.mkdir()
    for number in range(2):
        np.savez(ogbench / f"part-{number}.npz", **ogbench_rows())
    return [
        {str(path.relative_to(each)): path.read_bytes() for path in sorted(each.rglob("*")) if path.is_file()}
        for each in (*found, ogbench)
    ]


# -------------------------------------------------------------------- mutations


INTERESTING = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
TOKENS = [b'"', b"'", b"[", b"]", b"{", b"}", b"=", b".", b"\n", b"\\", b"\\u", b"-", b"nan", b"inf", b"1e999", b"\x00"]
TOKENS += [
    b"9" * 5000,
    b"[" * 3000,
    b"{'a':" * 900,
    b"\xff\xfe",
    b"#",
    b"'''",
    b"\\x",
    b"c__builtin__\neval\n",
    b"R",
    b".",
]


def mutate(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 2, 4, 16, 200)))
        kind = rng.randrange(9)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 2:
            size = rng.choice((1, 2, 4, 8))
            number = struct.pack("<Q", rng.choice(INTERESTING))[:size]
            data[place : place + size] = number if rng.random() < 0.5 else number[::-1]
        elif kind == 3:
            del data[place:end]
        elif kind == 4:
            data[place:place] = data[place:end] * rng.choice((1, 1, 1, 50))
        elif kind == 5:
            data[place:place] = rng.choice(TOKENS)
        elif kind == 6:
            del data[place:]
        elif kind == 7:
            data[place:end] = rng.randbytes(end - place)
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            data[place:end] = other[start : start + end - place]
    return bytes(data)


def mutate_npz(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Half of the time within an array, zipped anew, so that the zip's checksum does not stop it first."""
    if rng.random() < 0.5:
        return mutate(rng, content, others)
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            member = old.read(name)
            # Mostly in the header, which is where an array says what it is.
            if name == chosen:
                member = (
                    mutate(rng, member[:130], [member]) + member[130:]
                    if rng.random() < 0.8
                    else mutate(rng, member, [member])
                )
            new.writestr(rng.choice(names) if rng.random() < 0.02 else name, member)
    return written.getvalue()


def mutate_native(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Mostly in the header, with the length of the header set right half of the time."""
    if rng.random() < 0.3:
        return mutate(rng, content, others)
    size = 8 + int.from_bytes(content[:8], "little")
    header = mutate(rng, content[8:size], others)
    length = len(header) if rng.random() < 0.5 else size - 8
    return length.to_bytes(8, "little") + header + content[size:]


def mutate_member(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """As the container wants it."""
    return (mutate_npz if content[:2] == b"PK" else mutate)(rng, content, others)


def mutate_folder(rng: random.Random, content: dict[str, bytes], others: list[dict[str, bytes]]) -> dict[str, bytes]:
    """One file of it, which is missing now and then."""
    name = rng.choice(sorted(content))
    kept = {other: each for other, each in content.items() if other != name}
    return kept if rng.random() < 0.05 else kept | {name: mutate_member(rng, content[name], list(content.values()))}


# -------------------------------------------------------------------- reading


def touch(found: Trajectories | Preferences) -> None:
    """Read every byte, as a user of the dataset would."""
    assert len(found.digest) == 64
    if isinstance(found, Trajectories):
        assert found.summary()


def look(path: Path) -> None:
    """Tell the format, which must not do what reading must not do either."""
    with suppress(OffbenchError):
        assert recognise(path).title


def read_any_hdf5(path: Path) -> None:
    look(path)
    touch(read_hdf5(path))


def read_any_native(path: Path) -> None:
    look(path)
    try:
        touch(native.load(path))
    except OffbenchError:
        touch(preferences.load(path))


def read_any_npz(path: Path) -> None:
    look(path)
    try:
        touch(read_npz(path))
    except OffbenchError:
        touch(read_ipl(path))


def read_pickle(path: Path) -> None:
    look(path)
    array = read_pickled_array(path)
    assert array.dtype.kind in "fiub"
    assert array.tobytes() is not None


def read_any(path: Path) -> None:
    files = shards.files_of(path)
    touch(shards.in_memory(files) if files else recognise(path).read(path))


def put(path: Path, sample: Sample) -> None:
    """Write a file, or a folder in the place of the one before."""
    if isinstance(sample, bytes):
        path.write_bytes(sample)
        return
    shutil.rmtree(path, ignore_errors=True)
    for name, content in sample.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def half(sample: Sample) -> Sample:
    if isinstance(sample, bytes):
        return sample[: len(sample) // 2]
    return {name: content[: len(content) // 2] for name, content in sample.items()}


KINDS: dict[str, tuple[Callable[[Path], list[Any]], Callable[..., Any], Callable[[Path], Any]]] = {
    "hdf5": (hdf5_samples, mutate, read_any_hdf5),
    "npz": (npz_samples, mutate_npz, read_any_npz),
    "native": (native_samples, mutate_native, read_any_native),
    "pickle": (pickle_samples, mutate, read_pickle),
    "card": (card_samples, mutate, read_cards),
    "episodes": (episode_samples, mutate_member, read_any),
    "folder": (folder_samples, mutate_folder, read_any),
}


def main(kind: str, first: int, count: int, folder: Path) -> None:
    make, change, read = KINDS[kind]
    samples = make(folder)
    path = folder / "mutated"
    outcomes: Counter[str] = Counter()
    guilty: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and any(letter in str(arguments[1]) for letter in "wax+")
        if watching and (writes or event.startswith(FORBIDDEN)):
            guilty.append(f"{event} {str(arguments)[:200]}")

    sys.addaudithook(watch)
    warnings.simplefilter("ignore")
    wide = [f"utf_{bits}{order}" for bits in (16, 32) for order in ("", "_le", "_be")]
    for name in ("raw_unicode_escape", "unicode_escape", "utf_8_sig", *wide):
        import_module(f"encodings.{name}")  # which tokenize, pickletools, json and the first look at a file may want
    import_module("unicodedata")
    for sample in samples:  # all other imports happen here, before anything is forbidden
        put(path, sample)
        read(path)
        put(path, half(sample))
        try_to_read(read, path)
    slowest = 0.0
    for seed in range(first, first + count):
        print(seed, flush=True)
        rng = random.Random(f"{kind} {seed}")
        put(path, change(rng, rng.choice(samples), samples))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # its default action ends the process, also within C
        start = time.perf_counter()
        watching = True
        outcome = try_to_read(read, path)
        watching = False
        slowest = max(slowest, time.perf_counter() - start)
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcomes[outcome.split(":")[0]] += 1
        if outcome.startswith("wrong"):
            guilty.append(outcome)
        if guilty:
            guilty.append(f"seed {seed}")
            break
    peak = peak_memory()
    print(json.dumps({"outcomes": outcomes, "guilty": guilty, "peak": peak, "slowest": slowest}))


def peak_memory() -> int:
    """Most bytes that this process had in memory, which getrusage confuses with those of its parent before exec."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def try_to_read(read: Callable[[Path], Any], path: Path) -> str:
    try:
        read(path)
    except OffbenchError as error:
        sentence = str(error)
        # Memory is to be refused before it is taken.
        return f"wrong: {sentence}" if not sentence.strip() or "not fit into memory" in sentence else "refused"
    except Exception as error:
        return f"wrong: {type(error).__name__}: {error}"
    return "read"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
