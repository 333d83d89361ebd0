"""The functions behind ``offbench data``."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from offbench.catalog.cards import card, cards
from offbench.catalog.loading import load
from offbench.catalog.store import generated_path
from offbench.cli import data
from offbench.cli.data_show import histogram
from offbench.cli.main import main
from offbench.data.trajectories import Provenance
from offbench.errors import OffbenchError, UnknownNameError
from offbench.formats import native

SWINGUP = "offbench/pendulum/swingup-v0"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_list_in_plain_columns(capsys):
    data.list_datasets()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "task", "download", "cached", "description"]
    rows = {line.split()[0]: line.split()[1:5] for line in lines[1:]}
    assert rows["offbench/pointmaze/stitch-v0"][:3] == ["pointmaze-stitch", "generated", "no"]
    assert rows["d4rl/hopper-medium-v2"] == ["hopper-d4rl", "152.8", "MB", "no"]
    assert len(rows) == len(cards())
    data.list_datasets("OFFBENCH/PENDULUM")
    assert len(capsys.readouterr().out.splitlines()) == 2
    data.list_datasets("nothing of the kind")
    assert "no dataset is named by all words of 'nothing of the kind'" in capsys.readouterr().out


def test_generate_then_show(capsys):
    data.show_dataset(SWINGUP)
    assert "cached    no; offbench data fetch" in capsys.readouterr().out
    data.generate_datasets((SWINGUP,))
    output = capsys.readouterr()
    assert "generated in" in output.out
    assert output.err.splitlines()[-1] == f"{SWINGUP}: 500 of 500 episodes"
    written = generated_path(card(SWINGUP)).stat().st_mtime_ns
    data.generate_datasets((SWINGUP,))
    assert "was cached" in capsys.readouterr().out
    assert generated_path(card(SWINGUP)).stat().st_mtime_ns == written
    data.show_dataset(SWINGUP)
    shown = capsys.readouterr().out
    assert "recipe    pendulum_swingup, seed 0, gain 0.3, noise [0.5, 3.0]" in shown
    assert "500 episodes, 100,000 steps" in shown
    assert "#" * 40 in shown
    data.list_datasets("offbench/pendulum")
    assert "generated  yes" in capsys.readouterr().out
    data.generate_datasets((SWINGUP,), again=True)
    assert generated_path(card(SWINGUP)).stat().st_mtime_ns != written


def test_unknown_ids_stop_before_any_work(cache):
    with pytest.raises(UnknownNameError, match=r"nearest: .*offbench/pendulum/swingup-v0"):
        data.generate_datasets((SWINGUP, "offbench/pendulum/swingup"))
    with pytest.raises(OffbenchError, match="name at least one dataset"):
        data.generate_datasets(())
    assert list(cache.iterdir()) == []


def test_the_command_line_reaches_the_functions(capsys):
    assert main(["data", "list", "--filter", "pendulum"]) == 0
    assert SWINGUP in capsys.readouterr().out
    assert main(["data", "show", SWINGUP]) == 0
    assert "revision 1" in capsys.readouterr().out
    assert main(["data", "show", "offbench/pendulum/swing"]) == 2
    assert "there is no dataset named" in capsys.readouterr().err


def test_show_says_all_that_a_card_says(capsys):
    data.show_dataset("d4rl/antmaze-umaze-v0")
    shown = capsys.readouterr().out
    for part in (
        "task      antmaze-umaze (offbench/AntMaze-v2, at most 700 steps; score 0 at 0, 100 at 1; D4RL, d4rl/infos.py",
        "file      http://rail.eecs.berkeley.edu/datasets/offline_rl/ant_maze_new/Ant_maze_u-maze",
        "checksum  sha256 188838316eab5882",
        "licence   CC-BY-4.0",
        "cite      Fu et al. 2020",
        "defect    infos/qpos and infos/qvel of a row are the state that its action leads to",
        "defect    Steps at the goal are terminal and the episode goes on",
    ):
        assert f"  {part}" in shown
    data.show_dataset("d4rl/kitchen-complete-v0")
    assert "checksum  none was published; the first download's is recorded" in capsys.readouterr().out
    data.show_dataset("neorl2/Fusion")
    assert "checksum  md5 98979f97e0b59dd46bbb9237176a68ab" in capsys.readouterr().out
    data.show_dataset("minari/mujoco/swimmer/medium-v0")
    assert "recorded  in Swimmer-v5" in capsys.readouterr().out


@pytest.fixture
def local(shared, tmp_path) -> tuple[Path, Path]:
    """(the path of a card, the file that it points to)."""
    source = shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5"
    path = tmp_path / "local.toml"
    path.write_text(
        'id = "test/hopper-v0"\ntask = "hopper-v4"\ndescription = "Two episodes."\nreader = "d4rl"\n'
        f'files = [{{ url = "{source.as_uri()}" }}]\n'
    )
    return path, source


def test_fetch_show_and_remove(local, cache, capsys):
    path, _ = local
    data.fetch_datasets((str(path), SWINGUP))
    shown = capsys.readouterr().out
    assert "hopper_medium-v2.hdf5: checksum is right (recorded at the first download)" in shown
    assert "test/hopper-v0: 2 episodes, 911 steps" in shown
    assert f"{SWINGUP}: generated in" in shown
    data.show_dataset(str(path))
    shown = capsys.readouterr().out
    assert "cached    yes" in shown
    assert "recorded: sha256 434de4016d4f326be27cc40fe3983d4163ef0c95a171cc361973a0463e26abf1" in shown
    assert "#" * 40 in shown
    data.remove_datasets((str(path), SWINGUP, "minari/mujoco/hopper/expert-v0"))
    shown = capsys.readouterr().out
    assert shown.count("removed ") == 3
    assert "Minari keeps its own files; 'minari delete mujoco/hopper/expert-v0'" in shown
    data.remove_datasets((str(path),))
    assert "holds nothing of it" in capsys.readouterr().out


def test_lint_exits_with_1_where_there_is_an_error(local, shared, tmp_path, capsys):
    path, source = local
    assert main(["data", "lint", str(source), "--task", "hopper-v4"]) == 0
    assert f"{source}: nothing found" in capsys.readouterr().out
    assert main(["data", "lint", str(path)]) == 0
    odd = tmp_path / "odd.hdf5"
    shutil.copy(source, odd)
    with h5py.File(odd, "r+") as file:
        file["rewards"][5] = np.nan
    assert main(["data", "lint", str(odd)]) == 1
    shown = capsys.readouterr().out
    assert "error" in shown
    assert "1 errors among" in shown
    assert main(["data", "lint", str(tmp_path / "missing.hdf5")]) == 2


def test_lint_of_a_task_that_cannot_be_simulated_goes_on_without_it(shared, capsys):
    source = shared / "real" / "neorl2" / "Simglucose-high-20000-val.npz"
    assert main(["data", "lint", str(source), "--task", "neorl2-simglucose"]) in (0, 1)
    captured = capsys.readouterr()
    assert "bounds of actions are not checked: environment Simglucose" in captured.err
    assert str(source) in captured.out


def test_export_to_every_format(local, tmp_path, monkeypatch, capsys):
    path, source = local
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)
    original = load(path)
    data.export_dataset(str(path), to="d4rl")
    data.export_dataset(str(path), to="native", output="other.offbench")
    data.export_dataset(str(path), to="minari", output="hopper/two-v0")
    assert capsys.readouterr().out.count(": 2 episodes, 911 steps") == 3
    for made in ("local.hdf5", "other.offbench", "minari/hopper/two-v0"):
        again = load(tmp_path / made)
        assert again.returns.tolist() == pytest.approx(original.returns.tolist())
        assert again.steps == 911
    with pytest.raises(OffbenchError, match=r"local\.hdf5 exists; name another file"):
        data.export_dataset(str(path), to="d4rl")
    with pytest.raises(OffbenchError, match="has two parts"):
        data.export_dataset(f"{source}?actions=50%-low", to="d4rl")
    with pytest.raises(UnknownNameError, match="no format to write named 'npz'; nearest: d4rl, minari, native"):
        data.export_dataset(str(path), to="npz")
    assert main(["data", "export", "--help"]) == 0
    assert "--to {native,minari,d4rl}" in capsys.readouterr().out


def test_show_and_lint_take_files_and_folders(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    source = tmp_path / "hopper.hdf5"
    shutil.copy(shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5", source)
    assert main(["data", "show", str(source)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        f"{source}\n  format    a D4RL-style HDF5 file of 465,333 bytes\n\n{source}: 2 episodes, 911 steps"
    )
    assert "episodes by return" in shown
    assert "  note      " in shown
    data.export_dataset(str(source), to="minari", output="hopper/two-v0")
    capsys.readouterr()
    for name in (str(tmp_path / "minari" / "hopper" / "two-v0"), "minari/hopper/two-v0"):
        assert main(["data", "show", name]) == 0
        assert "  format    a Minari dataset\n\nhopper/two-v0: 2 episodes, 911 steps" in capsys.readouterr().out
        assert main(["data", "lint", name]) == 0
        assert f"{name}: nothing found" in capsys.readouterr().out
    assert main(["data", "lint", f"{source}?actions=none"]) == 0
    (tmp_path / "x.hdf5").write_bytes(b"")
    for command, *flags in (["show"], ["lint"], ["export", "--to", "d4rl"]):
        assert main(["data", command, str(tmp_path / "x.hdf5"), *flags]) == 2
        assert "x.hdf5 is empty" in capsys.readouterr().err


def test_regenerate_compares_with_the_file_and_never_overwrites(shared, tmp_path, monkeypatch, capsys):
    source = tmp_path / "hopper_medium-v2.hdf5"
    shutil.copy(shared / "real" / "d4rl_slices" / source.name, source)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "regenerate", str(source), "--transitions", "2000"]) == 0
    captured = capsys.readouterr()
    for part in (
        "policy of hopper_medium-v2.hdf5: SAC, iteration 400, hidden layers of 256, 256 units",
        "log-probabilities of 911 stored actions: 99% agree within 7.3e-06, all within 1.3e-05",
        "in the file, complete         2          911       1,439.0 ± 26.2",
        "published                                         1,422.1",
        "in hopper-d4rl ",
        "written: hopper_medium-v2-regenerated.hdf5",
    ):
        assert part in captured.out
    assert captured.err.endswith("hopper_medium-v2-regenerated.hdf5: 2000 of 2000 steps\n")
    made = load(tmp_path / "hopper_medium-v2-regenerated.hdf5")
    assert 2000 <= made.steps < 3000
    assert f"regenerated {len(made):>18}{made.steps:>13,}" in captured.out
    assert " in D4RL's dynamics by offbench " in " ".join(made.provenance.notes)
    assert main(["data", "regenerate", str(source)]) == 2
    assert "hopper_medium-v2-regenerated.hdf5 exists; name another file" in capsys.readouterr().err
    today = [str(source), "--task", "hopper-v4", "--transitions", "1", "--output", "today.hdf5"]
    assert main(["data", "regenerate", *today]) == 0
    assert "known difference: the policy of d4rl/hopper-medium-v2 earns" in capsys.readouterr().out
    human = shared / "real" / "d4rl_slices" / "pen-human-v1.hdf5"
    assert main(["data", "regenerate", str(human)]) == 2
    assert "holds no policy" in capsys.readouterr().err


def test_known_differences_and_dynamics_of_the_task_are_shown(local, capsys):
    data.show_dataset(str(local[0]))
    assert "  differs   the policy of d4rl/hopper-medium-v2 earns" in capsys.readouterr().out
    data.show_dataset("d4rl/hopper-medium-v2")
    shown = capsys.readouterr().out
    assert "hopper-d4rl (Hopper-v4 in D4RL's dynamics, at most 1000 steps" in shown
    assert shown.count("  differs   ") == 1
    assert "  differs   uniformly random actions return 18.5" in shown
    assert "  return    mean 1,422.1" in shown


def test_render_draws_an_episode(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "render", SWINGUP, "--episode", "3", "--frames", "5"]) == 0
    assert "written: swingup-v0-episode-3.gif, 5 pictures, one every 2 steps" in capsys.readouterr().out
    with Image.open(tmp_path / "swingup-v0-episode-3.gif") as image:
        assert image.n_frames == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([SWINGUP, "--episode", "500"], "has no episode 500; it has 500, from 0"),
        ([SWINGUP, "--output", "there.gif"], "there.gif exists; name another file with --output"),
        ([SWINGUP, "--output", "film.avi"], "film.avi is no name of a film"),
        (["minari/mujoco/swimmer/medium-v0", "--output", "film.avi"], "film.avi is no name of a film"),
        ([f"{SWINGUP}?actions=50%-low"], "has two parts, with and without actions"),
        (["plain.offbench"], "the task that plain.offbench comes from is not known; name it with --task"),
    ],
)
def test_render_refuses_what_it_cannot_draw(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.gif").touch()
    native.save(replace(load(SWINGUP)[:2], provenance=Provenance()), tmp_path / "plain.offbench")
    assert main(["data", "render", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_not_generated_says_how_to_get_it():
    with pytest.raises(OffbenchError, match="offbench data fetch d4rl/hopper-medium-v2 downloads it"):
        data.generate_datasets(("d4rl/hopper-medium-v2",))


@pytest.mark.parametrize("name", list(data.commands))
def test_every_command_has_an_example_that_names_it(name):
    assert f"    offbench data {name}" in (data.commands[name].__doc__ or "")


def test_histogram_counts_everything_and_scales_its_bars():
    lines = histogram(np.array([0.0] * 4 + [1.0] * 2 + [9.9]), bins=10, width=8).splitlines()
    assert len(lines) == 10
    assert [int(line.split()[-1]) for line in lines] == [4, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert [line.count("#") for line in lines] == [8, 4, 0, 0, 0, 0, 0, 0, 0, 2]
    constant = histogram(np.full(5, 7.0), bins=3).splitlines()
    assert sum(int(line.split()[-1]) for line in constant) == 5
