import pytest

from offbench.errors import OffbenchError
from offbench.leaderboard import versions
from offbench.leaderboard.suite import Suite, suite, suites


def changed(found: Suite, **fields: object) -> Suite:
    return Suite.model_validate({**found.model_dump(), **fields})


def test_what_every_suite_scores_on_is_that_of_its_version() -> None:
    """If not, a suite or a task behind it changed: raise its version, run python -m offbench.leaderboard.versions."""
    known = versions.recorded()
    assert versions.updated(known, suites()) == known


def test_scored_content_is_all_but_words() -> None:
    found = suite("starter")
    digest = versions.scored_content(found)
    assert versions.scored_content(changed(found, title="Other", description="Other", version=7)) == digest
    for name, value in [("steps", 1), ("episodes", 1), ("seeds", 1), ("tuning", "All."), ("tasks", found.tasks[:-1])]:
        assert versions.scored_content(changed(found, hidden=(), **{name: value})) != digest, name
    revised = found.tasks[0].model_copy(update={"revision": 2})
    assert versions.scored_content(changed(found, tasks=(revised, *found.tasks[1:]))) != digest


def test_a_change_needs_another_version() -> None:
    found = suite("starter")
    known = {"starter": {"1": versions.scored_content(found)}}
    with pytest.raises(OffbenchError, match="raise its version to 2"):
        versions.updated(known, {"starter": changed(found, steps=1)})
    risen = versions.updated(known, {"starter": changed(found, steps=1, version=2)})
    assert list(risen["starter"]) == ["1", "2"]
    assert risen["starter"]["1"] == known["starter"]["1"]
    with pytest.raises(OffbenchError, match="went back to version 1"):
        versions.updated(risen, {"starter": found})
    with pytest.raises(OffbenchError, match="does not follow 1"):
        versions.updated(known, {"starter": changed(found, version=3)})


def test_references_of_tasks_are_part_of_what_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = suite("starter")
    before = versions.scored_content(found)
    plain = versions.task

    def moved(name: str):
        task = plain(name)
        return task.model_copy(update={"high": task.high.model_copy(update={"mean": task.high.mean + 1})})

    monkeypatch.setattr(versions, "task", moved)
    assert versions.scored_content(found) != before
