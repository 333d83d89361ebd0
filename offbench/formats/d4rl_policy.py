"""Reading the policy that D4RL stores with the data it collected.

Files of one policy (random, medium and expert of version 2) hold it in ``metadata``, as PyTorch has the weights::

    policy/fc0, fc1, ...                 hidden layers: weight (out, in), bias (out,)
    policy/last_fc, last_fc_log_std      heads for mean and logarithm of the standard deviation, before tanh
    policy/nonlinearity                  b"relu"
    policy/output_distribution           b"tanh_gaussian"
    algorithm, iteration                 b"SAC", 200
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError
from offbench.formats.hdf5_file import check_sizes, h5py, items, open_hdf5, values

Layer = tuple[Array, Array]

_HEADS = ("last_fc", "last_fc_log_std")
_KIND = {"nonlinearity": "relu", "output_distribution": "tanh_gaussian"}
# Far above any policy that was published; a network beyond them is no such file.
MOST_LAYERS = 16
MOST_UNITS = 16_384
_LONGEST_TEXT = 64  # bytes


@dataclass(frozen=True, eq=False)
class StoredPolicy:
    """The weights of a policy whose hidden layers are ReLU and whose actions are a Gaussian squashed by tanh.

    Attributes:
        hidden: layers, the first one first, each weights (in, out) and biases (out,), float32.
        mean: head for the mean, likewise.
        log_std: head for the logarithm of the standard deviation, likewise.
        origin: what the file says of its making, ``SAC, iteration 200``; empty where it says nothing.
    """

    hidden: tuple[Layer, ...]
    mean: Layer
    log_std: Layer
    origin: str = ""

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        return len([*self.hidden, self.mean][0][0])

    @property
    def action_size(self) -> int:
        """Length of one action."""
        return len(self.mean[1])

    def metadata(self) -> dict[str, Array | str]:
        """The policy as such files hold it, by path below ``metadata``."""
        names = [*(f"fc{number}" for number in range(len(self.hidden))), *_HEADS]
        layers = zip(names, (*self.hidden, self.mean, self.log_std), strict=True)
        found: dict[str, Array | str] = {f"policy/{name}": text for name, text in _KIND.items()}
        for name, (weight, bias) in layers:
            found |= {f"policy/{name}/weight": weight.T, f"policy/{name}/bias": bias}
        return found


def read_policy(path: Path | str) -> StoredPolicy:
    """The policy in a D4RL HDF5 file.

    Raises:
        DataError: the file is missing or damaged, holds no policy, one of another kind, or weights that are missing,
            do not fit one another or are not finite.
    """
    path = Path(path)
    with open_hdf5(path, "a D4RL HDF5 file") as file:
        metadata = _members(path, file, "metadata")
        if "policy" not in metadata:
            raise DataError(f"{path} holds no policy (metadata/policy); D4RL's random, medium and expert v2 files do")
        members = _members(path, file["metadata"], "policy", "metadata/")
        _check_kind(path, members)
        layers = _read_layers(path, members)
        origin = _origin(path, metadata)
    _check_chain(path, layers)
    mean, log_std = (layers.pop(head) for head in _HEADS)
    return StoredPolicy(tuple(layers.values()), mean, log_std, origin)


def _members(path: Path, parent: Any, name: str, prefix: str = "") -> dict[str, Any]:
    """Members of a group in a group, none if there is no such group."""
    found = dict(items(path, parent, prefix)) if isinstance(parent, h5py.Group) else {}
    group = found.get(name)
    return dict(items(path, group, f"{prefix}{name}/")) if isinstance(group, h5py.Group) else {}


def _check_kind(path: Path, members: Mapping[str, Any]) -> None:
    found = {name: _text(path, f"metadata/policy/{name}", members.get(name)) for name in _KIND}
    if found != _KIND:
        said = " and ".join(f"{name} {text!r}" for name, text in found.items())
        wanted = " and ".join(repr(text) for text in _KIND.values())
        raise DataError(f"the policy in {path} has {said}; only those of {wanted} can be used")


def _read_layers(path: Path, members: Mapping[str, Any]) -> dict[str, Layer]:
    """Layers by name in the order in which they act, heads last; raises if anything else is among the members."""
    hidden = [f"fc{number}" for number in range(MOST_LAYERS)]
    names = [name for name in hidden if name in members]
    unknown = sorted(set(members) - set(names) - set(_HEADS) - set(_KIND))
    if unknown or names != hidden[: len(names)] or not set(_HEADS) <= set(members):
        raise DataError(
            f"the policy in {path} has the members {sorted(members)[:20]}; fc0, fc1, ... without a gap (at most "
            f"{MOST_LAYERS}), {', '.join(_HEADS)} and {', '.join(_KIND)} would be right"
        )
    datasets: dict[str, Any] = {}
    for name in (*names, *_HEADS):
        layer = members[name]
        parts = dict(items(path, layer, f"metadata/policy/{name}/")) if isinstance(layer, h5py.Group) else {}
        if set(parts) != {"weight", "bias"}:
            raise DataError(
                f"metadata/policy/{name} of {path} has the members {sorted(parts)}; weight and bias are right"
            )
        datasets |= {f"metadata/policy/{name}/{part}": parts[part] for part in ("weight", "bias")}
    check_sizes(path, datasets)
    for name, dataset in datasets.items():
        if max(dataset.shape) > MOST_UNITS or dataset.dtype.kind != "f":
            raise DataError(
                f"{name} of {path} has shape {dataset.shape} and dtype {dataset.dtype}; floating-point numbers for at "
                f"most {MOST_UNITS:,} units a layer would be right"
            )
    with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
        arrays = iter([values(dataset).astype(np.float32) for dataset in datasets.values()])
    return {name: (weight.T, bias) for name, weight, bias in zip((*names, *_HEADS), arrays, arrays, strict=True)}


def _check_chain(path: Path, layers: Mapping[str, Layer]) -> None:
    """Raise unless each layer takes what the one before gives, heads what the last hidden one gives."""
    width: int | None = None
    for name, (weight, bias) in layers.items():
        where = f"metadata/policy/{name} of {path}"
        if weight.ndim != 2 or 0 in weight.shape or bias.shape != weight.shape[1:]:
            raise DataError(
                f"{where} has weight {weight.T.shape} and bias {bias.shape}; (out, in) and (out,) would be right"
            )
        if width is not None and len(weight) != width:
            raise DataError(f"{where} takes {len(weight)} numbers and is given {width}")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise DataError(f"{where} holds numbers that are not finite")
        width = len(weight) if name in _HEADS else weight.shape[1]
    mean, log_std = (layers[head][0].shape for head in _HEADS)
    if mean != log_std:
        raise DataError(f"the policy in {path} gives {mean[1]} means and {log_std[1]} standard deviations of actions")


def _origin(path: Path, metadata: Mapping[str, Any]) -> str:
    algorithm = _text(path, "metadata/algorithm", metadata.get("algorithm")) or ""
    iteration = metadata.get("iteration")
    if iteration is not None and _is_scalar(iteration) and iteration.dtype.kind in "iu":
        return f"{algorithm}, iteration {int(iteration[()])}".removeprefix(", ")
    return algorithm


def _text(path: Path, name: str, dataset: Any) -> str | None:
    """A text of fixed length, None if there is none."""
    if not isinstance(dataset, h5py.Dataset):
        return None
    kind = h5py.check_string_dtype(dataset.dtype)
    # Texts of variable length are kept in a heap on which HDF5 2.0 searches for ever where it is damaged.
    if not _is_scalar(dataset) or kind is None or kind.length is None or kind.length > _LONGEST_TEXT:
        raise DataError(f"{name} of {path} is no text of a fixed length of up to {_LONGEST_TEXT} bytes")
    text: str = dataset.asstr(errors="replace")[()]
    return text


def _is_scalar(item: Any) -> bool:
    """Whether it is a single value that the file itself holds."""
    return isinstance(item, h5py.Dataset) and item.shape == () and not item.is_virtual and not item.external
