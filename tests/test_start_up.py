"""What a command imports, by which its start is paid: modules and not seconds, which differ from machine to machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "scipy", "mujoco", "gymnasium", "gymnasium_robotics", "minari", "matplotlib", "pandas", "onnxruntime"}
CODE = """
import json, sys
from offbench.cli.main import main
code = main(sys.argv[1:])
print()
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded(*arguments: str, folder: Path) -> set[str]:
    """Names of the modules that a command has imported when it ends."""
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, cwd=folder)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "command",
    [
        "--version",
        "data list",
        "data show --help",
        "leaderboard suites",
        "leaderboard suite starter-mini",
        "report table --help",
        "report compare --help",
    ],
)
def test_a_light_command_imports_nothing_heavy(command, tmp_path):
    assert not loaded(*command.split(), folder=tmp_path) & HEAVY


def test_training_imports_no_compiler_and_no_table_of_distributions(pendulum_file, tmp_path):
    """Torch's compiler and scipy.stats took half of what a short run takes."""
    quick = "--seeds 2 --steps 2 --episodes 1 --hidden 8 --batch-size 8 --workers 1 --quiet"
    modules = loaded("train", "bc", str(pendulum_file), *quick.split(), folder=tmp_path)
    assert "torch" in modules
    assert not modules & {"torch._dynamo", "torch._inductor", "sympy", "scipy.stats", "matplotlib", "pandas", "minari"}
