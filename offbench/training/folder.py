"""The folder of a run: its plan, its progress and the last checkpoint, all of which a crash leaves intact.

    manifest.json              plan and progress; names the checkpoint that belongs to it
    checkpoint-<step>.safetensors
    seed-<s>.json              one record a seed, once the run is complete

A checkpoint is written under a new name first; then the manifest that names it replaces the old one in a single
rename, and only then the old checkpoint is removed. Whenever a run dies, manifest and checkpoint belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from offbench.basis.files import atomic
from offbench.basis.locks import locked
from offbench.errors import OffbenchError
from offbench.evaluation.record import EvaluationRecord, LossRecord
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
    """Plan, progress and the checkpoint that belongs to them; a learner's fit leaves none."""

    schema_version: Literal[1] = 1
    plan: Plan
    progress: Progress
    checkpoint: str | None = None


class RunFolder:
    """Reads and writes one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "manifest.json").exists()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process from training in this folder while the block runs; half-written files are removed.

        Raises:
            OffbenchError: another process trains here, or the folder cannot be written to.
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
            for left in self.path.glob(".*.part"):
                left.unlink(missing_ok=True)
            yield

    def manifest(self) -> Manifest:
        """The manifest.

        Raises:
            OffbenchError: there is none, or it is not one.
        """
        path = self.path / "manifest.json"
        try:
            return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise OffbenchError(f"{self.path} holds no run: {path.name} cannot be read ({error.strerror})") from error
        except (ValidationError, ValueError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            field = ".".join(str(part) for part in first["loc"])
            raise OffbenchError(f"{path} is not a run's manifest: {field} {first['msg']}") from error

    def write(self, plan: Plan, progress: Progress, state: Mapping[str, torch.Tensor] | None = None) -> None:
        """Make ``progress`` and ``state``, if there is one, the run's checkpoint, in one rename."""
        name = None if state is None else f"checkpoint-{progress.step:09d}.safetensors"
        if state is not None:
            with atomic(self.path / str(name)) as temporary:
                safetensors.torch.save_file(
                    {key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary
                )
        manifest = Manifest(plan=plan, progress=progress, checkpoint=name)
        with atomic(self.path / "manifest.json") as temporary:
            temporary.write_text(manifest.model_dump_json() + "\n", encoding="utf-8")
        for old in self.path.glob("checkpoint-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    def state(self, manifest: Manifest) -> dict[str, torch.Tensor]:
        """The checkpoint's tensors.

        Raises:
            OffbenchError: the file is missing or damaged.
        """
        path = self.path / (manifest.checkpoint or "no checkpoint")
        try:
            return dict(safetensors.torch.load_file(path))
        except (OSError, SafetensorError) as error:
            raise OffbenchError(f"the checkpoint {path} cannot be read ({error}); train the run anew") from error
