"""The ``offbench`` command: finds the subcommand, imports that one alone, and turns errors into one sentence.

A subcommand is a module of this folder with either ``run(argv) -> int`` or ``commands``, a dictionary of typed
functions whose parameters become flags and whose docstrings become the help. A function may be named there as
``module:function``: it is imported when it is chosen, so that no command waits for what only its neighbours need.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from offbench import __version__
from offbench.basis.failures import failure
from offbench.basis.plain import plain
from offbench.basis.streams import prepare, silence, tell
from offbench.errors import OffbenchError, UnknownNameError

BUG = 1
USER_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE
LONGEST_WORD = 1000  # characters; most systems have no longer path than four times as many


@dataclass(frozen=True)
class Subcommand:
    """One line of the main help.

    Attributes:
        module: module of this folder, imported when it is chosen.
        summary: what it does.
        example: a command that works as it stands.
    """

    module: str
    summary: str
    example: str


SUBCOMMANDS: dict[str, Subcommand] = {
    "train": Subcommand(
        "train",
        "train an algorithm on a dataset, several seeds at once, and score it",
        "offbench train iql offbench/pointmaze/stitch-v0 --seeds 5",
    ),
    "sweep": Subcommand(
        "sweep",
        "many runs: grids and random search of hyperparameters, suites, plans, on all cores or a Ray cluster",
        "offbench sweep iql offbench/pointmaze/stitch-v0 --steps 10000 --expectile 0.5 0.7 0.9",
    ),
    "tune": Subcommand(
        "tune",
        "choose hyperparameters on tuning seeds, score the choice on test seeds; curve: score against the budget",
        "offbench tune iql offbench/pendulum/swingup-v0 --steps 4000 --expectile 0.5..0.9",
    ),
    "label": Subcommand(
        "label",
        "fill in hidden actions by a model, and write the dataset that results",
        "offbench label 'offbench/pendulum/swingup-v0?actions=10%-low' --with inverse_dynamics -o swingup.offbench",
    ),
    "check": Subcommand(
        "check", "check an algorithm, ours or yours: shapes, seeds, resuming, learning, ...", "offbench check iql"
    ),
    "evaluate": Subcommand("evaluate", "score a trained run again", "offbench evaluate runs/demo/iql --episodes 100"),
    "export": Subcommand(
        "export", "a trained policy as an ONNX file", "offbench export runs/demo/iql --output policy.onnx"
    ),
    "report": Subcommand(
        "report",
        "tables, data, figures, comparisons of runs and of rewards (table, records, curves, figure, compare, rewards)",
        "offbench report table runs/demo",
    ),
    "data": Subcommand(
        "data",
        "datasets (list, show, fetch, generate, regenerate, render, lint, export, rm, publish)",
        "offbench data show offbench/pointmaze/stitch-v0",
    ),
    "behaviours": Subcommand(
        "behaviours",
        "policies that the standard datasets are made with (list, train, select)",
        "offbench behaviours list",
    ),
    "teach": Subcommand(
        "teach",
        "labels of pairs of segments, from a command or an endpoint that looks at pictures of them",
        "offbench teach offbench/pendulum/swingup-v0 --pairs 100x50 --endpoint http://127.0.0.1:8000 "
        '--prompt "Which rod is upright for longer?" -o labels.offbench',
    ),
    "dynamics": Subcommand(
        "dynamics", "models of datasets (fit, show)", "offbench dynamics fit offbench/pendulum/swingup-v0"
    ),
    "ope": Subcommand(
        "ope",
        "what policies are worth by the data alone, beside what they return",
        "offbench ope runs/iql runs/bc --updates 20000",
    ),
    "select": Subcommand(
        "select", "choose among runs without playing them", "offbench select runs/iql runs/bc --updates 20000"
    ),
    "study": Subcommand(
        "study",
        "experiments that write a page (edge-of-reach, dynamics, coverage)",
        "offbench study edge-of-reach --budget small",
    ),
    "leaderboard": Subcommand(
        "leaderboard",
        "suites of tasks, methods run on them, entries handed in and verified (run, submit, verify, ...)",
        "offbench leaderboard run starter --algorithms iql td3_bc --output runs/starter",
    ),
    "algorithms": Subcommand("algorithms", "algorithms and their flags (list, show)", "offbench algorithms show iql"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 success, 1 a bug, 2 something the user can mend, 130 interrupted, 141 the reader of the output went away.
    """
    prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with _plain_warnings():
            code = _dispatch(arguments)
        # Flushed here, so that a reader who went away (offbench ... | head) is noticed while it can be handled.
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
        return BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        return _complain(plain(interrupt, lines=True) or "interrupted", INTERRUPTED, debug)
    except OffbenchError as error:
        return _complain(f"error: {plain(_short(str(error)))}", USER_ERROR, debug)
    except Exception as error:
        return _refused(error, debug)
    return code


