"""Run records as files: written, and read again from files and folders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from pydantic import ValidationError

from offbench.basis.files import atomic
from offbench.errors import OffbenchError
from offbench.evaluation.record import SCHEMA_VERSION, RunRecord


def write_record(record: RunRecord, path: Path) -> None:
    """Write a record as indented JSON, atomically; lists of numbers stand on one line."""
    text = json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False)
    # Only line breaks between elements match: inside a JSON string a line break is always escaped.
    text = re.sub(r'\[\n\s+([^\[\]{}"]+?)\n\s+\]', lambda match: f"[{' '.join(match[1].split())}]", text)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_record(path: Path) -> RunRecord:
    """Read and check one record.

    Raises:
        OffbenchError: the file is missing, is no JSON, has another schema version, or a field that is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OffbenchError(f"cannot read the run record {path}: {error.strerror or error}") from error
    return parse_record(content, path)


def parse_record(content: bytes, path: Path) -> RunRecord:
    """The record that a file's bytes hold; raises as `read_record`, naming ``path``."""
    try:
        # Strict, and from JSON: a number in quotes is refused while a date in quotes, which JSON cannot help, is taken.
        return RunRecord.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _refusal(path, content, error) from error


def _refusal(path: Path, text: bytes, error: ValidationError) -> OffbenchError:
    """What is wrong with a file that is no record, the plainest first."""
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as broken:
        return OffbenchError(f"{path} is not a run record: it is not JSON ({broken})")
    if not isinstance(content, dict) or "schema_version" not in content:
        return OffbenchError(f"{path} is not a run record: it has no schema_version")
    if content["schema_version"] != SCHEMA_VERSION:
        return OffbenchError(
            f"{path} has schema version {content['schema_version']!r}; this offbench reads version {SCHEMA_VERSION}"
        )
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "the record"
    message = first["msg"].removeprefix("Value error, ")
    return OffbenchError(f"{path} is not a valid run record: {field}: {message}")


def read_records(paths: Iterable[Path]) -> list[RunRecord]:
    """Read records from files and from run folders, which are searched at any depth for ``seed-*.json``.

    Links to folders are followed, each folder being searched once, so that a loop of links ends. A file that is reached
    twice is read once. The order is that of the paths, and by name within a folder.

    Raises:
        OffbenchError: a path is missing, a folder has no record, a record is wrong (see ``read_record``), or two files
            hold the same seed of the same run.
    """
    files = record_files(paths)
    records = [read_record(file) for file in files.values()]
    check_distinct(
        (
            file,
            {
                "benchmark_digest": record.benchmark_digest,
                "method_digest": record.method_digest,
                "seed": record.seed,
                "algorithm": record.algorithm,
                "dataset": record.dataset,
            },
        )
        for file, record in zip(files.values(), records, strict=True)
    )
    return records


def check_distinct(runs: Iterable[tuple[Path, Mapping[str, object]]]) -> None:
    """Refuse two files with the same seed of the same run.

    Args:
        runs: for each file benchmark_digest, method_digest, seed, algorithm and dataset of its record.

    Raises:
        OffbenchError: two have the same digests and seed.
    """
    seen: dict[tuple[object, object, object], Path] = {}
    for file, run in runs:
        earlier = seen.setdefault((run["benchmark_digest"], run["method_digest"], run["seed"]), file)
        if earlier is not file:
            raise OffbenchError(
                f"{earlier} and {file} are the same run with the same seed "
                f"({run['algorithm']} on {run['dataset']}, seed {run['seed']}); name one of them"
            )


def record_files(paths: Iterable[Path]) -> dict[str, Path]:
    """The files of `read_records`, each once, in its order: by real path the path that leads there.

    Raises:
        OffbenchError: a path is missing, or a folder has no record or cannot be searched.
    """
    files: dict[str, Path] = {}
    for path in paths:
        for file, real in _record_files(path):
            files.setdefault(real, file)
    if not files:
        raise OffbenchError("no run records were named; name run folders or seed-*.json files")
    return files


def _record_files(path: Path) -> list[tuple[Path, str]]:
    if path.is_dir():
        found = sorted(_searched(path))
        if not found:
            raise OffbenchError(f"the folder {path} has no run records (seed-*.json) at any depth")
        return found
    if not path.exists():
        raise OffbenchError(f"there is no run folder or run record {path}")
    return [(path, os.path.realpath(path))]


def _searched(folder: Path) -> Iterator[tuple[Path, str]]:
    """The records below a folder and below the folders that links in it lead to, each with its real path."""

    def refuse(error: OSError) -> None:
        raise OffbenchError(f"cannot search {error.filename} for run records: {error.strerror}") from error

    seen: set[str] = set()
    for where, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in names:
            if fnmatch(name, "seed-*.json"):
                file = os.path.join(real, name)
                yield Path(where, name), os.path.realpath(file) if os.path.islink(file) else file
