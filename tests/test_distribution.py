"""What is handed out, wheel and source distribution: it holds what it should, and works where no checkout is."""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offbench.catalog.cards import cards
from offbench.environments.task import tasks

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
# Every other folder holds data that the package reads.
FOR_DEVELOPERS = {"benchmarks", "docs", "examples", "notebooks", "tests"}
# What lies about in a checkout that is worked in.
STRAYS = (
    "datasets/MUJOCO_LOG.TXT",
    "datasets/.ipynb_checkpoints/card.toml",
    "offbench/nn/__pycache__/mlp.cpython-311.pyc",
    "runs/bc/seed-0.json",
)

Python = Callable[..., str]


def tracked() -> list[str]:
    """Files of the checkout that git keeps, or will once they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs a git checkout, to tell what belongs to it")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source distribution and the wheel made of it, and in ``direct`` the checkout's own wheel."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, checkout / name)
    for name in STRAYS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    out = tmp_path_factory.mktemp("dist")
    for options in (["--outdir", out], ["--wheel", "--outdir", out / "direct"]):
        command = [sys.executable, "-m", "build", "--no-isolation", *options, checkout]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return out


def contents(folder: Path) -> dict[str, str]:
    """Names in the folder's wheel, and checksums of what they hold."""
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in wheel.namelist()}


def test_every_folder_of_data_is_installed():
    data = {name.split("/")[0] for name in tracked() if "/" in name and not name.startswith(".")} - FOR_DEVELOPERS
    assert set(WHEEL["packages"]) == data
    assert WHEEL["sources"] == {name: f"offbench/_{name}" for name in data - {"offbench"}}


def test_a_wheel_holds_the_package_and_its_data_and_nothing_else(dist: Path):
    installed = {"offbench": "offbench"} | WHEEL["sources"]
    expected = {
        f"{installed[top]}/{rest}": hashlib.sha256((ROOT / top / rest).read_bytes()).hexdigest()
        for top, _, rest in (name.partition("/") for name in tracked())
        if top in installed
    }
    found = {name: digest for name, digest in contents(dist / "direct").items() if ".dist-info/" not in name}
    assert found == expected
    assert {"offbench/py.typed", "offbench/_datasets/tasks.toml"} <= set(found)


def test_the_source_distribution_holds_the_checkout_and_builds_the_same_wheel(dist: Path):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names == {*tracked(), "PKG-INFO"}
    assert contents(dist) == contents(dist / "direct")


FOUND_INSIDE = """
import pathlib, sys
import offbench
from offbench.basis.resources import resources
inside = pathlib.Path(sys.argv[1])
assert pathlib.Path(offbench.__file__).is_relative_to(inside), offbench.__file__
assert resources().is_relative_to(inside), resources()
"""

WITHOUT_DEPENDENCIES = """
from offbench.catalog.cards import cards
from offbench.cli.main import main
from offbench.environments.task import tasks
print(len(cards()), len(tasks()))
train = ["train", "bc", "offbench/pendulum/swingup-v0", "--seeds", "1", "--steps", "3", "--episodes", "1"]
sys.exit(main(train) or main(["report", "table", "runs", "--format", "csv"]))
"""


def test_a_wheel_installed_elsewhere_has_cards_and_tasks_and_works(dist: Path, tmp_path: Path):
    (wheel,) = dist.glob("*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(install, check=True, capture_output=True)
    variables = os.environ | {"PYTHONPATH": str(target), "OFFBENCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", FOUND_INSIDE + WITHOUT_DEPENDENCIES, target]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == f"{len(cards())} {len(tasks())}"
    assert any(line.startswith("offbench/pendulum/swingup-v0,") for line in rest)


PROGRAM = """
data = offbench.load("offbench/pendulum/swingup-v0")
run = offbench.train("iql", data, seeds=2, steps=200, episodes=1, output="runs/iql", quiet=True)
for record in offbench.evaluate(run.folder, episodes=2):
    print(len(data), record.seed, len(record.evaluations[-1].returns), record.final_score)
"""


def pip(environment: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [environment / "bin" / "python", "-m", "pip", *map(str, arguments)]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """That packages can be had, which is asked for with a small one."""
    folder = tmp_path_factory.mktemp("index")
    subprocess.run([sys.executable, "-m", "venv", folder / "asking"], check=True)
    options = ["--no-deps", "--no-cache-dir", "--retries", "1", "--dest", folder, "-c", CONSTRAINTS]
    done = pip(folder / "asking", "download", *options, "annotated-types")
    if done.returncode:
        pytest.skip(f"the index of packages cannot be reached: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(params=["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def python(request: pytest.FixtureRequest, index: None, dist: Path, tmp_path: Path) -> Iterator[Python]:
    """Runs the Python, or a command, of an environment that holds nothing but offbench, in a folder far from here."""
    (archive,) = dist.glob(request.param)
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    # As the Makefile does: torch first, in the build that TORCH names where it is set.
    for wanted in (os.environ.get("TORCH", "torch"), archive):
        done = pip(environment, "install", "--quiet", "-c", CONSTRAINTS, wanted)
        assert done.returncode == 0, done.stderr
    elsewhere.mkdir()
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["OFFBENCH_CACHE"] = str(tmp_path / "cache")

    def run(command: str, *arguments: str) -> str:
        whole = [environment / "bin" / command, *arguments]
        done = subprocess.run(whole, cwd=elsewhere, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    shutil.rmtree(environment)  # a gigabyte, which pytest would keep for the next three runs


@pytest.mark.slow
def test_it_loads_trains_scores_and_reports_in_an_empty_environment(python: Python, tmp_path: Path):
    printed = [line.split() for line in python("python", "-c", FOUND_INSIDE + PROGRAM, str(tmp_path)).splitlines()]
    assert [line[:3] for line in printed] == [["500", "0", "2"], ["500", "1", "2"]]
    dataset = "offbench/pendulum/swingup-v0"
    options = ["--seeds", "2", "--steps", "300", "--episodes", "1", "--output", "runs/bc"]
    python("offbench", "train", "bc", dataset, *options)
    assert "Score" in python("offbench", "evaluate", "runs/bc", "--episodes", "2")
    table = csv.DictReader(io.StringIO(python("offbench", "report", "table", "runs", "--format", "csv")))
    rows = {(row["dataset"], row["algorithm"], row["seeds"], row["steps"]) for row in table}
    assert rows == {(dataset, "bc", "2", "300"), (dataset, "iql", "2", "200")}
    python("offbench", "report", "curves", "runs", "--output", "curves.png")
    assert (tmp_path / "elsewhere" / "curves.png").stat().st_size > 1000
