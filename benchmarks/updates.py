"""Updates a second, method by method, for several seeds at once, against rivals in the same run.

Contenders, each a process that is timed in turns with the others (_contenders.py):

- plain: the method as one would write it with torch's modules and optimisers, one seed (_plain.py)
- corl: in the style of CORL's script, one seed (_corl.py; IQL)
- jax: a jitted scan of updates, one seed and several vmapped (_jax.py; IQL)
- offbench, and for the methods that have one of the last two also eager and with coarser products
- products: the matrix products of an update alone (_limits.py), which is what the machine would allow

All have the same default configuration and hopper's shapes (11 observations, 3 actions); tests prove that the rivals
make the same losses from the same weights, rows and noise. On a CPU a rate is that of one core: one thread, by
processor time. What is printed are medians of the rounds. With ``--record`` every round is kept in docs/speed/updates,
which the tables of docs/speed.md are made of (``python docs/results.py docs/speed.md``).
"""

import argparse
import importlib.util
import tempfile
from typing import Any

import torch
from _contenders import SECONDS, Contender
from _corl import STYLED
from _hopper import networks, prepared
from _limits import operations, products
from _plain import RIVALS
from _speed import described, median, number, write

JAX = ("iql",)


def chosen(name: str, seeds: list[int], device: str) -> tuple[dict[str, list[int]], dict[str, str]]:
    """The contenders of a method with the numbers of seeds that each is timed at; and those that are absent, why."""
    kinds: dict[str, list[int]] = {"offbench": seeds, "products": seeds if device != "cpu" else seeds[:1]}
    absent: dict[str, str] = {}
    if device == "cpu" or name != "dt":  # whose rival cuts windows out of arrays on the host
        kinds["plain"] = [1]
    if name in STYLED:
        kinds["corl"] = [1]
    if name in STYLED or name in JAX:
        kinds |= {"offbench eager": seeds[:1], "offbench mixed": seeds}
        kinds |= {"offbench tf32": seeds} if device != "cpu" else {}
    if name in JAX:
        missing = no_jax(device)
        if missing:
            absent["jax"] = missing
        else:
            kinds["jax"] = seeds
    return kinds, absent


def no_jax(device: str) -> str:
    """Why JAX cannot be measured on the device, empty where it can."""
    if importlib.util.find_spec("jax") is None:
        return "jax is not installed"
    if device != "cpu":
        import jax

        if jax.default_backend() != "gpu":
            return "jax is installed without its support of GPUs"
    return ""


def measured(
    name: str, seeds: list[int], given: argparse.Namespace, cache: str, told_once: dict[str, Any]
) -> dict[str, Any]:
    """The record of a method; ``told_once`` are date, commit and machine."""
    device, rounds, seconds = given.device, given.rounds, given.seconds
    kinds, absent = chosen(name, seeds, device)
    config, _ = prepared(name)
    made = products(name)
    contenders: dict[str, Contender] = {}
    rates: dict[str, dict[str, list[float]]] = {}
    try:
        for kind, counts in kinds.items():
            contenders[kind] = Contender(kind, name, counts, device, seconds, cache)
            rates[kind] = {str(count): [] for count in counts}
        for _ in range(rounds):
            for kind, contender in contenders.items():
                for count in contender.seeds:
                    rates[kind][str(count)].append(round(contender.rate(count), 3))
    finally:
        for contender in contenders.values():
            contender.close()
    told = contenders["offbench"].told
    return {
        "algorithm": name,
        "device": device,
        **told_once,
        "unit": "updates of one seed a second" + (", one thread, by processor time" if device == "cpu" else ""),
        "rounds": rounds,
        "seeds": seeds,
        "batch_size": config.batch_size,
        "networks": networks(config),
        "operations": operations(made),
        "products": sum(stack * count for (stack, *_), count in made.items()),
        "compile_seconds": round(told["first_seconds"], 1),
        "together": told["together"],
        **({"gpu": told["gpu"]} if "gpu" in told else {}),
        "absent": absent,
        "rates": rates,
    }


def show(record: dict[str, Any]) -> None:
    """Print the medians of a record, a line a contender."""
    print(f"{record['algorithm']}, {record['networks']}, batch {record['batch_size']}, on the {record['device']}")
    print(f"  {'updates of one seed a second':32}" + "".join(f"{f'{count} seeds':>12}" for count in record["seeds"]))
    for kind in record["rates"]:
        values = [number(median(record, kind, count)) for count in record["seeds"]]
        print(f"  {kind:32}" + "".join(f"{value:>12}" for value in values), flush=True)
    for kind, why in record["absent"].items():
        print(f"  without {kind}: {why}")


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=sorted(RIVALS), default=sorted(RIVALS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default=device)
    parser.add_argument("--seeds", nargs="+", type=int, help="1 4 16 on a CPU, 1 16 64 on a GPU, unless given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of one measurement")
    parser.add_argument("--record", action="store_true", help="keep what was measured in docs/speed/updates")
    given = parser.parse_args()
    seeds = sorted(set(given.seeds or ([1, 4, 16] if given.device == "cpu" else [1, 16, 64])) | {1})
    told_once = described()  # before records are written, which would count as changes to the commit
    with tempfile.TemporaryDirectory() as cache:  # so that the seconds to compile are those of the first time
        for name in given.algorithms:
            record = measured(name, seeds, given, cache, told_once)
            show(record)
            if given.record:
                print(f"  wrote {write(record)}")


if __name__ == "__main__":
    main()
