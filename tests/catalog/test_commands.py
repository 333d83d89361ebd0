"""The functions behind ``offbench data``."""

import numpy as np
import pytest

from offbench.catalog.cards import card
from offbench.catalog.loading import cached_path
from offbench.cli import data
from offbench.cli.main import main
from offbench.errors import OffbenchError, UnknownNameError

SWINGUP = "offbench/pendulum/swingup-v0"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_list_in_plain_columns(capsys):
    data.list_datasets()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "task", "steps", "cached", "description"]
    assert any(line.startswith("offbench/pointmaze/stitch-v0  pointmaze-stitch  200,000  no ") for line in lines)
    data.list_datasets("PENDULUM")
    assert len(capsys.readouterr().out.splitlines()) == 2
    data.list_datasets("nothing of the kind")
    assert "no dataset contains 'nothing of the kind'" in capsys.readouterr().out


def test_generate_then_show(capsys):
    data.show_dataset(SWINGUP)
    assert "cached    no; offbench data generate" in capsys.readouterr().out
    data.generate_datasets((SWINGUP,))
    output = capsys.readouterr()
    assert "generated in" in output.out
    assert output.err.splitlines()[-1] == f"{SWINGUP}: 500 of 500 episodes"
    written = cached_path(card(SWINGUP)).stat().st_mtime_ns
    data.generate_datasets((SWINGUP,))
    assert "was cached" in capsys.readouterr().out
    assert cached_path(card(SWINGUP)).stat().st_mtime_ns == written
    data.show_dataset(SWINGUP)
    shown = capsys.readouterr().out
    assert "recipe    pendulum_swingup, seed 0, gain 0.3, noise [0.5, 3.0]" in shown
    assert "500 episodes, 100,000 steps" in shown
    assert "#" * 40 in shown
    data.list_datasets("pendulum")
    assert "100,000  yes" in capsys.readouterr().out
    data.generate_datasets((SWINGUP,), again=True)
    assert cached_path(card(SWINGUP)).stat().st_mtime_ns != written


def test_unknown_ids_stop_before_any_work(cache):
    with pytest.raises(UnknownNameError, match="nearest: offbench/pendulum/swingup-v0"):
        data.generate_datasets((SWINGUP, "offbench/pendulum/swingup"))
    with pytest.raises(OffbenchError, match="name at least one dataset"):
        data.generate_datasets(())
    assert list(cache.iterdir()) == []


def test_the_command_line_reaches_the_functions(capsys):
    assert main(["data", "list", "pendulum"]) == 0
    assert SWINGUP in capsys.readouterr().out
    assert main(["data", "show", SWINGUP]) == 0
    assert "revision 1" in capsys.readouterr().out
    assert main(["data", "show", "offbench/pendulum/swing"]) == 2
    assert "there is no dataset named" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(data.commands))
def test_every_command_has_an_example_that_names_it(name):
    assert f"    offbench data {name}" in (data.commands[name].__doc__ or "")


def test_histogram_counts_everything_and_scales_its_bars():
    lines = data.histogram(np.array([0.0] * 4 + [1.0] * 2 + [9.9]), bins=10, width=8).splitlines()
    assert len(lines) == 10
    assert [int(line.split()[-1]) for line in lines] == [4, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert [line.count("#") for line in lines] == [8, 4, 0, 0, 0, 0, 0, 0, 0, 2]
    constant = data.histogram(np.full(5, 7.0), bins=3).splitlines()
    assert sum(int(line.split()[-1]) for line in constant) == 5
