"""The results of a leaderboard: entries, their records and what was verified, read from a folder.

results/<suite>/<entry>/entry.json, records/..., verification.json
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from offbench.basis.plain import plain
from offbench.environments.task import first_error
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_records, record_files
from offbench.leaderboard.entry import Entry, Level, Verification

Model = TypeVar("Model", Entry, Verification)


@dataclass(frozen=True)
class Result:
    """One entry as the leaderboard holds it.

    Attributes:
        folder: where it lies; its name is the entry's.
        entry: what it says of itself.
        records: one a dataset and seed.
        verification: what the organiser found; None where nobody looked.
    """

    folder: Path
    entry: Entry
    records: tuple[RunRecord, ...]
    verification: Verification | None

    @property
    def level(self) -> Level:
        """How far its scores can be trusted."""
        return self.verification.level if self.verification and self.verification.accepted else "self-reported"


def read_results(folder: Path) -> list[Result]:
    """All entries of all suites below a folder of results, by suite and name.

    Raises:
        OffbenchError: an entry, one of its records or its verification cannot be read, the latter is another's, or the
            records are not those that the entry lists.
    """
    return [read_result(path.parent) for path in sorted(folder.glob("*/*/entry.json"))]


def read_result(folder: Path) -> Result:
    """One entry of a leaderboard; raises as `read_results` does."""
    entry = read_model(Entry, folder / "entry.json")
    path = folder / "verification.json"
    verification = read_model(Verification, path) if path.exists() else None
    if verification and verification.entry_digest != entry_digest(folder):
        raise OffbenchError(f"{path} verifies another entry than {folder / 'entry.json'}; verify this one anew")
    _check_records(folder, entry)
    return Result(folder, entry, tuple(read_records([folder / "records"])), verification)


def _check_records(folder: Path, entry: Entry) -> None:
    """Refuse records that were added, changed or taken away afterwards; policies need not be there any more."""
    found = {path.relative_to(folder).as_posix(): path for path in record_files([folder / "records"]).values()}
    listed = {name: file for name, file in entry.files.items() if name.startswith("records/")}
    if odd := sorted(found.keys() ^ listed.keys()):
        told = "is not listed in its entry.json" if odd[0] in found else "is missing, though its entry.json lists it"
        raise OffbenchError(f"the record {plain(odd[0])} of {folder} {told}")
    for name, path in found.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != listed[name].sha256:
            raise OffbenchError(f"{path} has other bytes than entry.json says: it was changed after it was packed")


def entry_digest(folder: Path) -> str:
    """SHA-256 of the bytes of ``entry.json``."""
    return hashlib.sha256((folder / "entry.json").read_bytes()).hexdigest()


def read_model(kind: type[Model], path: Path) -> Model:
    """A JSON file of one of the layouts, or an OffbenchError that says what is wrong with it."""
    try:
        return kind.model_validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise OffbenchError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise OffbenchError(f"{path} is no {kind.__name__.lower()}: {first_error(error)}") from error