def _refused(error: Exception, debug: bool) -> int:
    """Tell of an error that nobody foresaw: the machine refused something, or it is a bug."""
    known = failure(error)
    if known is None:
        advice = (
            "" if debug else "\nThis is a bug in offbench; run the command again with --debug and report what it shows."
        )
        return _complain(f"error: unexpected {type(error).__name__}: {plain(_short(str(error)))}{advice}", BUG, debug)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # it was standard output that could not be written to
        silence(sys.stdout)
    return _complain(f"error: {plain(_short(known))}", USER_ERROR, debug)


def _complain(message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        tell(plain(traceback.format_exc().rstrip("\n"), lines=True))
    tell(message)
    return code


def _short(message: str) -> str:
    """A message in which words that no terminal can show, such as names of thousands of characters, are cut."""
    return re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda match: f"{match[0][:60]}...{match[0][-20:]}", message)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as a line of ours: what is said, and neither where in which file nor the code that stands there."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *where: f"warning: {plain(message)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_main_help())
        return 0 if arguments else USER_ERROR
    if arguments[0] == "--version":
        print(f"offbench {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in SUBCOMMANDS:
        raise UnknownNameError("subcommand", name, SUBCOMMANDS, "offbench --help lists all")
    module = importlib.import_module(f"offbench.cli.{SUBCOMMANDS[name].module}")
    if hasattr(module, "run"):
        return _exit_code(lambda: module.run(rest))
    return _run_command(name, module.commands, rest)


Command = Callable[..., Any] | str


def function_of(command: Command) -> Callable[..., Any]:
    """The function of a command, imported now where it is named as ``module:function``."""
    if not isinstance(command, str):
        return command
    module, _, name = command.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _run_command(group: str, commands: Mapping[str, Command], arguments: list[str]) -> int:
    """Run one of the functions of a subcommand, with flags made from its parameters."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_group_help(group, commands))
        return 0 if arguments else USER_ERROR
    name, rest = arguments[0], arguments[1:]
    if name not in commands:
        raise UnknownNameError(f"{group} command", name, commands, f"offbench {group} --help lists all")
    import tyro

    function = function_of(commands[name])
    # The flags' own descriptions stand in the section Args; the rest, examples included, is shown as it was written.
    description = (inspect.getdoc(function) or "").partition("\nArgs:")[0].strip()
    return _exit_code(lambda: tyro.cli(function, prog=f"offbench {group} {name}", description=description, args=rest))


def _exit_code(call: Callable[[], object]) -> int:
    """The exit code of a call that returns one or nothing, or that ends by SystemExit as parsers of flags do."""
    try:
        result = call()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich ends the process itself where nobody reads any more
            return BROKEN_PIPE
        result = end.code
    if isinstance(result, str):  # what sys.exit("message") carries
        raise OffbenchError(result)
    return result if isinstance(result, int) else 0


def _main_help() -> str:
    lines = [
        "usage: offbench [--version] [--debug] SUBCOMMAND ...",
        "",
        "Datasets and a benchmark suite for offline reinforcement learning.",
        "",
        "subcommands:",
    ]
    for name, subcommand in SUBCOMMANDS.items():
        lines += [f"  {name:<12} {subcommand.summary}", f"  {'':<12} $ {subcommand.example}"]
    lines += [
        "",
        "options:",
        "  -h, --help   this help; 'offbench SUBCOMMAND --help' shows a subcommand's flags",
        "  --version    print the version",
        "  --debug      show the traceback of an error; may stand anywhere",
    ]
    return "\n".join(lines)


def _group_help(group: str, commands: Mapping[str, Command]) -> str:
    lines = [f"usage: offbench {group} COMMAND ...", "", f"{SUBCOMMANDS[group].summary}", "", "commands:"]
    for name, command in commands.items():
        documentation = (function_of(command).__doc__ or "").strip().splitlines()
        lines.append(f"  {name:<12} {documentation[0] if documentation else ''}".rstrip())
        examples = [line.strip() for line in documentation if line.strip().startswith(f"offbench {group} {name}")]
        lines += [f"  {'':<12} $ {example}" for example in examples[:1]]
    return "\n".join([*lines, "", f"'offbench {group} COMMAND --help' shows a command's flags"])


if __name__ == "__main__":
    sys.exit(main())
