"""What compiling an update costs a process: the first time on a machine, and again with the code in the cache folder.

Each figure is of a process of its own, with one thread: seconds until the first updates of each kind are made, of the
clock and of the processor (that of the compilers that it starts included). Shapes are hopper's, configurations the
defaults. "Eager" is what the same updates take without compiling, and "pays after" is the number of updates of one seed
from which compiling has won back what it cost, first and again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from _plain import RIVALS


def figures(name: str, compiled: bool, cache: str) -> dict[str, float]:
    """What a process of its own measured; the body is ``be_process``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OFFBENCH_CACHE": cache}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    command = [sys.executable, __file__, "--process", name, *(["--compiled"] if compiled else [])]
    found: dict[str, float] = json.loads(subprocess.check_output(command, env=environment, text=True))
    return found


def be_process(name: str, compiled: bool) -> None:
    """Print seconds of the first updates and of one later update."""
    import torch
    from _hopper import ACTION, OBSERVATION, TOTAL, prepared

    from offbench.algorithms import registry
    from offbench.algorithms.base import Sizes
    from offbench.basis.compiler import keep_memory
    from offbench.training.compilation import update_step
    from offbench.training.group import Group

    keep_memory()
    torch.set_num_threads(1)
    found, (config, view) = registry.algorithm(name), prepared(name)
    group = Group(found(config, Sizes(OBSERVATION, ACTION), [0], TOTAL), view, update_step(found, compiled))
    clock, used = time.perf_counter(), processor()
    group.advance(0, found.period)
    clock, used = time.perf_counter() - clock, processor() - used
    done, started = found.period, processor()
    while done < 20 * found.period or processor() - started < 1.0:
        group.advance(done, done + found.period)
        done += found.period
    update = (processor() - started) / (done - found.period)
    print(json.dumps({"clock": clock, "processor": used, "update": update}))


def processor() -> float:
    """Seconds of the processor that this process and those that it has ended used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=RIVALS, default=sorted(RIVALS))
    parser.add_argument("--process", choices=RIVALS, help="be the process that is measured")
    parser.add_argument("--compiled", action="store_true")
    arguments = parser.parse_args()
    if arguments.process:
        return be_process(arguments.process, arguments.compiled)
    print("seconds of the clock (of the processor) until the first updates; milliseconds of a later update of one seed")
    print(f"{'method':8} {'first':>14} {'again':>14} {'eager':>7} {'compiled':>8}  pays after (first, again)")
    for name in arguments.algorithms:
        with tempfile.TemporaryDirectory() as cache:
            first, again = (figures(name, True, cache) for _ in range(2))
            eager = figures(name, False, cache)
        saved = max(eager["update"] - first["update"], 1e-9)
        both = [f"{one['clock']:.1f} ({one['processor']:.1f})" for one in (first, again)]
        paid = [f"{one['clock'] / saved:,.0f}" for one in (first, again)]
        milliseconds = f"{1e3 * eager['update']:7.1f} {1e3 * first['update']:8.1f}"
        print(f"{name:8} {both[0]:>14} {both[1]:>14} {milliseconds}  {', '.join(paid)}", flush=True)


if __name__ == "__main__":
    main()
