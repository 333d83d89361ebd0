"""The check of devices: an update is work on the device alone, so that a GPU can record it once and replay it.

It is watched operation by operation, without a GPU: on the CPU, where numbers that are read, generators and shapes that
depend on numbers show themselves, and on torch's device ``meta``, whose tensors have a shape and no numbers, where all
shows itself that lies on the CPU whatever the algorithm's device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from offbench.algorithms.base import Algorithm
from offbench.basis.blame import place
from offbench.conformance.check import BrokenError, NotCheckedError
from offbench.conformance.subject import Subject
from offbench.conformance.toys import OBSERVATION
from offbench.training.group import Group

# Methods that give numbers to Python without an operation that the other watcher could see.
READ = {"item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__int__", "__float__", "__index__"}
MADE = {"tensor", "as_tensor"}  # of Python's numbers, which are copied to a GPU each time
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}


class NotOnDeviceError(Exception):
    """What an operation does that a GPU cannot record, as a sentence that begins with whoever does it."""


class _Reads(TorchFunctionMode):
    """Refuses what gives numbers to Python, and what makes tensors of Python's numbers."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in READ and isinstance(next(iter(args), None), Tensor):
            raise NotOnDeviceError(_read(name))
        if name in MADE and not isinstance(next(iter(args), None), Tensor):
            raise NotOnDeviceError(_elsewhere(name))
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations that read a number, draw one, or whose result has a shape that depends on numbers."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, tags = func.__name__.partition(".")[0], func.tags
        if torch.Tag.nondeterministic_seeded in tags and _drops(func, args, kwargs or {}):
            raise NotOnDeviceError(
                f"draws from a generator ({name}), which a recorded update would not do again; ask for random numbers "
                "in noise() and take them from batch.noise"
            )
        if name in INDEXED:
            masks = [one for one in args[1] if one is not None and one.dtype in (torch.bool, torch.uint8)]
            if masks:
                raise NotOnDeviceError(_shape("a tensor is indexed by a mask"))
        elif torch.Tag.dynamic_output_shape in tags:
            raise NotOnDeviceError(_shape(name))
        if torch.Tag.data_dependent_output in tags:
            raise NotOnDeviceError(_read(name.removeprefix("_local_scalar_dense") or "item"))
        return func(*args, **(kwargs or {}))


class _ReadError(Exception):
    """Numbers are read where there are none; between updates, and in acting, that may be."""


class _Places(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations on tensors of the CPU, as their argument or as what they make.

    Raises:
        _ReadError: numbers are read.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if torch.Tag.data_dependent_output in func.tags:
            raise _ReadError(func.__name__)
        here = any(isinstance(one, Tensor) and one.device.type == "cpu" for one in tree_leaves((args, given)))
        named = given.get("device")
        if here or (named is not None and torch.device(named).type == "cpu"):
            raise NotOnDeviceError(_elsewhere(func.__name__.partition(".")[0]))
        made = func(*args, **given)
        if any(isinstance(one, Tensor) and one.device.type == "cpu" for one in tree_leaves(made)):
            raise NotOnDeviceError(_elsewhere(func.__name__.partition(".")[0]))
        return made


def _drops(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """False of attention that drops nothing, which draws no number though it could."""
    names = [argument.name for argument in func._schema.arguments]
    if "dropout_p" not in names:
        return True
    place = names.index("dropout_p")
    dropped = args[place] if place < len(args) else kwargs.get("dropout_p", 0.0)
    return bool(dropped > 0)


def _read(name: str) -> str:
    return (
        f"reads numbers on the host ({name}), for which a GPU stops and which a recorded update would not do again; it "
        "must compute with tensors alone (torch.where for an if)"
    )


def _shape(name: str) -> str:
    return (
        f"makes a tensor whose shape depends on numbers ({name}), for which a GPU stops; weigh by the mask, or use "
        "torch.where"
    )


def _elsewhere(name: str) -> str:
    return (
        f"uses a tensor of the CPU where the algorithm may be on another device ({name}); make it on the device "
        "(device=self.device, torch.zeros_like, torch.full_like), in build() if it is made of Python's numbers"
    )


def device(subject: Subject) -> None:
    """An update is work on the device alone, and acting is done where the algorithm is."""
    own = subject.group([0, 1])
    # On meta nothing can be fitted: what ``prepare`` fits stays as ``build`` made it.
    elsewhere = subject.group([0, 1], device="meta")
    reads, operations, places = _Reads(), _Operations(), _Places()  # type: ignore[no-untyped-call]
    for update in range(own.algorithm.period):
        own.algorithm.before(update, own.data)
        with _watched("update", own.algorithm, (reads, operations)):
            _step(own, update)
        with _watched("update", elsewhere.algorithm, (places,)):
            _step(elsewhere, update)
    with _watched("the policy", elsewhere.algorithm, (places,)), suppress(_ReadError):
        _act(elsewhere.algorithm)


def _step(g: Group, update: int) -> None:
    """One update, gather and noise included, as a GPU records it."""
    a = g.algorithm
    a.phase = update % a.period
    indices = torch.zeros(len(a.seeds), a.config.batch_size, dtype=torch.int64, device=a.device)
    a.step(g.data, indices)


def _act(a: Algorithm) -> None:
    """Two steps of two new episodes."""
    shape = len(a.seeds), 2
    acting = a.acting()
    with torch.no_grad():
        acting.reset(torch.ones(shape, dtype=torch.bool, device=a.device))
        for _ in range(2):
            acting.act(torch.zeros(*shape, OBSERVATION, dtype=a.dtype, device=a.device))
            acting.observe(torch.zeros(shape, dtype=a.dtype, device=a.device))


@contextmanager
def _watched(who: str, algorithm: Algorithm, watchers: Sequence[Any]) -> Iterator[None]:
    """Let ``watchers`` see what the block does, and say in one sentence what they refuse.

    Raises:
        BrokenError: they refuse something.
        NotCheckedError: an operation has no version without numbers, or what updates rest on is fitted by ``prepare``.
    """
    try:
        with ExitStack() as stack:
            for watcher in watchers:
                stack.enter_context(watcher)
            yield
    except NotOnDeviceError as error:
        where = place(error)
        raise BrokenError(f"{who} {error}{f' ({where})' if where else ''}") from error
    except Exception as error:
        if algorithm.device.type != "meta":
            raise
        if isinstance(error, NotImplementedError):
            raise NotCheckedError(f"on a device without numbers: {str(error).splitlines()[0]}") from error
        if type(algorithm).prepare is not Algorithm.prepare:
            raise NotCheckedError("its updates rest on what prepare fits, which takes numbers") from error
        raise
