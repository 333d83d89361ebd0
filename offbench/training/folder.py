"""The folder of a run: its plan, its progress and its last two checkpoints, all of which a crash leaves intact.

    manifest.json              plan and progress; names the checkpoint that belongs to it
    manifest.before.json       the manifest before that one, until the run is complete; names a checkpoint of its own
    checkpoint-<step>.safetensors
    seed-<s>.json              one record a seed, once the run is complete
    metrics.csv                what `offbench.training.logs` tells while the run goes, as a table
    tensorboard, wandb         folders of those logs, where they were asked for

A checkpoint is written under a new name first; then the manifest that stands becomes the one before, and the manifest
that names the new checkpoint, by name and digest, replaces it in a single rename; only then the checkpoint that neither
names is removed. Whenever a run dies, manifest and checkpoint belong together. Where either of them was damaged since,
the run goes on from the one before. Nothing in the folder is replaced or removed that the run cannot show to have
written; what is damaged is set aside.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.catalog.content import digest
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.record_files import read_record, write_record
from offbench.training.manifest import CHECKPOINT, Manifest, Progress, read_manifest
from offbench.training.plan import Plan

_LAST, _BEFORE = "manifest.json", "manifest.before.json"
# What is left of files where a run was killed in writing.
_DATA = r"\.data-\d+-\w+\.part"
_WRITTEN = rf"manifest(\.before)?\.json|{CHECKPOINT.pattern}|seed-\d+\.json|metrics\.csv|{_DATA}"
_LEFT = re.compile(rf"\.tmp\w{{6}}|\.({_WRITTEN})\.\w{{8}}\.part|{_DATA}")


class _Standing(NamedTuple):
    """The manifest that stands: its text, its digest and the checkpoint that it names."""

    text: str
    digest: str
    checkpoint: str | None

    @classmethod
    def of(cls, manifest: Manifest) -> _Standing:
        return cls(manifest.model_dump_json() + "\n", manifest.digest, manifest.checkpoint)


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._standing: _Standing | None = None  # what this run wrote or went on from

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / _LAST).exists() or (self.path / _BEFORE).exists()

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
        newest = self.manifest() if self.exists else None
        for entry in list(self.path.iterdir()):
            if _LEFT.fullmatch(entry.name) and entry.is_file() and not entry.is_symlink():
                entry.unlink(missing_ok=True)
        named = self._sound()
        if _LAST in named and named[_LAST].progress.complete:
            (self.path / _BEFORE).unlink(missing_ok=True)
            named.pop(_BEFORE, None)
        # Of a manifest that is damaged nobody knows which checkpoint it names.
        if newest is None or (_LAST in named and (_BEFORE in named or not os.path.lexists(self.path / _BEFORE))):
            self._remove_unnamed(newest.plan if newest else None, {manifest.checkpoint for manifest in named.values()})
        others = sorted(entry.name for entry in self.path.iterdir() if entry.name != ".lock")
        if others and newest is None:
            listed = ", ".join(map(repr, others[:4])) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
            raise OffbenchError(f"{self.path} holds no run but {listed}; name a new or empty folder with --output")

    def _remove_unnamed(self, plan: Plan | None, named: Set[str | None]) -> None:
        """Remove the checkpoints of this plan other than those that the manifests name."""
        for entry in list(self.path.iterdir()):
            if CHECKPOINT.fullmatch(entry.name) and entry.name not in named and _is_checkpoint_of(entry, plan):
                entry.unlink(missing_ok=True)

    def manifest(self) -> Manifest:
        """The manifest, or the one before where it was damaged.

        Raises:
            OffbenchError: there is none, or it is not one.
        """
        if not self.exists:
            raise OffbenchError(f"{self.path} holds no run: {_LAST} cannot be read ({os.strerror(errno.ENOENT)})")
        try:
            return read_manifest(self.path / _LAST)
        except OffbenchError:
            with suppress(OffbenchError):
                return read_manifest(self.path / _BEFORE)
            raise

    def _sound(self) -> dict[str, Manifest]:
        """Those of the two manifests that can be read, by name."""
        found = {}
        for name in (_LAST, _BEFORE):
            with suppress(OffbenchError):
                found[name] = read_manifest(self.path / name)
        return found

    def go_on(self) -> str | None:
        """Let the folder stand at its last checkpoint, or at the one before where that is damaged.

        Returns:
            What is damaged and where the run stands instead, in one sentence; None where all is whole.

        Raises:
            OffbenchError: neither can be gone on from. Nothing was changed.
        """
        faults: list[str] = []
        for name in (_LAST, _BEFORE):
            try:
                manifest = read_manifest(self.path / name)
                fault = None if manifest.progress.complete else self._fault(manifest)
            except OffbenchError as error:
                fault = str(error)
            if fault is None:
                self._standing = _Standing.of(manifest)
                return self._fall_back(manifest, faults[0]) if faults else None
            faults.append(fault)
        before = f", nor can it go on from the one before: {faults[1]}" if (self.path / _BEFORE).exists() else ""
        raise OffbenchError(
            f"{faults[0]}{before}; nothing was removed: train the run anew in another folder, named with --output"
        )

    def _fall_back(self, manifest: Manifest, fault: str) -> str:
        """Make the manifest before the last one again; what cannot be shown to be the run's is set aside."""
        last = self._sound().get(_LAST)
        damaged = self.path / (_LAST if last is None else str(last.checkpoint))
        aside = ""
        if os.path.lexists(damaged) and (last is None or not _is_checkpoint_of(damaged, manifest.plan)):
            taken = (f"damaged-{number}-{damaged.name}" for number in count(1))
            free = next(name for name in taken if not os.path.lexists(self.path / name))
            damaged.rename(self.path / free)
            aside = f", and {damaged.name} is kept as {free}"
        self._write_manifest(_LAST, _Standing.of(manifest))
        return f"{fault}; the run goes on from the checkpoint before it{aside}"

    def write(self, plan: Plan, progress: Progress, state: Mapping[str, torch.Tensor] | None = None) -> None:
        """Make ``progress`` and ``state``, if there is one, the run's last checkpoint, in one rename.

        The one before stays until the run is complete.

        Raises:
            UnwritableError: it cannot be written; what stood before still stands.
            OffbenchError: a file of its name is no checkpoint of this run.
        """
        name, checksum, standing = None, None, self._standing
        if state is not None:
            name = f"checkpoint-{progress.step:09d}.safetensors"
            if standing is not None and name == standing.checkpoint:
                name = f"checkpoint-{progress.step:09d}-1.safetensors"
            checksum = self._write_checkpoint(self.path / name, plan, state)
        manifest = Manifest(plan=plan, progress=progress, checkpoint=name, checkpoint_digest=checksum)
        manifest.digest = manifest.own_digest
        keep = None if progress.complete else standing
        if keep is not None and keep.digest != manifest.digest:
            self._write_manifest(_BEFORE, keep)
        made = _Standing.of(manifest)
        self._write_manifest(_LAST, made)
        self._standing = made
        if progress.complete:
            (self.path / _BEFORE).unlink(missing_ok=True)
        self._remove_unnamed(plan, {name, keep and keep.checkpoint})

    def _write_manifest(self, name: str, manifest: _Standing) -> None:
        with atomic(self.path / name) as temporary:
            temporary.write_text(manifest.text, encoding="utf-8")

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
        if os.path.lexists(path) and not _is_checkpoint_of(path, plan):
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
        fault = self._fault(manifest)
        if fault is not None:
            raise OffbenchError(f"{fault}; train the run anew")
        path = self.path / str(manifest.checkpoint)
        try:
            return dict(safetensors.torch.load_file(path))
        except (OSError, SafetensorError) as error:
            raise OffbenchError(f"the checkpoint {path} cannot be read ({error}); train the run anew") from error

    def _fault(self, manifest: Manifest) -> str | None:
        """What is wrong with the checkpoint that a manifest names; None where it names none, or nothing is."""
        if manifest.checkpoint is None:
            return None
        path = self.path / manifest.checkpoint
        try:
            if path.is_symlink():
                return f"the checkpoint {path} is a link; the file that the run wrote would be right"
            if digest(path) != manifest.checkpoint_digest:
                return f"the checkpoint {path} is not the one that the run wrote: it was damaged or belongs to another"
        except OSError as error:
            return f"the checkpoint {path} cannot be read ({error.strerror or error})"
        return None


_RUN = "offbench run"  # in a checkpoint's metadata: the digest of its plan's settings


def _is_checkpoint_of(path: Path, plan: Plan | None) -> bool:
    """Whether a file is a checkpoint that a run of this plan left when it was killed; of any, the first one."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            run = (file.metadata() or {}).get(_RUN)
        if plan is None:
            return run is not None and path.name == "checkpoint-000000000.safetensors"
        return bool(run == plan.settings_digest)
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
