"""One run of a sweep: a method on a dataset, several seeds at once, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from offbench.algorithms import registry
from offbench.algorithms.method import Method
from offbench.errors import OffbenchError
from offbench.training.folder import RunFolder
from offbench.training.manifest import Manifest
from offbench.training.options import Options

# What a run keeps of the options that it was asked for.
_KEPT = ("steps", "episodes", "task")
_KEPT_BY_OURS = (*_KEPT, "evaluate_every", "dtype")
# Options that a learner's fit does not know, which `offbench.training.run.train` refuses.
_OURS = ("evaluate_every", "checkpoint_every", "dtype", "compile", "group")


@dataclass(frozen=True)
class Job:
    """A run that is wanted.

    Attributes:
        method: what is trained.
        dataset: id, or path of a file.
        folder: of the run.
        options: those of `offbench.training.options.Options` that say what the run is.
        revision: that the dataset must have; any if None.
        data: file in which the dataset of that id lies, where no card has it.
        label: what the dataset is called in what is shown; its id if empty.
        tuning: what the records say of how the configuration is chosen, as JSON holds a
            `offbench.evaluation.tuning_record.TuningRecord`.
    """

    method: Method
    dataset: str
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    revision: int | None = None
    data: Path | None = None
    label: str = ""
    tuning: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """As it is shown."""
        return f"{self.method.name} on {self.label or self.dataset}"

    @property
    def seeds(self) -> list[int]:
        """The seeds, one by one."""
        return Options(**self.options).chosen_seeds

    @property
    def steps(self) -> int:
        """Gradient updates of each seed."""
        return Options(**self.options).steps

    @property
    def manifest(self) -> Manifest | None:
        """That of the run in the folder; None where none was begun.

        Raises:
            OffbenchError: what lies in the folder is another run.
        """
        files = RunFolder(self.folder)
        if not files.exists:
            return None
        found = files.manifest()
        differing = self._differing(found)
        if differing:
            raise OffbenchError(
                f"the run in {self.folder} is not {self.title}: {'; '.join(differing)}; name another folder with "
                "--output"
            )
        return found

    @property
    def is_done(self) -> bool:
        """Whether the run is complete; raises as `manifest` does."""
        found = self.manifest
        return found is not None and found.progress.complete

    def _differing(self, found: Manifest) -> list[str]:
        """In what a run is another than this one, each with both values."""
        plan = found.plan
        wanted: dict[str, Any] = {"algorithm": self.method.algorithm, "seeds": self.seeds}
        kept = _KEPT if found.checkpoint is None else _KEPT_BY_OURS
        wanted |= {name: self.options[name] for name in kept if self.options.get(name) is not None}
        has = {name: getattr(plan, name) for name in wanted}
        if self.data is not None or not Path(self.dataset).exists():
            wanted["dataset"], has["dataset"] = self.dataset, plan.dataset
        else:  # a file has any name; what is in it counts
            from offbench.catalog.loading import load

            wanted["dataset_digest"], has["dataset_digest"] = load(self.dataset).digest, plan.dataset_digest
        if self.revision is not None:
            wanted["revision"], has["revision"] = self.revision, plan.dataset_revision
        if self.tuning is not None:
            kept_tuning = {} if plan.tuning is None else plan.tuning.model_dump(mode="json")
            for name, value in self.tuning.items():
                wanted[f"tuning.{name}"], has[f"tuning.{name}"] = value, kept_tuning.get(name)
        for name, value in self.method.changes.items():
            wanted[name], has[name] = list(value) if isinstance(value, tuple) else value, plan.config.get(name)
        if str(wanted.get("task", "")).endswith(".toml"):  # a file of the user's, whose task has a name of its own
            del wanted["task"]
        return [
            f"{name} is {has[name]} there and {value} is wanted" for name, value in wanted.items() if has[name] != value
        ]

    def run(self, **options: Any) -> None:
        """Train, or go on where a run was stopped.

        Args:
            **options: of where and how: device, workers, quiet.

        Raises:
            OffbenchError: see `offbench.training.run.train`; or the dataset has another revision than the one wanted.
            Interrupted: see there.
        """
        # Imported here because it pulls in the simulators, which listing what is left does without.
        from offbench.catalog.loading import load
        from offbench.data.learned import whole
        from offbench.training.run import train

        data = load(self.data or self.dataset)
        revision = whole(data).provenance.revision
        if self.revision is not None and revision != self.revision:
            raise OffbenchError(
                f"{self.label or self.dataset} has revision {revision} here, and {self.revision} is wanted"
            )
        train(
            self.method.algorithm,
            data,
            output=self.folder,
            resume=True,
            tuning=self.tuning,
            **{**self._known, **options, **self.method.changes},
        )

    @property
    def _known(self) -> dict[str, Any]:
        """The options, without those that a learner's fit does not know."""
        ours = registry.is_algorithm(registry.find(self.method.algorithm))
        return {name: value for name, value in self.options.items() if ours or name not in _OURS}

    def to_json(self) -> dict[str, Any]:
        """As a table that JSON can hold."""
        return {
            "algorithm": self.method.algorithm,
            "changes": self.method.changes,
            "dataset": self.dataset,
            "folder": str(self.folder),
            "options": dict(self.options),
            "revision": self.revision,
            "data": None if self.data is None else str(self.data),
            "label": self.label,
            "tuning": None if self.tuning is None else dict(self.tuning),
        }

    @classmethod
    def of_json(cls, table: Mapping[str, Any]) -> Self:
        """The job of what `to_json` gave, in which JSON made lists of tuples."""
        changes = {name: tuple(v) if isinstance(v, list) else v for name, v in table["changes"].items()}
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in table["options"].items()}
        data = table["data"]
        return cls(
            Method(table["algorithm"], changes),
            table["dataset"],
            Path(table["folder"]),
            options,
            table["revision"],
            None if data is None else Path(data),
            table["label"],
            table.get("tuning"),
        )
