"""``offbench dynamics``."""

from offbench.behaviours.controllers import UniformRandom
from offbench.cli.main import main
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.formats import native
from offbench.generation.recording import in_float32, record

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
    assert "the data hold no exact states, so that the simulator starts from observations" in printed.out
    assert "median distance from pendulum's simulator" in printed.out
    assert "started from observations, in deviations" in printed.out
    assert printed.out.count("seed 1") == 2
    assert main(["dynamics", "show", str(pendulum_file), "--seeds", "2", *SMALL]) == 0
    again = capsys.readouterr()
    assert "epoch 2," not in again.err
    assert again.out == printed.out


def test_what_the_simulator_starts_from_is_said(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    simulator = make_simulator(task("walker2d-v4"), 64)
    acts = UniformRandom(simulator.action_low, simulator.action_high, list(range(64)))
    data = in_float32(record(simulator, acts, range(64), states=True)).noted(task="walker2d-v4")
    native.save(data, tmp_path / "walker.offbench")
    assert main(["dynamics", "fit", str(tmp_path / "walker.offbench"), *SMALL]) == 0
    printed = capsys.readouterr().out
    rows = f"{min(2000, int((~data.terminations).sum())):,} rows"
    assert f"in 100% of {rows} walker2d-v4's first step is the recorded one, bit for bit" in printed
    assert "% of these rows show a clipped velocity" in printed
    assert "started from exact states, in deviations of the states" in printed


def test_unknown_names_are_refused(capsys) -> None:
    assert main(["dynamics", "fot"]) == 2
    assert "fit" in capsys.readouterr().err
