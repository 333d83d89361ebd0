"""Packing finished runs into an entry: records, policies as ONNX where they have that form, and a list of digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from offbench.basis.files import atomic
from offbench.environments.task import first_error
from offbench.errors import OffbenchError
from offbench.evaluation.record_files import write_record
from offbench.leaderboard.archive import MANIFEST, opened
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.entry import Entry, EntryFile
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.leaderboard.verification import number_checks
from offbench.training.finished import Run

ARCHIVES = (".zip", ".tar.gz", ".tgz")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of files in archives, the first that zip can hold


@dataclass(frozen=True)
class Authors:
    """What an entry says of itself.

    Attributes:
        method: its name in tables.
        team: who hands it in.
        paper: address of the paper, if there is one.
        code: address of the code, if there is one.
    """

    method: str
    team: str
    paper: str | None = None
    code: str | None = None


def pack(
    runs: Sequence[Path],
    suite: Suite,
    authors: Authors,
    output: Path,
    *,
    trust: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Entry:
    """Pack finished runs into a folder or an archive, which holds all of it or does not come to be.

    Args:
        runs: run folders, or folders above them.
        suite: what they were run on.
        authors: what the entry says of itself.
        output: a folder that is not there yet or is empty, or a file that is not there, .zip or .tar.gz.
        trust: whether modules of algorithms that are named as ``module:Class`` may be imported to write policies.
        say: told what is left out and why.

    Raises:
        OffbenchError: the runs are not all that the suite asks for, or ``output`` is taken.
    """
    _check_output(output)
    found = _runs(runs, trust)
    results = [run for run in found if not any(record.is_trial for record in run.records)]
    if len(results) < len(found):
        say(f"left out, because a configuration was chosen by them: {len(found) - len(results)} runs")
    chosen = _chosen(results, suite)
    with _beside(output) as folder:
        files, algorithm = _write_files(chosen, folder, say)
        try:
            entry = Entry(
                suite=suite.name,
                suite_version=suite.version,
                method=authors.method,
                team=authors.team,
                algorithm=algorithm,
                paper=authors.paper,
                code=authors.code,
                files=files,
                created=datetime.now(UTC),
            )
        except ValidationError as error:
            raise OffbenchError(f"the entry cannot be packed: {first_error(error)}") from error
        (folder / MANIFEST).write_text(entry.model_dump_json(indent=2) + "\n", encoding="utf-8")
        with opened(folder) as checked:
            contents = read_contents(checked)
        refused = [check for check in number_checks(contents, suite) if not check.passed]
        if refused:
            raise OffbenchError(f"the entry would be refused ({refused[0].name}): {refused[0].message}")
        _finish(folder, output)
    return entry


def _check_output(output: Path) -> None:
    if output.name.endswith(ARCHIVES):
        if os.path.lexists(output):
            raise OffbenchError(f"{output} exists; name another file, or remove it")
    elif os.path.lexists(output) and (not output.is_dir() or any(output.iterdir())):
        raise OffbenchError(f"{output} exists and is no empty folder; name another one")
    elif re.search(r"\.(zip|tar|gz|tgz|7z|xz|bz2|rar)$", output.name):
        raise OffbenchError(f"{output} is no archive that is written; .zip and .tar.gz are, and folders")


def _runs(paths: Sequence[Path], trust: bool) -> list[Run]:
    """The runs in folders and below them, each once."""
    folders: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise OffbenchError(f"there is no run folder {path}")
        found = sorted(manifest.parent for manifest in path.rglob("manifest.json"))
        if not found:
            raise OffbenchError(f"{path} holds no run; name the folders that offbench train wrote")
        for folder in found:
            folders.setdefault(os.path.realpath(folder), folder)
    return [Run(folder, trust) for folder in folders.values()]


Chosen = dict[SuiteTask, dict[int, Run]]  # the run of each seed


def _chosen(runs: Sequence[Run], suite: Suite) -> Chosen:
    """The runs by task and seed; others, on datasets that the suite does not have, are refused."""
    chosen: Chosen = {task: {} for task in suite.tasks}
    by_dataset = {task.learned: task for task in suite.tasks}
    for run in runs:
        for record in run.records:
            task = by_dataset.get(record.dataset)
            if task is None:
                raise OffbenchError(
                    f"{run.folder} is a run on {record.dataset}, which {suite.name} does not have; name the runs on "
                    "its tasks"
                )
            earlier = chosen[task].setdefault(record.seed, run)
            if earlier is not run:
                raise OffbenchError(
                    f"{earlier.folder} and {run.folder} both have seed {record.seed} on {record.dataset}; name one "
                    "of them"
                )
    for task, seeds in chosen.items():
        if sorted(seeds) != list(range(max(suite.seeds, len(seeds)))):
            listed = ", ".join(map(str, sorted(seeds))) or "none"
            raise OffbenchError(
                f"the runs on {task.dataset} have the seeds {listed}; {suite.name} asks for at least {suite.seeds}, "
                "from 0 without a gap"
            )
    return chosen


def _write_files(chosen: Chosen, folder: Path, say: Callable[[str], object]) -> tuple[dict[str, EntryFile], str]:
    """Write records and policies; the list of them, and the algorithm."""
    files: dict[str, EntryFile] = {}
    algorithms: set[str] = set()
    reason = next((why for seeds in chosen.values() for run in seeds.values() if (why := _without_policies(run))), None)
    for task, seeds in chosen.items():
        for seed, run in sorted(seeds.items()):
            record = next(each for each in run.records if each.seed == seed)
            algorithms.add(record.algorithm)
            written = [folder / "records" / task.slug / f"seed-{seed}.json"]
            write_record(record, written[0])
            policy = folder / "policies" / task.slug / f"seed-{seed}.onnx"
            if reason is None:
                try:
                    run.write_onnx(policy, seed)
                except OffbenchError as error:
                    if "ONNX files need" in str(error) or "--trust" in str(error):
                        raise
                    reason = str(error)
                    shutil.rmtree(folder / "policies", ignore_errors=True)
                    files = {name: file for name, file in files.items() if name.startswith("records/")}
                else:
                    written.append(policy)
            files |= {path.relative_to(folder).as_posix(): _listed(path) for path in written}
    if reason is not None:
        say(f"records alone, so that the scores stay self-reported: {reason}")
    if len(algorithms) > 1:
        raise OffbenchError(f"the runs are of {', '.join(sorted(algorithms))}; an entry is of one algorithm")
    return dict(sorted(files.items())), algorithms.pop()


def _without_policies(run: Run) -> str | None:
    """Why a run has no policies, if it has none."""
    try:
        run.check_kept()
    except OffbenchError as error:
        return str(error)
    return None


def _listed(path: Path) -> EntryFile:
    content = path.read_bytes()
    return EntryFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as the output, which goes if anything fails."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise OffbenchError(f"cannot write {output}: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(folder: Path, output: Path) -> None:
    """Put the finished folder where it belongs, or an archive of it: in the order of names, with fixed times."""
    if not output.name.endswith(ARCHIVES):
        if output.is_dir():
            output.rmdir()
        folder.chmod(0o755)
        os.replace(folder, output)
        return
    with atomic(output) as temporary:
        write_archive(folder, temporary, zipped=output.name.endswith(".zip"))


def write_archive(folder: Path, target: Path, *, zipped: bool) -> None:
    """Write the files of a folder as an archive whose bytes depend on them alone."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if zipped:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr, info.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(info, (folder / name).read_bytes())
        return
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in names:
            content = (folder / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
