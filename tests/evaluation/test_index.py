import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from synthetic_records import make_curves, make_record

from offbench.errors import OffbenchError
from offbench.evaluation import index
from offbench.evaluation.index import read_indexed
from offbench.evaluation.record_files import read_records, write_record


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "records"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for record in make_curves("iql", "maze", final=80, seeds=4, points=6):
        write_record(record, tmp_path / "runs" / f"seed-{record.seed}.json")
    write_record(make_record(evaluations=[], algorithm="bc"), tmp_path / "runs" / "bc" / "seed-0.json")
    return tmp_path / "runs"


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read as a whole from now on."""
    seen: list[str] = []
    read = index.read_record
    monkeypatch.setattr(index, "read_record", lambda path: seen.append(path.name) or read(path))
    return seen


def same_as_the_records(runs: Path) -> None:
    for run, record in zip(read_indexed([runs]), read_records([runs]), strict=True):
        assert (run.record.benchmark_digest, run.record.method_digest) == (
            record.benchmark_digest,
            record.method_digest,
        )
        assert run.record.evaluations[-1:] == record.evaluations[-1:]
        assert run.record.best == record.best
        assert run.record.model_copy(update={"evaluations": [], "losses": []}) == record.model_copy(
            update={"evaluations": [], "losses": []}
        )
        assert list(run.curve.steps) == [evaluation.step for evaluation in record.evaluations]
        assert list(run.curve.returns) == pytest.approx([np.mean(one.returns) for one in record.evaluations])
        assert list(run.curve.episodes) == [len(evaluation.returns) for evaluation in record.evaluations]


def test_what_is_read_again_is_what_was_read_first(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reads(monkeypatch)
    same_as_the_records(runs)
    assert len(whole) == 5
    same_as_the_records(runs)
    assert len(whole) == 5


def test_a_file_that_changed_is_read_again_even_at_its_old_time_and_size(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_indexed([runs])
    whole = reads(monkeypatch)
    changed = runs / "seed-1.json"
    before = changed.stat()
    text = changed.read_text()
    changed.write_text(text.replace('"wall_seconds": 12.5', '"wall_seconds": 99.5'))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changed.stat().st_size == before.st_size
    assert [run.record.wall_seconds for run in read_indexed([runs])].count(99.5) == 1
    assert whole == ["seed-1.json"]
    write_record(make_record(algorithm="new"), runs / "new" / "seed-7.json")
    assert len(read_indexed([runs])) == 6
    assert whole == ["seed-1.json", "seed-7.json"]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _noise(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def _other_columns(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE runs (x)")
    connection.close()


def _lies(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE runs SET entry = replace(entry, 'iql', 'xql')")
    connection.close()


def _swapped(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE runs SET entry = (SELECT entry FROM runs LIMIT 1)")
    connection.close()


def _holes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for start in range(100, len(content), 512):
        content[start : start + 40] = b"\xff" * len(content[start : start + 40])
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _noise, _other_columns, _lies, _swapped, _holes])
def test_a_damaged_index_is_made_anew(damage, runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_indexed([runs])
    (file,) = cache.glob("*.sqlite")
    damage(file)
    same_as_the_records(runs)
    whole = reads(monkeypatch)
    same_as_the_records(runs)
    assert not whole


def test_without_a_cache_everything_works(runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir()
    cache.write_text("in the way")
    same_as_the_records(runs)
    cache.unlink()
    read_indexed([runs])
    (file,) = cache.glob("*.sqlite")
    busy = sqlite3.connect(file)
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: _quick(path))
    busy.execute("BEGIN EXCLUSIVE")
    same_as_the_records(runs)
    busy.rollback()
    busy.close()
    assert file.exists()


_connect = sqlite3.connect


def _quick(path: Path) -> sqlite3.Connection:
    return _connect(path, timeout=0.01)


def test_an_index_that_cannot_be_opened_even_anew_is_done_without(
    runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, timeout: float) -> sqlite3.Connection:
        raise sqlite3.OperationalError("not today")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    same_as_the_records(runs)


def test_an_index_that_cannot_be_written_is_read(runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_indexed([runs])
    write_record(make_record(algorithm="new"), runs / "a" / "seed-0.json")  # the first of all to be read
    (file,) = cache.glob("*.sqlite")
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: _connect(f"file:{path}?mode=ro", uri=True))
    monkeypatch.setattr(index, "BATCH", 1)
    for _ in range(2):
        whole = reads(monkeypatch)
        assert len(read_indexed([runs])) == 6
        assert whole == ["seed-0.json"]
    assert file.exists()


def test_another_reader_has_another_index(runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_indexed([runs])
    monkeypatch.setattr(index, "_reader", lambda: "0" * 64)
    whole = reads(monkeypatch)
    read_indexed([runs])
    assert len(whole) == 5
    assert len(list(cache.glob("*.sqlite"))) == 2


def test_what_is_wrong_is_refused_as_without_an_index(runs: Path) -> None:
    read_indexed([runs])
    (runs / "seed-2.json").write_text("{")
    with pytest.raises(OffbenchError, match=r"seed-2\.json is not a run record: it is not JSON"):
        read_indexed([runs])
    (runs / "seed-2.json").unlink()
    write_record(read_records([runs / "seed-1.json"])[0], runs / "twice" / "seed-1.json")
    with pytest.raises(OffbenchError, match="are the same run with the same seed"):
        read_indexed([runs])
    with pytest.raises(OffbenchError, match="there is no run folder"):
        read_indexed([runs / "absent"])


def test_names_that_are_no_text_are_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / os.fsdecode(b"runs-\xff")
    write_record(make_record(), folder / "seed-0.json")
    read_indexed([folder])
    whole = reads(monkeypatch)
    assert len(read_indexed([folder])) == 1
    assert not whole
