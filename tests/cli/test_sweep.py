"""``offbench sweep``: lists of hyperparameters, plans, suites and status."""

import json
import os

import pytest

from offbench.cli.main import main
from offbench.evaluation.record_files import read_records

QUICK = ["--steps", "8", "--seeds", "2", "--episodes", "1", "--compile", "never", "--quiet"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lists_of_values_are_runs_of_one_folder(pendulum_file, here, capsys):
    words = ["sweep", "bc", str(pendulum_file), "--batch-size", "8", "16", "--hidden", "[8]", "[4,4]", *QUICK]
    words += ["--processes", "1"]
    assert main(words) == 0
    told = capsys.readouterr().out
    folder = here / "runs" / "sweep-bc-tiny.offbench"
    assert "4 of 4 runs are in runs/sweep-bc-tiny.offbench" in told
    records = read_records([folder])
    assert len(records) == 8
    assert {(tuple(r.config["hidden"]), r.config["batch_size"]) for r in records} == {
        ((8,), 8),
        ((8,), 16),
        ((4, 4), 8),
        ((4, 4), 16),
    }
    before = [path.stat().st_mtime_ns for path in sorted(folder.glob("*/*/seed-*.json"))]
    assert main(words) == 0
    assert [path.stat().st_mtime_ns for path in sorted(folder.glob("*/*/seed-*.json"))] == before
    capsys.readouterr()
    assert main(["sweep", "status", str(folder)]) == 0
    assert "4 runs: 4 done" in capsys.readouterr().out


def test_ranges_are_drawn_from(pendulum_file, here):
    words = ["sweep", "iql", str(pendulum_file), "--expectile", "0.5..0.9", "--learning-rate", "1e-4..1e-2:log"]
    words += ["--hidden", "[8]", "--draws", "3", *QUICK, "--processes", "1", "--output", "out"]
    assert main(words) == 0
    records = read_records([here / "out"])
    assert len({record.config["expectile"] for record in records}) == 3
    assert all(1e-4 <= record.config["learning_rate"] <= 1e-2 for record in records)


def test_a_plan_and_an_output_of_its_own(pendulum_file, here, capsys):
    (here / "small.toml").write_text(
        f'datasets = ["{pendulum_file}"]\nseeds = 1\nsteps = 4\nepisodes = 1\ncompile = "never"\noutput = "made"\n'
        '[[methods]]\nalgorithm = "bc"\nhidden = [8]\n[[methods]]\nalgorithm = "iql"\nhidden = [8]\n'
    )
    assert main(["sweep", "small.toml", "--processes", "1", "--quiet"]) == 0
    assert sorted(path.parent.name for path in (here / "made").glob("*/*/")) == [
        "bc-hidden=-8-",
        "iql-hidden=-8-",
    ]
    assert main(["sweep", "small.toml", "--processes", "1", "--quiet", "--output", "other"]) == 0
    assert len(read_records([here / "other"])) == 2


def test_what_fails_is_told_at_the_end_and_in_status(pendulum_file, here, capsys):
    (here / "broken.offbench").write_bytes(b"no dataset")
    words = ["sweep", "bc", "broken.offbench", str(pendulum_file), "--hidden", "[8]", *QUICK, "--output", "out"]
    assert main([*words, "--processes", "1"]) == 1
    told = capsys.readouterr()
    assert "error: bc,hidden=[8] on broken.offbench: " in told.err
    assert "1 of 2 runs are in out" in told.out
    assert main(["sweep", "status", "out"]) == 0
    assert "2 runs: 1 done, 1 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bc"], "names no dataset"),
        (["bc", "offbench/pendulum/swingup-v9"], "swingup-v0"),
        (["bc", "DATA", "--batch-size", "8..64"], "say how often with draws"),
        (["bc", "DATA", "--batch-size", "many"], "must be a whole number"),
        (["bc", "DATA", "--resume"], "always goes on"),
        (["bc", "DATA", "--workers", "2"], "--processes says"),
        (["bc", "DATA", "--processes", "0"], "processes"),
        (["plan.toml"], "cannot read the plan"),
        (["plan.toml", "more"], "datasets are named in the plan"),
        (["status"], "the folder of a sweep"),
        (["status", "nowhere"], "holds no sweep"),
        (["--suite", "startr", "--algorithms", "bc"], "starter"),
        (["--suite", "starter", "--algorithms", "bcc"], "bc"),
    ],
)
def test_what_is_wrong_is_one_sentence(words, told, pendulum_file, here, capsys):
    assert main(["sweep", *(str(pendulum_file) if word == "DATA" else word for word in words)]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert told in said
    assert not (here / "runs").exists()


def test_train_names_the_sweep_where_it_is_given_several_values(pendulum_file, capsys):
    assert main(["train", "iql", str(pendulum_file), "--expectile", "0.5", "0.7"]) == 2
    assert f"offbench sweep iql {pendulum_file} --expectile 0.5 0.7" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    for words in ([], ["iql", "d4rl/hopper-medium-v2"], ["p.toml"]):
        assert main(["sweep", *words, "--help"]) == 0
        assert "offbench sweep --suite" in capsys.readouterr().out


def test_a_suite_has_its_own_budget_and_a_smaller_one_is_told(here, capsys, tmp_path):
    (here / "tiny.toml").write_text(
        'name = "tiny"\nversion = 1\ntitle = "Tiny"\ndescription = "One."\nsteps = 6\nepisodes = 1\nseeds = 2\n'
        'tuning = "Nothing."\n[[tasks]]\ndataset = "offbench/pendulum/swingup-v0"\nrevision = 1\ndomain = "pendulum"\n'
    )
    words = ["sweep", "--suite", "tiny.toml", "--algorithms", "bc,hidden=[8]", "--quiet", "--output", "out"]
    assert main([*words, "--seeds", "1"]) == 0
    assert "1 seeds instead of 2" in capsys.readouterr().err
    assert main(words) == 2  # the folder holds the run of one seed
    assert "seeds is [0] there and [0, 1] is wanted" in capsys.readouterr().err
    assert json.loads((here / "out" / "sweep.json").read_text())["jobs"][0]["options"]["steps"] == 6
    assert os.listdir(here / "out" / "bc-hidden=-8-") == ["offbench--pendulum--swingup-v0"]
