"""What methods share that fill in hidden actions or rewards by a model and leave learning to another algorithm.

Each seed has a model of its own, so that the spread over seeds is that of the whole method. The learner is written as
one word with hyperparameters of its own, ``td3_bc`` or ``td3_bc,alpha=1.0``, and is the very algorithm of that name:
where all labels are the true ones it makes the numbers that it makes without a model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from offbench.algorithms import registry
from offbench.algorithms.base import Acting, Algorithm, Metrics, Sizes, View, view_options
from offbench.algorithms.method import Method, method
from offbench.data.scaling import ActionRange
from offbench.data.sequences import SequenceBatch, Sequences
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.errors import DataError, OffbenchError
from offbench.labelling.relabelled import GIVEN as GIVEN

Fills = Literal["actions", "rewards"]
Completion = Callable[[Any], Any]  # sets those fields of a config that are None and follow from data and task


@dataclass(frozen=True)
class FilledConfig:
    """Hyperparameters of the learner of completed data."""

    learner: str = "td3_bc"
    """What learns from the completed data, with hyperparameters of its own: td3_bc or td3_bc,alpha=1.0."""
    batch_size: int | None = None
    """What a seed learns from in one update; that of the learner where it is not given."""

    scales_rewards: ClassVar[bool] = False  # the learner's own transform of rewards is left out


class FilledView:
    """The learner's view of data some of whose actions, or all of whose rewards, are yet to be filled in.

    Attributes:
        inner: the learner's own view, in which zeros stand for what is hidden.
        trajectories: what it is made of.
        given: (steps, 1) of each step of the trajectories 1 where its label is known, else 0; in the dtype of batches.
        scaling, transforms, observation_size, action_size, device, dtype: as those of the learner's view.
    """

    def __init__(self, inner: Transitions | Sequences, given: Bool[np.ndarray[Any, Any], " steps"]) -> None:
        self.inner, self.trajectories = inner, inner.trajectories
        self.scaling, self.transforms = inner.scaling, inner.transforms
        self.observation_size, self.action_size = inner.observation_size, inner.action_size
        self.device, self.dtype = inner.device, inner.dtype
        self.given = torch.from_numpy(np.array(given)).to(self.device, self.dtype).unsqueeze(-1)

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, indices: Int[Tensor, "seeds batch"]) -> Any:
        """What the learner's view gives, as yet with zeros."""
        return self.inner.batch(indices)

    def places(self, indices: Int[Tensor, "seeds batch"]) -> Int[Tensor, "seeds batch *context"]:
        """The steps of the trajectories that batches at ``indices`` hold."""
        return self.inner.places(indices)[0]


