import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_algorithm_of_the_readme_trains_as_it_stands(tmp_path):
    (code,) = re.findall(r"```python\n# neighbours\.py\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "neighbours.py").write_text(code)
    main = "import sys; from offbench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["train", "neighbours:Neighbours", "offbench/pendulum/swingup-v0", "--seeds", "2", "--count", "10"]
    done = subprocess.run(
        [sys.executable, "-c", main, *arguments, "--episodes", "1"],
        cwd=tmp_path,
        env=os.environ | {"OFFBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "run: runs/neighbours-Neighbours-offbench-pendulum-swingup-v0" in done.stdout


def test_every_linked_file_and_picture_exists():
    root = Path(__file__).resolve().parents[1]
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
