"""Finished runs become an entry that verifies, or one sentence says what is missing."""

import json

import numpy as np
import pytest
from synthetic_records import make_tuning

import offbench
import offbench.cli.leaderboard  # so that all commands know the real suites before a test names others
from offbench.cli.leaderboard_submit import added
from offbench.cli.main import main
from offbench.errors import OffbenchError
from offbench.leaderboard import suite as suites
from offbench.leaderboard.archive import opened
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.packing import Authors, pack
from offbench.leaderboard.results import read_results
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.leaderboard.verification import Settings, verify

SWINGUP = "offbench/pendulum/swingup-v0"
US = Authors("Constant", "us", code="https://example.org")
SMALL = Suite(
    name="small",
    version=1,
    title="Small",
    description="The pendulum.",
    steps=5,
    episodes=10,
    seeds=3,
    tuning="nothing",
    tasks=(SuiteTask(dataset=SWINGUP, revision=1, domain="pendulum"),),
)


class Constant:
    """Pushes as hard as its seed says."""

    def __init__(self, torque=0.0):
        self.torque = torque

    def fit(self, data, task, seed, budget):
        return Constant(0.1 + 0.1 * seed)

    def act(self, observations):
        return np.full((len(observations), 1), self.torque, np.float32)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of a learner, in two runs below one folder."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seeds in (("a", (0, 1)), ("b", (2,))):
        offbench.train(
            Constant, SWINGUP, steps=5, seeds=seeds, episodes=10, output=folder / name, quiet=True, workers=1
        )
    return folder


@pytest.mark.parametrize("name", ["entry", "entry.zip", "entry.tar.gz"])
def test_a_learner_is_handed_in_with_records_alone(name, runs, tmp_path):
    said = []
    entry = pack([runs], SMALL, US, tmp_path / name, say=said.append)
    assert "records alone, so that the scores stay self-reported" in said[0]
    assert len(entry.files) == 3
    with opened(tmp_path / name) as folder:
        contents = read_contents(folder)
    assert {seed for _, seed in contents.records} == {0, 1, 2}
    assert not contents.policies
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": 4}, "have the seeds 0, 1, 2; small asks for at least 4"),
        ({"steps": 6}, r"would be refused \(completeness\): .* 6 are the suite's"),
        ({"episodes": 11}, "at least 11 are asked for"),
        ({"tasks": (SuiteTask(dataset=SWINGUP, revision=2, domain="x"),)}, "the suite has revision 2"),
        ({"tasks": (SuiteTask(dataset="offbench/pointmaze/stitch-v0", revision=1, domain="x"),)}, "does not have"),
    ],
)
def test_runs_that_are_not_what_the_suite_asks_for_are_refused(changes, sentence, runs, tmp_path):
    with pytest.raises(OffbenchError, match=sentence):
        pack([runs], SMALL.model_copy(update=changes), US, tmp_path / "entry")
    assert not list(tmp_path.iterdir())


def test_the_trials_of_a_tuning_are_left_out(runs, tmp_path):
    tuning = make_tuning(role="trial", seeds=[0]).model_dump(mode="json")
    folder = tmp_path / "trial"
    options = {"steps": 5, "seeds": 1, "episodes": 10, "quiet": True}
    offbench.train(Constant, SWINGUP, output=folder, tuning=tuning, **options)
    said = []
    entry = pack([runs, folder], SMALL, US, tmp_path / "entry", say=said.append)
    assert said[0] == "left out, because a configuration was chosen by them: 1 runs"
    assert len(entry.files) == 3


def test_what_is_there_is_not_overwritten(runs, tmp_path):
    (tmp_path / "taken.zip").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("mine")
    for name in ("taken.zip", "folder", "entry.rar"):
        with pytest.raises(OffbenchError, match=r"exists|is no archive that is written"):
            pack([runs], SMALL, US, tmp_path / name)
    assert (tmp_path / "taken.zip").read_text() == "mine"
    with pytest.raises(OffbenchError, match="both have seed 0"):
        pack(
            [
                runs,
                offbench.train(
                    Constant, SWINGUP, steps=5, seeds=1, episodes=10, output=tmp_path / "again", quiet=True
                ).folder,
            ],
            SMALL,
            US,
            tmp_path / "entry",
        )
    with pytest.raises(OffbenchError, match="holds no run"):
        pack([tmp_path / "folder"], SMALL, US, tmp_path / "entry")


def test_an_address_that_is_none_is_refused(runs, tmp_path):
    with pytest.raises(OffbenchError, match="cannot be packed: paper"):
        pack([runs], SMALL, Authors("Constant", "us", paper="javascript:alert(1)"), tmp_path / "entry")
    assert not list(tmp_path.iterdir())


def test_an_accepted_entry_is_added_as_it_was_verified(runs, tmp_path):
    settings = Settings(suite=SMALL)
    pack([runs], SMALL, Authors("m" * 200, "t" * 200), tmp_path / "entry")
    verdict = verify(tmp_path / "entry", settings=settings)
    assert len(added(tmp_path / "entry", tmp_path / "results", verdict).name) <= 100
    manifest = tmp_path / "entry/entry.json"
    manifest.write_text(manifest.read_text().replace("mmm", "mm-", 1))
    with pytest.raises(OffbenchError, match="was changed while it was verified"):
        added(tmp_path / "entry", tmp_path / "others", verdict)
    assert not (tmp_path / "others").exists()


def test_the_commands(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suites, "suites", lambda: {"small": SMALL})
    monkeypatch.chdir(tmp_path)
    submit = ["leaderboard", "submit", str(runs), "--suite", "small", "--method", "Constant", "--team", "us"]
    assert main([*submit, "--output", "entry.zip"]) == 0
    assert main(["leaderboard", "verify", "entry.zip", "--results", "board", "--add", "--output", "verdict.json"]) == 0
    printed = capsys.readouterr().out
    assert "3 records, 0 policies" in printed
    assert "accepted: self-reported" in printed
    assert json.loads((tmp_path / "verdict.json").read_text())["level"] == "self-reported"
    (result,) = read_results(tmp_path / "board")
    assert (result.folder.name, result.level) == ("constant-us", "self-reported")
    assert main(["leaderboard", "verify", "entry.zip", "--results", "board"]) == 2
    assert "us has handed Constant in before" in capsys.readouterr().out
    assert main(["leaderboard", "check", "board"]) == 0
    assert "0 entries without a verdict" in capsys.readouterr().out
    assert main(["leaderboard", "check", "nowhere"]) == 2
    assert "there is no folder of results nowhere" in capsys.readouterr().err
    added_later = result.folder / "records/offbench--pendulum--swingup-v0/seed-9.json"
    added_later.write_text((added_later.parent / "seed-0.json").read_text())
    assert main(["leaderboard", "check", "board"]) == 2
    assert "seed-9.json of board/small/constant-us is not listed in its entry.json" in capsys.readouterr().out
    added_later.unlink()
    (result.folder / "verification.json").unlink()
    record = result.folder / "records/offbench--pendulum--swingup-v0/seed-0.json"
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 7'))
    assert main(["leaderboard", "check", "board"]) == 2
    assert "REFUSED" in capsys.readouterr().out
    (tmp_path / "seed.txt").write_text('"x"')
    assert main(["leaderboard", "verify", "entry.zip", "--seed-file", "seed.txt"]) == 2
    assert "holds no whole number" in capsys.readouterr().err
