import importlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offbench import __version__
from offbench.cli.main import SUBCOMMANDS, Subcommand, main
from offbench.errors import DataError, OffbenchError


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a module with the given names the subcommand ``fake``."""

    def add(**names: Any) -> None:
        module = types.ModuleType("offbench.cli.fake")
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, "offbench.cli.fake", module)
        monkeypatch.setitem(SUBCOMMANDS, "fake", Subcommand("fake", "for tests", "offbench fake greet you"))

    return add


def raising(error: BaseException) -> Callable[[list[str]], int]:
    def run(argv: list[str]) -> int:
        raise error

    return run


def greet(name: str, times: int = 1) -> int:
    """Greet somebody.

    Examples:
        offbench fake greet --name you
        offbench fake greet --name you --times 2

    Args:
        name: Whom to greet.
        times: How often.
    """
    print(f"hello {name} " * times)
    return times


def test_help_lists_every_subcommand_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, subcommand in SUBCOMMANDS.items():
        assert f"\n  {name} " in text
        assert subcommand.summary in text
        assert f"$ {subcommand.example}\n" in text
        assert subcommand.example.startswith(f"offbench {name} ")
    assert main([]) == 2
    assert capsys.readouterr().out == text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"offbench {__version__}\n"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_keeps_the_contract_and_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"offbench.cli.{SUBCOMMANDS[name].module}")
    assert hasattr(module, "run") != hasattr(module, "commands")
    assert main([name, "--help"]) == 0
    assert f"offbench {name} " in capsys.readouterr().out
    for command in getattr(module, "commands", {}):
        assert main([name, command, "--help"]) == 0
        text = capsys.readouterr().out
        assert text.count(f"offbench {name} {command}") >= 2, "the usage line and an example"


def test_unknown_names_list_near_ones(capsys: pytest.CaptureFixture[str], register: Callable[..., None]) -> None:
    assert main(["trian"]) == 2
    assert "error: there is no subcommand named 'trian'; nearest: train" in capsys.readouterr().err
    register(commands={"greet": greet})
    assert main(["fake", "great"]) == 2
    assert "there is no fake command named 'great'; nearest: greet" in capsys.readouterr().err


def test_run_gets_the_remaining_arguments_and_gives_the_exit_code(register: Callable[..., None]) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str]) -> int:
        seen.append(argv)
        return 7

    register(run=run)
    assert main(["fake", "iql", "--debug", "--help"]) == 7
    assert seen == [["iql", "--help"]]


def test_functions_become_commands_with_flags(
    capsys: pytest.CaptureFixture[str], register: Callable[..., None]
) -> None:
    register(commands={"greet": greet, "quiet": lambda: None})
    assert main(["fake", "greet", "--name", "you", "--times", "3"]) == 3
    assert capsys.readouterr().out == "hello you hello you hello you \n"
    assert main(["fake", "quiet"]) == 0
    assert main(["fake", "greet", "--help"]) == 0
    text = capsys.readouterr().out
    assert "usage: offbench fake greet" in text
    assert "Examples:\n    offbench fake greet --name you\n    offbench fake greet --name you --times 2\n" in text
    assert "Whom to greet." in text
    assert main(["fake", "--help"]) == 0
    assert "Greet somebody.\n               $ offbench fake greet --name you\n" in capsys.readouterr().out
    assert main(["fake"]) == 2
    capsys.readouterr()
    assert main(["fake", "greet", "--nam", "you"]) == 2
    assert "--name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OffbenchError("the file is gone; name another"), 2, "error: the file is gone; name another\n"),
        (DataError("rewards have NaN"), 2, "error: rewards have NaN\n"),
        (KeyboardInterrupt("stopped; go on with --resume"), 130, "stopped; go on with --resume\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(5), 5, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("said why"), 2, "error: said why\n"),
        (OffbenchError("no file a\x1b[2J\nb\u202e"), 2, "error: no file a\\x1b[2J\\nb\\u202e\n"),
        (KeyboardInterrupt("stopped\x07\ngo on"), 130, "stopped\\x07\ngo on\n"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device; make room, or name a folder on "),
        (PermissionError(13, "Permission denied", "x"), 2, "error: x: Permission denied; name one that you may read"),
        (OSError(36, "File name too long", "x" * 5000), 2, f"error: {'x' * 60}...{'x' * 19}: File name too long; give"),
        (MemoryError(), 2, "error: there is too little memory; ask for less: "),
        (OverflowError("int too big"), 2, "error: a number is larger than this machine can work with (int too big)"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str], register: Callable[..., None]
) -> None:
    register(run=raising(error))
    assert main(["fake"]) == code
    told = capsys.readouterr().err
    assert told == message if message.endswith("\n") or not message else told.startswith(message)
    assert "bug" not in told
    assert "Traceback" not in told


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], register: Callable[..., None]) -> None:
    register(run=raising(OffbenchError("wrong")))
    assert main(["--debug", "fake"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert text.endswith("error: wrong\n")


def test_a_bug_is_called_one(capsys: pytest.CaptureFixture[str], register: Callable[..., None]) -> None:
    register(run=raising(TypeError("no such thing")))
    assert main(["fake"]) == 1
    text = capsys.readouterr().err
    assert "unexpected TypeError: no such thing" in text
    assert "with --debug" in text
    assert "Traceback" not in text
    assert main(["fake", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys, types; from offbench.cli import main as m\n"
        "fake = types.ModuleType('offbench.cli.fake')\n"
        "fake.run = lambda argv: print('line\\n' * 100_000)\n"
        "sys.modules['offbench.cli.fake'] = fake\n"
        "m.SUBCOMMANDS['fake'] = m.Subcommand('fake', '', '')\n"
        "sys.exit(m.main(['fake']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 141
    process.stderr.close()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from offbench.cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'numpy', 'tyro', 'pydantic', 'gymnasium', 'mujoco', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('offbench.cli.') and name != 'offbench.cli.main']"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_installed_command_runs() -> None:
    script = Path(sys.executable).parent / "offbench"
    result = subprocess.run([str(script), "trian"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: there is no subcommand named 'trian'")


def run_command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """``python -m offbench``, which prints more than ASCII has, with a warning."""
    code = (
        "import sys, types, warnings; from offbench.cli import main as m\n"
        "def run(argv):\n"
        "    warnings.warn('an odd \\x1b name')\n"
        "    print('1.0 \\u00b1 0.5 \\u65e5' * (1 if argv else 100_000))\n"
        "fake = types.ModuleType('offbench.cli.fake')\n"
        "fake.run = run\n"
        "sys.modules['offbench.cli.fake'] = fake\n"
        "m.SUBCOMMANDS['fake'] = m.Subcommand('fake', '', '')\n"
        "sys.exit(m.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=60, **options)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_text_is_printed_in_any_encoding(encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = run_command("fake", "once", env=environment, stdout=subprocess.PIPE, encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout == {"ascii": "1.0 +- 0.5 \\u65e5\n", "latin-1": "1.0 ± 0.5 \\u65e5\n"}.get(
        encoding, "1.0 ± 0.5 日\n"
    )
    assert done.stderr == "warning: an odd \\x1b name\n"
    done = run_command("é\x1b", env=environment, stdout=subprocess.PIPE, encoding=encoding)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no subcommand named '")


@pytest.mark.skipif(os.name != "posix", reason="descriptors that are closed")
@pytest.mark.parametrize("closed", [[1], [2], [0, 1, 2]])
def test_streams_that_are_closed_are_no_error(closed: list[int]) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    assert run_command("fake", "once", preexec_fn=close, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_output_that_cannot_be_written_is_told() -> None:
    for arguments in (["fake"], ["fake", "once"], ["--help"]):
        with open("/dev/full", "w") as full:
            done = run_command(*arguments, stdout=full)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: No space left on device; make room")


def test_errors_are_told_although_nobody_listens() -> None:
    with open("/dev/full" if Path("/dev/full").exists() else os.devnull, "w") as full:
        command = [sys.executable, "-m", "offbench", "nonsense"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 2


def test_a_reader_that_goes_away_from_a_table_is_no_error(register: Callable[..., None]) -> None:
    def run(argv: list[str]) -> int:
        try:
            raise BrokenPipeError
        except BrokenPipeError:  # as rich does it
            raise SystemExit(1)  # noqa: B904

    register(run=run)
    assert main(["fake"]) == 141


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "offbench", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"offbench {__version__}\n")
