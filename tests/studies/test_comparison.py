"""Methods side by side: runs that are gone on with, and a page that is made of their records."""

from pathlib import Path

import pytest
from studies_with_few_runs import of

import offbench
from offbench.algorithms import registry
from offbench.errors import OffbenchError
from offbench.studies import labels, less_supervision, penalties, stitching, true_dynamics
from offbench.studies.comparison import Method, play, some, write_page
from offbench.training.options import parted


def test_a_study_goes_on_where_it_was_and_its_page_is_made_of_its_records(tmp_path, monkeypatch) -> None:
    methods = (
        Method("BC", "bc"),
        Method("10% BC, wide", "bc", {"top_fraction": 0.1}),
        Method("IQL", "iql", {"no_such_flag": 1}),
        Method("DT", "dt", {}, "too slow"),
    )
    said: list[str] = []
    play(of(methods), tmp_path, said.append)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["10-bc-wide", "bc"]
    page, picture = write_page(of(methods), tmp_path)
    text = page.read_text()
    assert "| 10% BC, wide |" in text
    assert "`top_fraction=0.1`" in text
    assert "updates each, seeds" in text
    assert text.count("`hidden=(8, 8)`") == 1  # what all have is said once
    assert "- DT: too slow" in text
    assert "- IQL: " in text
    assert "no_such_flag" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    run = offbench.Run(tmp_path / "bc")
    mean = sum(float(record.evaluations[-1].returns[0]) for record in run.records)
    assert mean < 0
    # A finished run is not trained again, and the page can be made without training.
    monkeypatch.setattr("offbench.training.loop.Training.run", lambda self: pytest.fail("trained again"))
    play(of(methods[:2]), tmp_path, said.append)
    assert [line.partition(", return")[0] for line in said[-2:]] == [
        "BC: trained before",
        "10% BC, wide: trained before",
    ]
    page.unlink()
    again = write_page(of(methods), tmp_path)[0].read_text()
    assert [line for line in again.splitlines() if line.startswith("| ")] == [
        line for line in text.splitlines() if line.startswith("| ")
    ]


def test_some_methods_are_trained_alone_and_the_failures_of_others_are_kept(tmp_path) -> None:
    study = of((Method("BC", "bc"), Method("IQL", "iql", {"no_such_flag": 1}), Method("RvS", "rvs", {"nor_this": 1})))
    for name in ("IQL", "RvS", "IQL"):
        play(some(study, [name]), tmp_path, lambda line: None)
    assert sorted(line.partition(":")[0] for line in (tmp_path / "failed.txt").read_text().splitlines()) == [
        "IQL",
        "RvS",
    ]
    assert some(study, []) == study
    with pytest.raises(OffbenchError, match="no method of this study is called 'DT'; there are: BC; IQL; RvS"):
        some(study, ["DT"])


def test_a_page_says_where_methods_have_numbers_of_updates_of_their_own(tmp_path) -> None:
    study = of((Method("BC", "bc"), Method("BC, longer", "bc", {"steps": 7})))
    play(study, tmp_path, lambda line: None)
    text = write_page(study, tmp_path)[0].read_text()
    assert "updates each, or as many as their flags say, seeds" in text
    assert "- BC, longer: `steps=7`" in text


def test_a_folder_without_records_is_refused(tmp_path) -> None:
    with pytest.raises(OffbenchError, match="holds no record of this study"):
        write_page(of((Method("BC", "bc"),)), tmp_path)


@pytest.mark.parametrize(
    ("study", "chosen"),
    [(study, budget) for study in (stitching, penalties, true_dynamics) for budget in ("small", "full")]
    + [(true_dynamics, "medium"), *((less_supervision, budget) for budget in ("small", "medium", "full"))]
    + [(labels, Path("labels"))],
)
def test_every_method_takes_its_settings(study, chosen) -> None:
    """A study that fails at its ninth method has cost an hour."""
    comparison = study.comparison(chosen)
    folders = [method.folder for method in comparison.methods]
    assert len(set(folders)) == len(folders)
    for method in comparison.methods:
        found = registry.find(method.algorithm)
        _, changes = parted({**comparison.settings, **method.settings})
        registry.configure(found, comparison.dataset, changes)
