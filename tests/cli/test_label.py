"""``offbench label``."""

import pytest

import offbench
from offbench.cli.main import main

SMALL = ["--hidden", "8", "--updates", "20", "--batch-size", "16"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def test_a_labelled_file_says_what_it_is_and_is_a_dataset(pendulum_file, tmp_path, capsys) -> None:
    path, source = tmp_path / "filled.offbench", f"{pendulum_file}?actions=30%-low"
    assert main(["label", source, "--with", "inverse_dynamics", "-o", str(path), "--seed", "2", *SMALL]) == 0
    printed = capsys.readouterr()
    data = offbench.load(path)
    assert f"{path}: 20 episodes, 500 steps, digest {data.digest}" in printed.out
    assert "actions of 350 of 500 steps are the proxies of inverse dynamics" in printed.out
    assert "update 20 of 20" in printed.err
    assert (abs(data.actions) <= 2).all()
    assert data.action_range[1].tolist() == [2]  # the task's
    assert main(["data", "show", str(path)]) == 0
    assert "action_given" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["DATA", "-o", "x.offbench"], "say by which model: --with inverse_dynamics"),
        (["DATA", "--with", "inverse", "-o", "x.offbench"], "nearest: inverse_dynamics"),
        (["--with", "inverse_dynamics"], "label needs a dataset: offbench label"),
        (["DATA", "--with=inverse_dynamics"], "label needs a file to write"),
        (["DATA", "--with", "inverse_dynamics", "-o", "x.hdf5"], "would be a native file under another name"),
        (["WHOLE", "--with", "inverse_dynamics", "-o", "x.offbench"], "DATASET?actions=10%-low would be right"),
        (["DATA", "--with", "inverse_dynamics", "-o", "x.offbench", "--dropout", "2"], "dropout of inverse dynamics"),
    ],
)
def test_what_is_wrong_is_told(words, said, pendulum_file, capsys) -> None:
    known = {"DATA": f"{pendulum_file}?actions=30%-low", "WHOLE": str(pendulum_file)}
    assert main(["label", *(known.get(word, word) for word in words)]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed
