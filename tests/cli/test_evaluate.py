"""``evaluate`` and ``export``: what they import, follow and overwrite, and what they refuse."""

import json
import sys

import pytest

import offbench
from offbench.cli.main import main
from offbench.errors import OffbenchError

QUICK = ["--steps", "4", "--seeds", "2", "--episodes", "1", "--hidden", "8", "--batch-size", "8", "--compile", "never"]

MODULE = """
from pathlib import Path
from offbench.algorithms.bc import BC
Path(__file__).with_name("imported").touch()
class Mine(BC):
    pass
"""


@pytest.fixture
def runs(tmp_path, monkeypatch, pendulum_file):
    """A folder to work in, with a run of ours and one of a module of the folder, which was forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "theirs.py").write_text(MODULE)
    for name in ("bc", "theirs:Mine"):
        once = ["--evaluate-every", "4"] if name == "bc" else []
        arguments = ["train", name, str(pendulum_file), *QUICK, *once, "--quiet", "--output", name[:2]]
        assert main(arguments) == 0
        assert main([*arguments, "--resume"]) == 0
    sys.modules.pop("theirs")
    (tmp_path / "imported").unlink()
    yield tmp_path
    sys.modules.pop("theirs", None)


def test_code_that_a_folder_names_is_imported_when_allowed_alone(runs, capsys):
    calls = [
        lambda: offbench.evaluate("th", episodes=1),
        lambda: offbench.Run(runs / "th").policy(0),
        lambda: offbench.Run(runs / "th").write_onnx(runs / "x.onnx", 0),
    ]
    told = r"the run in .*th names the algorithm theirs:Mine: .* its module would be imported, .*allow it with --trust"
    for call in calls:
        with pytest.raises(OffbenchError, match=told):
            call()
    for arguments in (["evaluate", "th", "--episodes", "1"], ["export", "th", "--output", "x.onnx"]):
        assert main(arguments) == 2
        assert "theirs:Mine" in capsys.readouterr().err
    assert not (runs / "imported").exists()
    assert offbench.Run(runs / "th").scores  # which takes no code
    assert main(["report", "table", "th"]) == 0
    assert not (runs / "imported").exists()
    assert main(["evaluate", "th", "--episodes", "1", "--trust"]) == 0
    assert (runs / "imported").exists()
    assert len(offbench.evaluate("th", episodes=1, trust=True)) == 2
    assert offbench.Run(runs / "th", trust=True).policy(0)


def test_an_evaluation_replaces_an_earlier_one_of_its_run_and_nothing_else(runs, capsys):
    def evaluate(run, output, *more):
        code = main(["evaluate", run, "--episodes", "1", "--output", str(output), "--trust", *more])
        return code, capsys.readouterr().err

    (runs / "empty").mkdir()
    for output in ("new/deep", "empty"):
        assert evaluate("bc", output) == (0, "")
        assert sorted(path.name for path in (runs / output).iterdir()) == ["seed-0.json", "seed-1.json"]
    (runs / "empty" / ".seed-0.json.x.part").touch()  # of an evaluation that was killed
    (runs / "empty" / "seed-1.json").unlink()
    assert evaluate("bc", "empty", "--episodes", "2") == (0, "")
    assert len(json.loads((runs / "empty" / "seed-1.json").read_text())["evaluations"][0]["returns"]) == 2
    code, told = evaluate("th", "empty")
    assert (code, told.count("\n")) == (2, 1)
    assert "error: empty holds seed-0.json, which is of no earlier evaluation of th; name a new or an empty" in told
    (runs / "empty" / "seed-7.json").write_text("{}")
    assert "empty holds seed-7.json" in evaluate("bc", "empty")[1]
    (runs / "notes").mkdir()
    (runs / "notes" / "thesis.tex").touch()
    assert "notes holds thesis.tex" in evaluate("bc", "notes")[1]
    assert "theirs.py is no folder" in evaluate("bc", "theirs.py")[1]
    assert len(json.loads((runs / "empty" / "seed-1.json").read_text())["evaluations"][0]["returns"]) == 2


def test_links_are_followed(runs, capsys):
    (runs / "link").symlink_to(runs / "bc")
    (runs / "into").symlink_to(runs / "bc" / "inside")
    assert main(["evaluate", "link", "--episodes", "1"]) == 0
    for output in ("link", "into", "link/deep"):
        assert main(["evaluate", "bc", "--episodes", "1", "--output", output]) == 2
        assert "lies in the folder of a run" in capsys.readouterr().err
    (runs / "loop").symlink_to(runs / "loop")
    assert main(["evaluate", "loop"]) == 2
    assert "loop holds no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--episodes", "0"], "episodes must be at least 1, not 0"),
        (["--episodes", "1" + "0" * 30], "episodes must be at most 1,000,000"),
        (["--workers", "-1"], "workers must be at least 1, not -1"),
        (["--target", "nan"], "target must be finite, not nan"),
        (["--output", "x" * 5000], f"{'x' * 60}...xxxxxx/manifest.json: File name too long"),
    ],
)
def test_what_cannot_be_is_one_sentence(flags, sentence, pendulum_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "bc", str(pendulum_file), *QUICK, "--quiet", "--output", "bc"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "bc", *flags]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {sentence}"[:60])
    assert told.count("\n") == 1
