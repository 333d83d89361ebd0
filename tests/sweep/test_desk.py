"""Of a run that is being made, what is sent is a state that it was in, once each, and what is asked for is the last."""

import time
from types import SimpleNamespace

import pytest

from offbench.basis.files import atomic
from offbench.sweep.desk import MANIFEST, Desk, run_files, sending, snapshot


class Near:
    """A desk in this process, told as an actor is."""

    def __init__(self):
        self.desk, self.told = Desk(), []
        self.keep = SimpleNamespace(remote=lambda name, files: (self.told.append(files), self.desk.keep(name, files)))


def written(folder, number):
    """State ``number`` of a run, in the order in which runs write: the manifest last, then what it names no more."""
    folder.mkdir(exist_ok=True)
    (folder / f"checkpoint-{number}").write_bytes(b"%d" % number)
    with atomic(folder / MANIFEST) as temporary:
        temporary.write_bytes(b"names checkpoint-%d" % number)
    (folder / f"checkpoint-{number - 1}").unlink(missing_ok=True)


def until(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_snapshot_is_one_state(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    assert snapshot(folder) == {}
    written(folder, 1)
    (folder / ".checkpoint-2.abcdefgh.part").write_bytes(b"half of it")
    assert snapshot(folder) == {MANIFEST: b"names checkpoint-1", "checkpoint-1": b"1"}

    def during(folder, files=run_files):
        found = files(folder)
        written(folder, 2)  # between reading the files and looking whether they are still those
        return found

    monkeypatch.setattr("offbench.sweep.desk.run_files", during)
    assert snapshot(folder) == {}


def test_each_state_is_sent_once_and_the_last_one_is_kept(tmp_path):
    folder, near = tmp_path / "run", Near()
    with sending(folder, "runs/a", near, 0.001):
        for number in (1, 2, 3):
            written(folder, number)
            until(lambda number=number: near.desk.versions.get("runs/a") == number)
        time.sleep(0.02)
    written(folder, 4)
    assert near.desk.seen() == ({}, {"runs/a": 3})
    # With it may lie the checkpoint before, which a run removes once its manifest names the next; nothing else may.
    third = {MANIFEST: b"names checkpoint-3", "checkpoint-3": b"3"}
    assert near.desk.state("runs/a") in (third, third | {"checkpoint-2": b"2"})
    assert [files[MANIFEST] for files in near.told] == [b"names checkpoint-%d" % number for number in (1, 2, 3)]
    near.desk.forget("runs/a")
    assert near.desk.state("runs/a") == near.desk.state("runs/b") == {}


def test_states_are_whole_however_fast_they_follow_each_other(tmp_path):
    folder, near = tmp_path / "run", Near()
    with sending(folder, "a", near, 0.0001):
        for number in range(400):
            written(folder, number)
    assert near.told
    for files in near.told:
        named = files[MANIFEST].removeprefix(b"names ").decode()
        assert files[named] == named.removeprefix("checkpoint-").encode()


def test_what_fails_in_the_block_ends_the_sending(tmp_path):
    near = Near()
    with pytest.raises(ValueError, match="wrong"), sending(tmp_path, "a", near, 0.001):
        raise ValueError("wrong")
    written(tmp_path, 1)
    time.sleep(0.02)
    assert not near.told