def learner_view(
    trajectories: Trajectories,
    learner: str,
    fills: Fills,
    action_range: ActionRange | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> FilledView:
    """The view of a learner on trajectories with zeros for what is hidden.

    Of actions, the extra ``action_given`` tells which are the true ones; of rewards, none is.

    Raises:
        DataError: the learner needs a column that is neither there nor filled in, or sees no single transitions.
    """
    found, config = configured(learner)
    columns = [name for name in found.requires if isinstance(name, str) and name != fills]
    missing = [name for name in columns if getattr(trajectories, name, None) is None]
    if missing:
        raise DataError(f"the learner {learner} needs {missing[0]}, which {trajectories.name} does not have")
    given = trajectories.extras[GIVEN] if fills == "actions" else np.zeros(trajectories.steps, dtype=bool)
    options = view_options(found.view, config)
    inner = found.view(trajectories, action_range=action_range, device=device, dtype=dtype, **options)
    if not isinstance(inner, Transitions if fills == "rewards" else Transitions | Sequences):
        raise DataError(f"the learner {learner} sees {type(inner).__name__}, whose {fills} cannot be filled in")
    if inner.trajectories is not trajectories:  # the best episodes alone
        raise DataError(
            f"the learner {learner} leaves episodes out by their returns; one that learns from all is right"
        )
    return FilledView(inner, given)


def configured(learner: str) -> tuple[type[Algorithm], Any]:
    """The class and the config of a learner that is written as one word.

    Raises:
        UnknownNameError: no such algorithm, or no such hyperparameter of it.
        OffbenchError: it is none that can be given completed data.
    """
    one = method(learner)
    found = registry.find(one.algorithm)
    if one.algorithm not in registry.OURS or not registry.is_algorithm(found):
        raise OffbenchError(
            f"the learner must be one of offbench's algorithms, not {one.algorithm}; any other learns from a "
            "relabelled dataset, which offbench label makes"
        )
    whole = all(isinstance(name, str) for name in found.requires)
    if not whole or found.prepare is not Algorithm.prepare:
        raise OffbenchError(
            f"{one.algorithm} itself fits a model or asks for hidden data, so that it cannot be the learner; "
            "it learns from a relabelled dataset, which offbench label makes"
        )
    return found, registry.configure(found, "", one.changes)


def with_learner(config: FilledConfig, dataset: str, complete: Completion) -> FilledConfig:
    """The config with all that the learner's numbers depend on written out.

    Args:
        config: whose learner may be but a name.
        dataset: whose preset of the learner counts.
        complete: see `Completion`.
    """
    one = method(config.learner)
    found, _ = configured(config.learner)
    preset = registry.preset(found, dataset)
    changes = {**(preset.values if preset else {}), **one.changes}
    names = {field.name for field in fields(found.Config)}
    if config.scales_rewards and "reward_transform" in names:  # they come scaled
        changes["reward_transform"] = "none"
    if config.batch_size is not None:
        changes["batch_size"] = config.batch_size
    made = complete(registry.configure(found, "", changes))
    plain = asdict(found.Config())
    changed = {name: value for name, value in asdict(made).items() if value != plain[name]}
    return replace(config, learner=Method(one.algorithm, changed).name, batch_size=made.batch_size)


class Composed(Algorithm):
    """Seeds of a learner, by whose policy they act; what it learns from is said by a subclass.

    Attributes:
        learner: the algorithm that learns; its networks are a part of this one's state.
    """

    composes: ClassVar[bool] = True
    metrics = ("critic_loss", "actor_loss")  # an instance has those of its learner
    config: FilledConfig

    def build_learner(self, sizes: Sizes) -> None:
        """The learner of vectors of these sizes."""
        found, config = configured(self.config.learner)
        self.learner = found(config, sizes, self.seeds, self.total, self.device, self.dtype, self.mixed_precision)
        self.learner.count = self.count  # one clock
        self.metrics = self.learner.metrics  # type: ignore[misc]  # those of an instance, which its learner has
        self.period = self.learner.period  # type: ignore[misc]
        self.latest = self.learner.latest

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """That of the learner."""
        return self.learner.noise()

    def update(self, batch: Any) -> Metrics:
        """An update of the learner."""
        self.learner.phase = self.phase
        return self.learner.update(batch)

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The learner's actions."""
        return self.learner.act(observations)

    def acting(self) -> Acting:
        """The learner's policies."""
        return self.learner.acting()

    def state(self) -> dict[str, Tensor]:
        """The model's tensors and the learner's."""
        shared = ("count", *(f"metrics/{name}" for name in self.latest))
        learner = {f"learner/{name}": value for name, value in self.learner.state().items() if name not in shared}
        return super().state() | learner


class Filled(Composed):
    """Seeds of a learner, each on data that a model of its own completes.

    A subclass adds the networks of its model in ``build_model``, fits them in ``prepare`` and gives ``labels``.
    """

    fills: ClassVar[Fills]

    @abstractmethod
    def build_model(self) -> None:
        """Describe and ``add`` the networks of the model."""

    @abstractmethod
    def labels(self, data: FilledView) -> Float[Tensor, "seeds steps size"]:
        """What the fitted model of each seed says of all steps of ``data.trajectories``, as batches have it.

        Size is that of an action, or 1 of a reward. What is said of steps whose label is given counts for nothing.
        """

    def build(self) -> None:
        """The model and the learner."""
        self.build_learner(self.sizes)
        self._labels: Tensor | None = None
        self.build_model()

    def before(self, update: int, data: View) -> None:
        """Label the data before the first update of a process: a state has the model, and not what it says."""
        if self._labels is None:
            assert isinstance(data, FilledView)
            with torch.no_grad():
                self._labels = self.labels(data)

    def batch(self, data: View, indices: Int[Tensor, "seeds batch"]) -> Any:
        """The learner's batch, the labels of each seed in it where none are given."""
        assert isinstance(data, FilledView)
        batch, places = data.batch(indices), data.places(indices)
        if self.fills == "rewards":
            return batch._replace(rewards=self._labels_at(data, places)[..., 0])
        filled = batch._replace(actions=self._completed(data, batch.actions, places))
        if isinstance(batch, SequenceBatch):
            return filled._replace(actions=filled.actions * batch.mask.unsqueeze(-1))
        if batch.next_actions is None:
            return filled
        following = self._completed(data, batch.next_actions, (places + 1).clamp(max=len(data.given) - 1))
        return filled._replace(next_actions=following * (1 - batch.terminations).unsqueeze(-1))

    def _completed(
        self, data: FilledView, actions: Float[Tensor, "seeds ... action"], places: Int[Tensor, "seeds ..."]
    ) -> Float[Tensor, "seeds ... action"]:
        """The actions of the steps ``places``, the labels where none are given."""
        return torch.where(data.given[places] > 0, actions, self._labels_at(data, places))

    def _labels_at(self, data: FilledView, places: Int[Tensor, "seeds ..."]) -> Float[Tensor, "seeds ... size"]:
        """What the model of each seed says of the steps ``places``."""
        own = torch.arange(len(self.seeds), device=self.device).view(-1, *[1] * (places.dim() - 1))
        return self._said(data)[own, places]

    def _said(self, data: FilledView) -> Float[Tensor, "seeds steps size"]:
        """The labels; on the device "meta", which has no numbers and where nothing is fitted, their shape."""
        if self._labels is None and self.device.type == "meta":
            size = self.sizes.action if self.fills == "actions" else 1
            return torch.zeros(len(self.seeds), len(data.given), size, device=self.device, dtype=self.dtype)
        assert self._labels is not None, "labels are made before the first update"
        return self._labels
