"""Thousands of run records in seconds: an index of what is shown of them, in the cache folder.

An entry is found by the real path of a file and holds for its size, both times and inode, and for the code that made
it. It has the record with the evaluations that tables need, the best and the last, and the means of all of them. An
index that is damaged is made anew, and so is an entry whose checksum is wrong; one that cannot be written costs time
and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from offbench.basis.files import cache_folder, identity
from offbench.evaluation import record as record_module
from offbench.evaluation import rows as rows_module
from offbench.evaluation import tuning_record as tuning_module
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import check_distinct, read_record, record_files
from offbench.evaluation.rows import Curve, Row, curve_of, run_row

# Rows that are asked for, and written, at a time: what is lost of a first reading that is interrupted.
BATCH = 500
# What says nothing about the file itself: another program has it, the disk is full, the folder is not ours to write.
_ELSEWHERE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
}


@dataclass(frozen=True)
class IndexedRun:
    """What tables and data frames show of a record.

    Attributes:
        path: the file, as it was reached.
        row: what `offbench.evaluation.rows.run_row` says of it.
        curve: means of all its evaluations.
        text: the record as JSON, with the best and the last of its evaluations alone, and without losses.
    """

    path: Path
    row: Row
    curve: Curve
    text: str

    @cached_property
    def record(self) -> RunRecord:
        """The record with the best and the last of its evaluations alone, and without losses."""
        return RunRecord.model_validate_json(self.text, strict=True)


def read_indexed(paths: Iterable[Path]) -> list[IndexedRun]:
    """As `record_files.read_records`, and much faster for files that were read before and have not changed since.

    Raises:
        OffbenchError: as there.
    """
    files = record_files(paths)
    # Taken before a file is read: one that changes meanwhile is read again the next time.
    states = {real: _state(real) for real in files}
    index = _Index(cache_folder() / "records" / f"index-{_reader()[:16]}.sqlite")
    try:
        runs = list(_runs(index, files, states))
    finally:
        index.close()
    check_distinct((run.path, run.row) for run in runs)
    return runs


def _runs(index: _Index, files: Mapping[str, Path], states: Mapping[str, str]) -> Iterator[IndexedRun]:
    reals = list(files)
    for start in range(0, len(reals), BATCH):
        batch = reals[start : start + BATCH]
        known = index.get({real: states[real] for real in batch})
        new: dict[str, tuple[str, str]] = {}
        for real in batch:
            if real in known:
                yield _decoded(files[real], known[real])
                continue
            run = _indexed(files[real], read_record(files[real]))
            new[real] = (states[real], _encoded(run))
            yield run
        index.put(new)


def _state(real: str) -> str:
    """The identity of a file; empty where it cannot be looked at, which is said when it is read."""
    try:
        return json.dumps(identity(Path(real)))
    except OSError:
        return ""


@cache
def _reader() -> str:
    """SHA-256 of the code that decides what is in the index."""
    modules = (record_module, tuning_module, rows_module)
    sources = (Path(str(file)).read_bytes() for file in (__file__, *(each.__file__ for each in modules)))
    return hashlib.sha256(b"".join(sources)).hexdigest()


def _indexed(path: Path, record: RunRecord) -> IndexedRun:
    best = record.best
    kept = [one for one in record.evaluations if one is best or one is record.evaluations[-1]]
    text = record.model_copy(update={"evaluations": kept, "losses": []}).model_dump_json()
    return IndexedRun(path, run_row(record), curve_of(record), text)


def _encoded(run: IndexedRun) -> str:
    curve = run.curve
    rest = json.dumps([run.row, curve.steps, curve.returns, curve.lengths, curve.episodes])
    return f"{run.text}\n{rest}"


def _decoded(path: Path, entry: str) -> IndexedRun:
    text, _, rest = entry.partition("\n")
    row, *curve = json.loads(rest)
    return IndexedRun(path, row, Curve(*(tuple(part) for part in curve)), text)


class _Index:
    """A table of entries by real path, in one SQLite file that any number of programs may use at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = self._open()

    def get(self, states: Mapping[str, str]) -> dict[str, str]:
        """The entries of those files whose states are as they were, by real path."""
        marks = ", ".join("?" * len(states))
        question = f"SELECT path, state, entry, checksum FROM runs WHERE path IN ({marks})"
        found: dict[str, str] = {}
        for path, state, entry, checksum in self._ask(question, [os.fsencode(real) for real in states]):
            if isinstance(path, bytes) and checksum == _checksum(path, state, entry):
                real = os.fsdecode(path)
                if state and state == states.get(real):
                    found[real] = str(entry)
        return found

    def put(self, entries: Mapping[str, tuple[str, str]]) -> None:
        """Keep entries, each a state and a text, by real path."""
        rows = []
        for real, (state, entry) in entries.items():
            path = os.fsencode(real)
            rows.append((path, state, entry, _checksum(path, state, entry)))
        if self._connection is None or not rows:
            return
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.Error, UnicodeError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:  # which still can be read
                self._failed(error)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def _open(self, *, anew: bool = True) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=10)
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS runs (path BLOB PRIMARY KEY, state TEXT, entry TEXT, checksum TEXT)"
                )
        except sqlite3.Error as error:
            # Once: what a new file does not mend, such as locks that a network lacks, is nothing about the file.
            return self._open(anew=False) if anew and not _is_elsewhere(error) and self._removed() else None
        except OSError:
            return None
        return connection

    def _ask(self, question: str, values: Sequence[object]) -> list[tuple[object, object, object, object]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(question, values).fetchall()
        except (sqlite3.Error, UnicodeError) as error:
            self._failed(error)
            return []

    def _failed(self, error: Exception) -> None:
        """Go on without an index, or with a new one where this one is damaged."""
        self.close()
        again = not _is_elsewhere(error) and self._removed()
        self._connection = self._open() if again else None

    def _removed(self) -> bool:
        try:
            for suffix in ("", "-journal"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        except OSError:
            return False
        return True


def _is_elsewhere(error: Exception) -> bool:
    # The low byte is the error, the others say more about it.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _ELSEWHERE


def _checksum(path: bytes, state: object, entry: object) -> str:
    return hashlib.sha256(b"\0".join([path, f"{state}".encode(), f"{entry}".encode()])).hexdigest()
