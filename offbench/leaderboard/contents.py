"""What is in the folder of an entry, read as a stranger's: layout, digests and records, nothing taken on trust."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from offbench.basis.files import slug_of
from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, RunRecord
from offbench.evaluation.record_files import parse_record
from offbench.leaderboard.archive import MANIFEST, VERDICT
from offbench.leaderboard.entry import Entry
from offbench.leaderboard.results import read_model
from offbench.leaderboard.suite import Suite, SuiteTask

Key = tuple[str, int]  # dataset and seed


@dataclass(frozen=True)
class Contents:
    """An entry whose files are those that it lists.

    Attributes:
        entry: contents of ``entry.json``.
        records: by dataset and seed.
        policies: bytes of the ONNX files, by dataset and seed; empty where the entry has records alone.
    """

    entry: Entry
    records: dict[Key, RunRecord]
    policies: dict[Key, bytes]

    def of(self, task: SuiteTask) -> list[RunRecord]:
        """The records of one task of a suite, by seed."""
        return [record for (dataset, _), record in sorted(self.records.items()) if dataset == task.learned]

    def policy_digest(self, key: Key) -> str | None:
        """SHA-256 of a policy, where there is one."""
        return hashlib.sha256(self.policies[key]).hexdigest() if key in self.policies else None


def last(record: RunRecord) -> EvaluationRecord:
    """The evaluation that is the final score.

    Raises:
        OffbenchError: the run was never evaluated.
    """
    if not record.evaluations:
        raise OffbenchError(f"seed {record.seed} on {plain(record.dataset)} was never evaluated, so it has no score")
    return record.evaluations[-1]


def read_contents(folder: Path) -> Contents:
    """Read an entry whose folder `offbench.leaderboard.archive.opened` has looked through.

    Raises:
        OffbenchError: ``entry.json`` or a record is none of this schema, a file is missing, is not listed, has other
            bytes than its digest says, or lies where it does not belong.
    """
    try:
        return _read(folder)
    except OffbenchError as error:  # of an archive, the folder is a temporary one
        raise OffbenchError(str(error).replace(f"{folder}{os.sep}", "")) from error


def _read(folder: Path) -> Contents:
    entry = read_model(Entry, folder / MANIFEST)
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).as_posix() not in (MANIFEST, VERDICT)
    }
    _check_list(entry, found)
    records: dict[Key, RunRecord] = {}
    policies: dict[Key, bytes] = {}
    for name in sorted(found):
        content = (folder / name).read_bytes()
        listed = entry.files[name]
        if len(content) != listed.size or hashlib.sha256(content).hexdigest() != listed.sha256:
            raise OffbenchError(
                f"{name} has other bytes than entry.json says: it was changed after the entry was packed"
            )
        kind, slug, file = name.split("/")
        if kind == "records":
            record = parse_record(content, folder / name)  # the very bytes whose digest was compared
            key = record.dataset, record.seed
            if (slug, file) != (slug_of(record.dataset), f"seed-{record.seed}.json"):
                raise OffbenchError(
                    f"{name} holds the record of seed {record.seed} on {plain(record.dataset)}, whose place is "
                    "elsewhere"
                )
            records[key] = record
        else:
            policies[slug, int(file.removeprefix("seed-").removesuffix(".onnx"))] = content
    return Contents(entry, records, _placed(policies, records))


def _check_list(entry: Entry, found: set[str]) -> None:
    unlisted, missing = sorted(found - entry.files.keys()), sorted(entry.files.keys() - found)
    if unlisted:
        raise OffbenchError(f"the entry holds {plain(unlisted[0])}, which entry.json does not list")
    if missing:
        raise OffbenchError(f"entry.json lists {plain(missing[0])}, which the entry does not hold")


def _placed(policies: dict[Key, bytes], records: dict[Key, RunRecord]) -> dict[Key, bytes]:
    """The policies by dataset and seed of the records that they belong to."""
    places = {(slug_of(dataset), seed): (dataset, seed) for dataset, seed in records}
    for slug, seed in sorted(policies):
        if (slug, seed) not in places:
            raise OffbenchError(f"policies/{slug}/seed-{seed}.onnx belongs to no record of the entry")
    if policies and len(policies) < len(records):
        lacking = sorted(set(places) - set(policies))[0]
        raise OffbenchError(
            f"policies/{lacking[0]}/seed-{lacking[1]}.onnx is missing: an entry has the policies of all its records or "
            "of none"
        )
    return {places[key]: content for key, content in policies.items()}


def check_suite(contents: Contents, suite: Suite) -> str:
    """Whether suite and version are the ones that the entry says it was made for."""
    entry = contents.entry
    if suite.kind == "time":
        raise OffbenchError(f"{suite.name} counts seconds, which are timed on stated hardware, not handed in")
    if (entry.suite, entry.suite_version) != (suite.name, suite.version):
        raise OffbenchError(
            f"the entry is for version {entry.suite_version} of {plain(entry.suite)}, and this is version "
            f"{suite.version} of {suite.name}"
        )
    return f"for version {suite.version} of {suite.name}"
