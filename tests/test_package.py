import os
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import offbench

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import offbench, pathlib, sys
from offbench.catalog.cards import cards
from offbench.basis.resources import resources
from offbench.environments.task import tasks
assert pathlib.Path(offbench.__file__).is_relative_to(sys.argv[1]), offbench.__file__
assert resources().is_relative_to(sys.argv[1]), resources()
print(len(cards()), len(tasks()))
"""


def test_a_wheel_installed_elsewhere_has_cards_and_tasks_and_works(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(target), "OFFBENCH_CACHE": str(tmp_path / "cache")}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    from offbench.catalog.cards import cards
    from offbench.environments.task import tasks

    assert python("-c", PROGRAM, str(target)).split() == [str(len(cards())), str(len(tasks()))]
    main = "import sys; from offbench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    train = ["train", "bc", "offbench/pendulum/swingup-v0", "--seeds", "1", "--steps", "3", "--episodes", "1"]
    assert "pendulum" in python("-c", main, *train)
    assert "offbench/pendulum/swingup-v0" in python("-c", main, "report", "table", "runs", "--format", "csv")


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["cff-version"], citation["type"], citation["title"]) == ("1.2.0", "software", project["name"])
    assert (citation["version"], citation["license"]) == (offbench.__version__, project["license"])
    assert citation["abstract"] == project["description"]
    assert citation["authors"] == [{"name": "offbench developers"}]
    # An address that does not exist would be cited for ever.
    assert not {"doi", "identifiers", "repository-code", "url"} & set(citation)
