from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.algorithms.registry import OURS
from offbench.catalog.cards import cards
from offbench.errors import OffbenchError
from offbench.report.labels import LONGEST, read_labels

LABELS = read_labels(None)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("td3_bc", "TD3+BC"),
        ("sac_n", "SAC-N"),
        ("dt", "Decision Transformer"),
        ("neighbours:Neighbours", "Neighbours"),
        ("unknown", "unknown"),
        ("odd:", "odd:"),
    ],
)
def test_algorithms(name: str, label: str) -> None:
    assert LABELS.algorithm(name) == label


def test_a_label_may_be_that_of_settings() -> None:
    assert LABELS.algorithm("bc", {"top_fraction": 0.1, "hidden": [256]}) == "10% BC"
    assert LABELS.algorithm("bc", {"top_fraction": 1.0}) == "BC"
    assert LABELS.algorithm("iql", {"top_fraction": 0.1}) == "IQL"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("d4rl/halfcheetah-medium-v2", "HalfCheetah medium"),
        ("d4rl/hopper-medium-expert-v0", "Hopper medium-expert"),
        ("offbench/hopper/medium-replay-v0", "Hopper medium-replay"),
        ("offbench/pointmaze/stitch-v0", "Point maze stitch"),
        ("d4rl/antmaze-umaze-v2", "AntMaze umaze"),
        ("d4rl/pen-human-v1", "Pen human"),
        ("minari/D4RL/pointmaze/umaze-dense-v2", "Point maze umaze-dense"),
        ("minari/mujoco/inverteddoublependulum/expert-v0", "Inverted double pendulum expert"),
        ("ogbench/visual-antmaze-large-stitch-v0", "Visual AntMaze large-stitch"),
        ("ogbench/cube-double-play-v0-val", "Cube double-play (validation)"),
        ("ogbench/cube-double-play-singletask-task2-v0", "Cube double-play task 2"),
        ("ogbench/cube-double-play-singletask-v0", "Cube double-play default task"),
        ("neorl2/RocketRecovery-val", "Rocket recovery (validation)"),
        ("offbench/hopper/medium-v0-100000", "Hopper medium (100,000)"),
        ("d4rl/hopper-medium-v2?actions=10%-low", "Hopper medium (actions 10%-low)"),
        ("mine.hdf5", "mine.hdf5"),
        ("hopper-of-mine-v0", "hopper-of-mine-v0"),
        ("a" * 30 + "/" + "b" * 30, "b" * 30),
    ],
)
def test_datasets(name: str, label: str) -> None:
    assert LABELS.dataset(name) == label


def test_every_algorithm_and_dataset_of_the_package_has_a_label() -> None:
    assert OURS.keys() <= LABELS.tables["algorithms"].keys()
    assert not [name for name in cards() if LABELS.dataset(name) == name]
    assert max(len(LABELS.dataset(name)) for name in cards()) <= 50
    assert len(set(LABELS.datasets(cards()).values())) == len(cards())


def test_labels_of_one_table_keep_what_tells_them_apart() -> None:
    assert list(LABELS.datasets(["d4rl/hopper-medium-v0", "d4rl/hopper-medium-v2", "d4rl/pen-human-v1"]).values()) == [
        "Hopper medium v0",
        "Hopper medium v2",
        "Pen human",
    ]
    assert list(LABELS.datasets(["d4rl/hopper-medium-v0", "offbench/hopper/medium-v0"]).values()) == [
        "Hopper medium (D4RL)",
        "Hopper medium (offbench)",
    ]
    assert LABELS.algorithms(["iql", "mine:IQL"]) == {"iql": "iql", "mine:IQL": "mine:IQL"}


def test_a_file_changes_labels_and_their_order(tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    path.write_text('[algorithms]\niql = "Ours"\n"m:X" = "Theirs"\n[datasets]\n"d4rl/pen-human-v1" = "P"\n')
    labels = read_labels(path)
    assert (labels.algorithm("iql"), labels.algorithm("m:X"), labels.algorithm("bc")) == ("Ours", "Theirs", "BC")
    assert (labels.dataset("d4rl/pen-human-v1"), labels.dataset("d4rl/pen-human-v0")) == ("P", "Pen human")
    assert sorted(["awac", "m:X", "bc", "iql"], key=labels.order) == ["iql", "m:X", "awac", "bc"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("[algorithm]\n", "algorithms"),
        ("algorithms = 3\n", "is no table"),
        ("[algorithms]\niql = 3\n", "the label of iql"),
        ('[algorithms]\niql = " "\n', "the label of iql"),
        ("[algorithms\n", "are not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, wrong: str) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(content)
    with pytest.raises(OffbenchError, match=wrong):
        read_labels(path)
    with pytest.raises(OffbenchError, match="cannot read the labels"):
        read_labels(tmp_path / "none.toml")


NAMES = st.sets(
    st.one_of(st.sampled_from(sorted(cards())), st.text(max_size=60), st.sampled_from(["Hopper medium", "IQL", "iql"])),
    min_size=1,
    max_size=8,
)


@given(NAMES)
def test_labels_of_one_table_differ(names: set[str]) -> None:
    for labels in (LABELS.datasets(names), LABELS.algorithms(names)):
        assert labels.keys() == names
        assert len(set(labels.values())) == len(names)
    assert all(len(LABELS.algorithm(name)) <= max(LONGEST, 20) for name in names)
