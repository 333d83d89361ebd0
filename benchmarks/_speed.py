"""Records of rates of updates, docs/speed/updates/METHOD-DEVICE.json, and the tables of docs/speed.md that show them.

A record holds the rate of every contender in every round with date, commit and machine; tables are made of records
alone: ``make results``.
"""

import argparse
import datetime
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from offbench.basis.files import atomic
from offbench.evaluation.machine import describe_machine

FOLDER = Path("docs/speed/updates")
UNMEASURED = "Not measured yet; `make bench` does."
Record = dict[str, Any]
# What is shown of a method that is looked at more closely, in this order.
CALLED = {
    "corl": "CORL's style, one seed",
    "plain": "plain, one seed",
    "jax": "JAX: jitted scan, vmapped over seeds",
    "offbench eager": "offbench, eager",
    "offbench": "offbench",
    "offbench mixed": "offbench, `--dtype mixed`",
    "offbench tf32": "offbench, `--dtype tf32`",
    "products": "the matrix products alone, float32",
}


def described() -> Record:
    """Date, commit and machine of a measurement that is made now."""
    from importlib.metadata import PackageNotFoundError, version

    hardware, packages, commit = describe_machine()
    kept = {name: packages[name] for name in ("python", "torch")}
    try:
        kept["jax"] = version("jax")
    except PackageNotFoundError:
        kept["jax"] = "absent"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"date": today, "commit": commit, "hardware": hardware, "packages": kept}


def write(record: Record) -> Path:
    """Keep a record in place of the earlier one of its method and kind of device."""
    path = FOLDER / f"{record['algorithm']}-{record['device']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def records(device: str, algorithm: str = "*") -> list[Record]:
    """Those of a kind of device, in the order of their methods."""
    paths = sorted(FOLDER.glob(f"{algorithm}-{device}.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def median(record: Record, contender: str, seeds: int) -> float | None:
    """Updates of single seeds a second, None where that was not measured."""
    rates = record["rates"].get(contender, {}).get(str(seeds))
    return statistics.median(rates) if rates else None


def ratio(record: Record, contender: str, seeds: int, rival: str) -> str:
    """By how much a contender is faster than a rival of one seed: the ratio of medians, then those of the rounds."""
    one = record["rates"].get(contender, {}).get(str(seeds), [])
    other = record["rates"].get(rival, {}).get("1", [])
    if not one or not other:
        return ""
    each = [a / b for a, b in zip(one, other, strict=False)]
    return f"{statistics.median(one) / statistics.median(other):.2f} ({min(each):.2f} to {max(each):.2f})"


def number(value: float | None) -> str:
    """In three digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """A table of Markdown whose columns but the first ``words`` are numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return ["|".join(["", *(f" {cell} " if cell else " " for cell in cells), ""]) for cells in (head, rule, *rows)]


def of_methods(device: str) -> list[str]:
    """A row a method."""
    found = records(device)
    counts = sorted({seeds for record in found for seeds in record["seeds"]})
    seeds = [f"{count} seed{'s' if count > 1 else ''}" for count in counts]
    head = ["method", "networks", "batch", "plain", *seeds, "times plain, 1 seed", "products allow", "reached"]
    head += ["seconds to compile"]
    rows = []
    for record in found:
        own = [median(record, "offbench", count) for count in counts]
        most, best = median(record, "products", counts[-1]) or median(record, "products", counts[0]), max(own)  # type: ignore[type-var]
        reached = f"{100 * best / most:.0f}%" if most and best else ""
        name, batch = f"`{record['algorithm']}`", f"{record['batch_size']:,}"
        plain = number(median(record, "plain", 1))
        cells = [name, record["networks"], batch, plain, *map(number, own), ratio(record, "offbench", 1, "plain")]
        rows.append([*cells, number(most), reached, f"{record['compile_seconds']:.0f}"])
    return [*table(head, rows, 2), "", *sources(found)]


def of_one(algorithm: str, device: str) -> list[str]:
    """A row a contender."""
    found = records(device, algorithm)
    lines: list[str] = []
    for record in found:
        counts = record["seeds"]
        seeds = [f"{count} seed{'s' if count > 1 else ''}" for count in counts]
        rivals = {kind: name for kind, name in (("corl", "CORL's style"), ("jax", "JAX")) if kind in record["rates"]}
        rows = []
        for kind in (kind for kind in CALLED if kind in record["rates"]):
            rates = [number(median(record, kind, count)) for count in counts]
            rows.append([CALLED[kind], *rates, *(ratio(record, kind, 1, rival) for rival in rivals)])
        lines += table(["", *seeds, *(f"times {name}, 1 seed" for name in rivals.values())], rows, 1)
        operations, products = record["operations"] / 1e6, record["products"]
        lines += ["", f"An update of one seed is {operations:,.0f} million operations in {products:.0f} products."]
        lines += [on_gpu(int(count), told) for count, told in record.get("gpu", {}).items()]
        lines += [f"Without {kind}: {why}." for kind, why in record["absent"].items()]
    return [*lines, "", *sources(found)]


def on_gpu(seeds: int, told: dict[str, float]) -> str:
    """What bounds a recorded update of so many seeds there."""
    launches, moved = told["launches"], told["bytes"] / 2**20
    return (
        f"An update of {seeds} seeds has {launches:,.0f} launches, {1e6 * told['launch_seconds']:.0f} microseconds by "
        f"themselves, and moves {moved:,.0f} MiB, {1e6 * told['bytes_seconds']:.0f} microseconds by themselves."
    )


def sources(found: Sequence[Record]) -> list[str]:
    """Date, commit and machine, once for all that share them."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for record in found:
        hardware, packages = record["hardware"], record["packages"]
        machine = hardware["gpu"] if record["device"] != "cpu" else f"one core of {hardware['cpu']}"
        used = f"torch {packages['torch']}" + ("" if packages["jax"] == "absent" else f", jax {packages['jax']}")
        told = f"{record['date']}, commit {(record['commit'] or 'unknown')[:10]}, {machine}, {used}"
        told += "" if not (record["commit"] or "").endswith("-dirty") else ", with changes that are in no commit"
        grouped[f"{told}, medians of {record['rounds']} rounds"].append(f"`{record['algorithm']}`")
    if len(grouped) == 1:
        return [f"Measured {told}." for told in grouped]
    return [f"Measured {told}: {', '.join(names)}." for told, names in grouped.items()]


def main(arguments: Sequence[str]) -> int:
    """Print one table from the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["methods", "method"])
    parser.add_argument("device", choices=["cpu", "cuda"])
    parser.add_argument("algorithm", nargs="?", default="iql")
    given = parser.parse_args(arguments)
    made: Callable[[], list[str]] = lambda: of_methods(given.device)  # noqa: E731
    if given.table == "method":
        made = lambda: of_one(given.algorithm, given.device)  # noqa: E731
    any_found = records(given.device, given.algorithm if given.table == "method" else "*")
    print("\n".join(made()) if any_found else UNMEASURED)
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
