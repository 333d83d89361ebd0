"""Policies as ONNX files: one step of acting as a graph, which any runtime can execute and which holds no code.

Inputs and outputs are in the environment's units; the graph scales states and actions itself.

    observations (environments, observation) float32  ->  actions (environments, action) float32

A policy with a memory also takes, and the caller keeps, what it remembers:

    rewards (environments,) float32         of the last actions; not heard where an episode begins
    begins (environments,) bool             whether the episode begins with these observations
    memory.<name> (environments, ...)   ->  next_memory.<name>; zeros before the first step
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offbench.algorithms.base import Algorithm
from offbench.basis.files import atomic
from offbench.data.scaling import Scaling
from offbench.errors import OffbenchError

OPSET = 20  # of ONNX: the first with GELU as an operator


class PolicyStep(torch.nn.Module):
    """One step of the policy of an algorithm of one seed, as a function of observations and memory alone.

    Attributes:
        memory: names of what the policy remembers, in the order in which ``forward`` takes it.
    """

    def __init__(self, algorithm: Algorithm, scaling: Scaling) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.memory = tuple(self.first_memory(1))
        self.mean, self.std, self.low, self.high = (
            torch.as_tensor(part).to(algorithm.device, algorithm.dtype)
            for part in (scaling.mean, scaling.std, scaling.low, scaling.high)
        )

    def first_memory(self, environments: int) -> dict[str, Tensor]:
        """Zeros in the shapes of what the policy remembers, (environments, ...) each; empty without a memory."""
        acting = self.algorithm.acting()
        acting.reset(torch.ones(1, environments, dtype=torch.bool))
        return {name: torch.zeros_like(value[0]) for name, value in acting.memory.items()}

    def example(self, environments: int) -> tuple[Tensor, ...]:
        """Inputs of ``forward``, in the order of its ``names``."""
        observations = torch.zeros(environments, self.algorithm.sizes.observation)
        if not self.memory:
            return (observations,)
        begins = torch.ones(environments, dtype=torch.bool)
        return observations, torch.zeros(environments), begins, *self.first_memory(environments).values()

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Of the inputs and of the outputs."""
        inputs = ["rewards", "begins", *(f"memory.{name}" for name in self.memory)] if self.memory else []
        return ["observations", *inputs], ["actions", *(f"next_memory.{name}" for name in self.memory)]

    def forward(self, observations: Tensor, *remembered: Tensor) -> tuple[Tensor, ...]:
        """Actions, and what to hand in at the next step instead of memory."""
        acting = self.algorithm.acting()
        if self.memory:
            rewards, begins, *memory = remembered
            acting.memory = {name: value.unsqueeze(0) for name, value in zip(self.memory, memory, strict=True)}
            acting.observe(rewards.unsqueeze(0).to(self.algorithm.dtype))
            acting.reset(begins.unsqueeze(0))
        scaled = (observations.to(self.algorithm.dtype) - self.mean) / self.std
        actions = self.low + (acting.act(scaled.unsqueeze(0))[0] + 1) * (self.high - self.low) / 2
        return actions.float(), *(acting.memory[name][0] for name in self.memory)


def to_onnx(algorithm: Algorithm, scaling: Scaling) -> bytes:
    """The policy of an algorithm of one seed, as the bytes of an ONNX file.

    Raises:
        OffbenchError: several seeds, ``act`` cannot be traced as a graph, or the libraries for ONNX are missing.
    """
    if len(algorithm.seeds) != 1:
        raise OffbenchError(f"an ONNX file holds the policy of one seed, not of {len(algorithm.seeds)}")
    need_libraries()
    step = PolicyStep(algorithm, scaling)
    example = step.example(2)
    batch = {0: torch.export.Dim("environments")}
    inputs, outputs = step.names
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                step,
                example,
                dynamo=True,
                dynamic_shapes=(batch, (batch,) * (len(example) - 1)) if step.memory else (batch,),
                input_names=inputs,
                output_names=outputs,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        cause = str(error.__cause__ or error).strip().splitlines()
        raise OffbenchError(f"act cannot be written as an ONNX graph: {cause[0] if cause else error!r}") from error
    assert program is not None
    for node in program.model.graph.all_nodes():  # where lines of the source stand, and folders of this machine
        node.metadata_props.clear()
        node.doc_string = None
    content: bytes = program.model_proto.SerializeToString()
    return content


