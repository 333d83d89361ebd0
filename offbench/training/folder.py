"""The folder of a run: its plan, its progress and the last checkpoint, all of which a crash leaves intact.

    manifest.json              plan and progress; names the checkpoint that belongs to it
    checkpoint-<step>.safetensors
    seed-<s>.json              one record a seed, once the run is complete
    metrics.csv                what `offbench.training.logs` tells while the run goes, as a table
    tensorboard, wandb         folders of those logs, where they were asked for

A checkpoint is written under a new name first; then the manifest that names it, by name and digest, replaces the old
one in a single rename, and only then the old checkpoint is removed. Whenever a run dies, manifest and checkpoint belong
together. Nothing in the folder is replaced or removed that the run cannot show to have written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open

from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.catalog.content import digest
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord, RunRecord, digest_of
from offbench.evaluation.record_files import read_record, write_record
from offbench.training.plan import Plan, Strict


class Progress(Strict):
    """How far a run has come.

    Attributes:
        step: updates done; where seeds are fitted one after the other, their mean over the seeds.
        wall_seconds, evaluation_seconds: time spent so far.
        evaluations, losses: one list a seed; where seeds are fitted one after the other, one for each that is done.
        totals: (seeds, metrics), sums of the metrics since the last loss was recorded.
        complete: whether all updates and evaluations are done.
    """

    step: int = 0
    wall_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    evaluations: list[list[EvaluationRecord]]
    losses: list[list[LossRecord]]
    totals: list[list[float]]
    complete: bool = False


class Manifest(Strict):
    """Plan, progress and the checkpoint that belongs to them; a learner's fit leaves none.

    Attributes:
        schema_version: version of this layout.
        plan, progress: of the run.
        checkpoint: plain name of a file in the run's own folder.
        checkpoint_digest: SHA-256 of that file.
        digest: of all other fields, so that one that was edited or damaged is not taken for a run.
    """

    schema_version: Literal[2] = 2
    plan: Plan
    progress: Progress
    checkpoint: str | None = Field(default=None, pattern=r"^checkpoint-\d{9}\.safetensors$")
    checkpoint_digest: str | None = None
    digest: str = ""

    @property
    def own_digest(self) -> str:
        """What ``digest`` has to be."""
        return digest_of(self.model_dump(mode="json", exclude={"digest"}))


# What a run writes, and what is left of it where it was killed in writing.
_CHECKPOINT = re.compile(r"checkpoint-\d{9}\.safetensors")
_WHOLE = rf"manifest\.json|{_CHECKPOINT.pattern}|seed-\d+\.json|metrics\.csv"
_LEFT = re.compile(rf"\.({_WHOLE})\.\w{{8}}\.part|\.data-\d+-\w+\.part")


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._current: str | None = None  # name of the checkpoint that this run wrote or found to be its own

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "manifest.json").exists()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process from training in this folder while the block runs.

        What a run left here that was killed in writing is removed.

        Raises:
            OffbenchError: another process trains here, the folder cannot be written to, or it holds no run and files
                of something else.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.path / ".lock", wait=False))
            except BlockingIOError as error:
                raise OffbenchError(f"another process trains in {self.path}; wait for it or give --output") from error
            except OSError as error:
                reason = error.strerror or error
                raise OffbenchError(
                    f"cannot write {self.path}: {reason}; name a folder that can be written to"
                ) from error
            self._clean()
            yield

    def _clean(self) -> None:
        """Remove what a killed run left in writing, and refuse a folder of something else."""
        manifest = self.manifest() if self.exists else None
        plan = None if manifest is None else manifest.plan
        for entry in list(self.path.iterdir()):
            if entry.is_symlink() or not entry.is_file():
                continue
            unnamed = bool(_CHECKPOINT.fullmatch(entry.name)) and (
                manifest is None or entry.name != manifest.checkpoint
            )
            if _LEFT.fullmatch(entry.name) or (unnamed and _is_checkpoint_of(entry, plan)):
                entry.unlink(missing_ok=True)
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name != ".lock")
        if others and manifest is None:
            listed = ", ".join(map(repr, others[:4])) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
            raise OffbenchError(f"{self.path} holds no run but {listed}; name a new or empty folder with --output")

    def manifest(self) -> Manifest:
        """The manifest.

        Raises:
            OffbenchError: there is none, or it is not one.
        """
        path = self.path / "manifest.json"
        try:
            manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
            if manifest.digest != manifest.own_digest:
                raise ValueError("does not have the digest that it says, so it was edited or damaged")
            return manifest
        except OSError as error:
            raise OffbenchError(f"{self.path} holds no run: {path.name} cannot be read ({error.strerror})") from error
        except (ValidationError, ValueError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            field = ".".join(str(part) for part in first["loc"])
            raise OffbenchError(f"{path} is not a run's manifest: {field} {first['msg']}") from error

    def write(self, plan: Plan, progress: Progress, state: Mapping[str, torch.Tensor] | None = None) -> None:
        """Make ``progress`` and ``state``, if there is one, the run's checkpoint, in one rename."""
        name, checksum = None, None
        if state is not None:
            name = f"checkpoint-{progress.step:09d}.safetensors"
            checksum = self._write_checkpoint(self.path / name, plan, state)
        manifest = Manifest(plan=plan, progress=progress, checkpoint=name, checkpoint_digest=checksum)
        manifest.digest = manifest.own_digest
        with atomic(self.path / "manifest.json") as temporary:
            temporary.write_text(manifest.model_dump_json() + "\n", encoding="utf-8")
        if self._current not in (None, name):
            (self.path / str(self._current)).unlink(missing_ok=True)
        self._current = name

    def write_record(self, record: RunRecord) -> None:
        """Write the record of one seed.

        Raises:
            OffbenchError: a file of that name is no record of this seed of this run.
        """
        path = self.path / f"seed-{record.seed}.json"
        if os.path.lexists(path) and not _is_record_of(path, record):
            raise OffbenchError(f"{path} is no record of this run, and is not replaced; move it elsewhere")
        write_record(record, path)

    def _write_checkpoint(self, path: Path, plan: Plan, state: Mapping[str, torch.Tensor]) -> str:
        """Write a checkpoint and return its digest; what has that name is replaced only if this run wrote it."""
        if os.path.lexists(path) and path.name != self._current and not _is_checkpoint_of(path, plan):
            raise OffbenchError(f"{path} is no checkpoint of this run, and is not replaced; move it elsewhere")
        tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
        with atomic(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata={_RUN: plan.settings_digest})
            return digest(temporary)

    def state(self, manifest: Manifest) -> dict[str, torch.Tensor]:
        """The checkpoint's tensors.

        Raises:
            OffbenchError: the file is missing, damaged, a link, or not the one that the manifest was written with.
        """
        path = self.path / (manifest.checkpoint or "no checkpoint")
        try:
            if path.is_symlink():
                raise OffbenchError(f"the checkpoint {path} is a link; the file that the run wrote would be right")
            if digest(path) != manifest.checkpoint_digest:
                raise OffbenchError(
                    f"the checkpoint {path} is not the one that the run wrote: it was damaged or belongs to another; "
                    "train the run anew"
                )
            tensors = dict(safetensors.torch.load_file(path))
        except (OSError, SafetensorError) as error:
            raise OffbenchError(f"the checkpoint {path} cannot be read ({error}); train the run anew") from error
        self._current = manifest.checkpoint
        return tensors


_RUN = "offbench run"  # in a checkpoint's metadata: the digest of its plan's settings


def _is_checkpoint_of(path: Path, plan: Plan | None) -> bool:
    """Whether a file is a checkpoint that a run of this plan left when it was killed; of any, the first one."""
    try:
        with safe_open(path, framework="numpy") as file:
            run = (file.metadata() or {}).get(_RUN)
        if plan is None:
            return run is not None and path.name == "checkpoint-000000000.safetensors"
        return not path.is_symlink() and run == plan.settings_digest
    except (OSError, SafetensorError):
        return False


def _is_record_of(path: Path, record: RunRecord) -> bool:
    """Whether a file is an earlier record of the same seed of the same run."""
    try:
        earlier = read_record(path)
    except OffbenchError:
        return False
    same = (earlier.benchmark_digest, earlier.method_digest, earlier.seed)
    return not path.is_symlink() and same == (record.benchmark_digest, record.method_digest, record.seed)
