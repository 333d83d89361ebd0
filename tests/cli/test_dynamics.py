"""``offbench dynamics``."""

from offbench.cli.main import main

SMALL = ["--hidden", "16", "16", "--epochs", "2"]


def test_fit_says_how_it_stops_and_how_good_it_is_and_show_finds_it(
    pendulum_file, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    assert main(["dynamics", "show", str(pendulum_file), *SMALL]) == 2
    assert "no dynamics of" in capsys.readouterr().err
    assert main(["dynamics", "fit", str(pendulum_file), "--seeds", "2", *SMALL]) == 0
    printed = capsys.readouterr()
    assert "a seed stops after 5 epochs without a member better by 1%" in printed.out
    assert "dynamics: epoch 2" in printed.err
    assert "median distance from pendulum's simulator" in printed.out
    assert printed.out.count("seed 1") == 2
    assert main(["dynamics", "show", str(pendulum_file), "--seeds", "2", *SMALL]) == 0
    again = capsys.readouterr()
    assert "epoch 2," not in again.err
    assert again.out == printed.out


def test_unknown_names_are_refused(capsys) -> None:
    assert main(["dynamics", "fot"]) == 2
    assert "fit" in capsys.readouterr().err
