"""What compiling costs of many short runs: commands one after another, and one sweep that makes the same runs.

Four algorithms on four datasets, few updates, every update compiled. The datasets are parts of one, so that sizes are
equal and lengths are not, as with the levels of one robot. Each way begins with an empty cache of compiled code and has
the same number of processes at once. "Compiling" is the clock's seconds from the beginning of the first compiled update
to its end, over all processes; its share is of the seconds that all processes together had.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALGORITHMS = ("bc", "iql", "td3_bc", "awac")


def quarters(dataset: str, folder: Path) -> list[Path]:
    """Files with a part of the dataset each, of four lengths."""
    import offbench

    data = offbench.load(dataset)
    count = len(data)
    cuts = [0, count // 5, count // 2, count * 3 // 4, count]
    paths = [folder / f"part{number}.offbench" for number in range(4)]
    for path, first, last in zip(paths, cuts, cuts[1:], strict=False):
        offbench.save(data[first:last], path)
    return paths


def main() -> None:
    """Measure both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="offbench/pointmaze/stitch-v0")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--commands-only", action="store_true", help="for code that has no sweeps")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = quarters(asked.dataset, Path(name))
        flags = ["--steps", str(asked.steps), "--seeds", str(asked.seeds), "--episodes", "2", "--compile", "always"]
        flags += ["--evaluate-every", str(asked.steps), "--device", "cpu", "--quiet"]

        def commands(folder: Path) -> None:
            for algorithm in asked.algorithms:
                for file in files:
                    output = ["--output", str(folder / algorithm / file.name)]
                    run(["train", algorithm, str(file), *flags, "--workers", str(asked.processes), *output], folder)

        def sweep(folder: Path) -> None:
            options = f"steps = {asked.steps}\nseeds = {asked.seeds}\nepisodes = 2\ncompile = 'always'\n"
            methods = "\n".join(f"[[methods]]\nalgorithm = '{algorithm}'" for algorithm in asked.algorithms)
            plan = f"datasets = {json.dumps(list(map(str, files)))}\nevaluate_every = {asked.steps}\n{options}{methods}"
            (folder / "plan.toml").write_text(plan, encoding="utf-8")
            more = ["--processes", str(asked.processes), "--device", "cpu", "--quiet", "--output", str(folder / "runs")]
            run(["sweep", str(folder / "plan.toml"), *more], folder)

        print(f"{len(asked.algorithms)} algorithms x 4 datasets, {asked.steps:,} updates of {asked.seeds} seeds")
        print("| | seconds | compiling, all processes | share |")
        print("|---|---:|---:|---:|")
        shares = []
        for title, way in (("commands", commands), ("one sweep", sweep))[: 1 if asked.commands_only else 2]:
            folder = Path(name) / title.replace(" ", "-")
            folder.mkdir()
            started = time.perf_counter()
            way(folder)
            seconds = time.perf_counter() - started
            notes = (folder / "cache").glob("compiled/*/seconds/*.json")
            spent = sum(all_seconds(json.loads(path.read_text(encoding="utf-8"))) for path in notes)
            shares.append(spent / (seconds * asked.processes))
            print(f"| {title} | {seconds:.0f} | {spent:.0f} | {shares[-1]:.1%} |", flush=True)
        if len(shares) == 2:
            print(f"\nThe share of the sweep is {shares[1] / shares[0]:.2f} times that of the commands.")


def all_seconds(note: dict[str, float]) -> float:
    """Seconds of all processes; of earlier code, which kept only the first and the last, of two processes."""
    return note.get("all", note["first"] + note.get("again", 0.0))


def run(words: list[str], folder: Path) -> None:
    """One command of offbench with the cache of its folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OFFBENCH_CACHE": str(folder / "cache")}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    subprocess.run([sys.executable, "-m", "offbench", *words], env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