class OnnxPolicy:
    """A policy from an ONNX file; see the module for its inputs and outputs."""

    def __init__(self, content: bytes) -> None:
        """Read the bytes of a file.

        Raises:
            OffbenchError: they are no ONNX model, or one with other inputs and outputs.
        """
        need_libraries()
        runtime: Any = import_module("onnxruntime")  # which exports its names in a way that type checkers miss
        try:
            self._session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's errors have no common base but this
            raise OffbenchError(f"this is no ONNX model that can be run: {error}") from error
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]
        names = [name.removeprefix("memory.") for name in self._inputs if name.startswith("memory.")]
        wanted = {"observations"} | ({"rewards", "begins"} | {f"memory.{name}" for name in names} if names else set())
        outputs = {"actions"} | {f"next_memory.{name}" for name in names}
        if set(self._inputs) != wanted or set(self._outputs) != outputs:
            raise OffbenchError(
                f"the ONNX model maps {sorted(self._inputs)} to {sorted(self._outputs)}; a policy maps "
                f"{sorted(wanted)} to {sorted(outputs)}"
            )
        self._memory: dict[str, np.ndarray[Any, Any]] = {}
        self._rewards, self._begins = np.zeros(0, np.float32), np.zeros(0, bool)
        self._names = names

    def reset(self, mask: np.ndarray[Any, Any]) -> None:
        """Begin new episodes where mask (environments,) is true."""
        if not self._names:
            return
        if not self._memory or len(self._begins) != len(mask):
            self._memory = {name: self._zeros(f"memory.{name}", len(mask)) for name in self._names}
            self._rewards, self._begins = np.zeros(len(mask), np.float32), np.ones(len(mask), bool)
        self._begins = self._begins | mask

    def act(self, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Actions (environments, action) for observations (environments, observation)."""
        given: dict[str, Any] = {"observations": np.asarray(observations, np.float32)}
        if self._names:
            if not self._memory:
                raise OffbenchError("a policy with a memory was asked to act before its reset; call reset(mask) first")
            given |= {"rewards": self._rewards, "begins": self._begins}
            given |= {f"memory.{name}": value for name, value in self._memory.items()}
        found = dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))
        if self._names:
            self._memory = {name: found[f"next_memory.{name}"] for name in self._names}
            self._rewards, self._begins = np.zeros_like(self._rewards), np.zeros_like(self._begins)
        actions: np.ndarray[Any, Any] = found["actions"]
        return actions

    def observe(self, rewards: np.ndarray[Any, Any]) -> None:
        """Hear the rewards (environments,) of the last actions."""
        if self._names:
            self._rewards = np.asarray(rewards, np.float32)

    def _zeros(self, name: str, environments: int) -> np.ndarray[Any, Any]:
        types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
        value = self._inputs[name]
        return np.zeros((environments, *value.shape[1:]), types[value.type])


def write_onnx(algorithm: Algorithm, scaling: Scaling, path: Path) -> None:
    """Write the policy of an algorithm of one seed to an ONNX file, after a runtime has acted as the algorithm does.

    Raises:
        OffbenchError: see `to_onnx`; the graph acts otherwise; or the file exists.
    """
    if path.exists():
        raise OffbenchError(f"{path} exists; name another file, or remove it")
    content = to_onnx(algorithm, scaling)
    far = largest_difference(content, algorithm, scaling)
    if far > TOLERANCE:
        raise OffbenchError(f"the ONNX graph's actions differ from the policy's by {far:.2g}; it was not written")
    with atomic(path) as temporary:
        temporary.write_bytes(content)


TOLERANCE = 1e-4  # of float32 actions, as a share of their range; another library sums in another order


def largest_difference(content: bytes, algorithm: Algorithm, scaling: Scaling, steps: int = 8) -> float:
    """Largest difference between the actions of an ONNX file and those of the algorithm, as a share of their range.

    Both act for three environments through ``steps`` steps of random observations and rewards, in which the second
    begins a new episode half-way.
    """
    ours, theirs = algorithm.acting(), OnnxPolicy(content)
    generator = np.random.default_rng(0)
    far, mask = 0.0, np.ones(3, bool)
    for step in range(steps):
        if step in (0, steps // 2):
            ours.reset(torch.from_numpy(mask)[None])
            theirs.reset(mask)
            mask = np.array([False, True, False])
        observations = (scaling.mean + scaling.std * generator.normal(size=(3, len(scaling.mean)))).astype(np.float32)
        rewards = generator.normal(size=3).astype(np.float32)
        with torch.no_grad():
            scaled = torch.from_numpy(np.asarray(scaling.states(observations)))[None].to(algorithm.dtype)
            acted = scaling.to_environment(ours.act(scaled)[0].numpy())
        far = max(far, float((np.abs(acted - theirs.act(observations)) / (scaling.high - scaling.low)).max()))
        ours.observe(torch.from_numpy(rewards)[None].to(algorithm.dtype))
        theirs.observe(rewards)
    return far


def need_libraries() -> None:
    """Complain of missing libraries.

    Raises:
        OffbenchError: onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        for library in ("onnx", "onnxruntime", "onnxscript"):
            import_module(library)
    except ImportError as error:
        raise OffbenchError(f"ONNX files need {error.name}: pip install 'offbench[onnx]'") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on libraries that are not used and on its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
