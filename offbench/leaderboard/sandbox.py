"""Policies of strangers, acting in a process of their own that may compute and nothing else.

The simulator stays here; observations go there and actions come back, as arrays whose size is known before. What the
process may take is limited, and where it goes over a limit, or gives what are no actions, the policy is refused.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from offbench.basis.plain import plain
from offbench.basis.shapes import Array
from offbench.errors import OffbenchError
from offbench.leaderboard import sandbox_child as child
from offbench.leaderboard.profile import Signature
from offbench.training.export import need_libraries

_START_SECONDS = 120.0  # for loading libraries, on a machine that does much else


@dataclass(frozen=True)
class Limits:
    """What the process may take.

    Attributes:
        memory: bytes beyond what the libraries take.
        processor_seconds: of all its acting.
        seconds: until each answer.
    """

    memory: int = 2**30
    processor_seconds: int = 3600
    seconds: float = 60.0


def need_machine() -> None:
    """Complain of a machine on which no policy can be played, whosever it is.

    Raises:
        OffbenchError: this is Windows, or the libraries for ONNX are missing.
    """
    if sys.platform == "win32":
        raise OffbenchError("policies of others are played on Linux and macOS; Windows has none of the sandbox's means")
    need_libraries()


class Sandbox:
    """A process in which ONNX policies act.

    Attributes:
        protections: what is in force, as it says once it has locked itself in.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """Start the process and lock it in.

        Raises:
            OffbenchError: this is Windows, the libraries for ONNX are missing, or the process did not start.
        """
        need_machine()
        self.limits = limits or Limits()
        self._models = 0
        self._process = subprocess.Popen(
            [sys.executable, "-I", child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"OMP_NUM_THREADS": "1"} | {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
            cwd=Path(child.__file__).parent,
            bufsize=0,
        )
        try:
            # The libraries open files when they first act; afterwards there are none.
            self._ask(child.MODEL, _harmless(), 0, "the sandbox", _START_SECONDS)
            self._models = 1
            self.run(0, {"x": np.zeros((1, 1), np.float32)}, {"y": (np.dtype(np.float32), (1, 1))}, "the sandbox")
            given = {"memory": self.limits.memory, "processor_seconds": self.limits.processor_seconds}
            told = self._ask(child.LIMITS, json.dumps(given).encode(), None, "the sandbox", _START_SECONDS)
            self.protections: tuple[str, ...] = tuple(map(str, json.loads(told)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def load(self, content: bytes, what: str) -> int:
        """Hand a model over, whose profile was checked; the number by which `run` knows it.

        Raises:
            OffbenchError: the runtime does not take it, or not within the limits.
        """
        self._ask(child.MODEL, content, 0, what, self.limits.seconds)
        self._models += 1
        return self._models - 1

    def run(
        self,
        model: int,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]],
        what: str,
    ) -> dict[str, Array]:
        """Outputs of one step of a model, of the types and shapes that were asked for.

        Raises:
            OffbenchError: the process failed, went over a limit or gave something else.
        """
        header = {
            "model": model,
            "inputs": [[name, value.dtype.str, list(value.shape)] for name, value in inputs.items()],
            "outputs": [[name, kind.str, list(shape)] for name, (kind, shape) in outputs.items()],
        }
        head = json.dumps(header).encode()
        arrays = [np.ascontiguousarray(value).tobytes() for value in inputs.values()]
        sizes = [kind.itemsize * int(np.prod(shape)) for kind, shape in outputs.values()]
        content = b"".join([struct.pack("<I", len(head)), head, *arrays])
        answer = self._ask(child.RUN, content, sum(sizes), what, self.limits.seconds)
        found, place = {}, 0
        for (name, (kind, shape)), size in zip(outputs.items(), sizes, strict=True):
            found[name] = np.frombuffer(answer[place : place + size], kind).reshape(shape).copy()
            place += size
        return found

    def _ask(self, kind: bytes, content: bytes, size: int | None, what: str, seconds: float) -> bytes:
        """Send a frame and wait for the answer, of ``size`` bytes where that is known."""
        ends = time.monotonic() + seconds
        try:
            self._send(child.HEAD.pack(kind, len(content)) + content, ends)
            status, length = child.HEAD.unpack(self._receive(child.HEAD.size, ends))
            most = child.LONGEST_MESSAGE if status == child.FAILED else 10_000 if size is None else size
            if (
                status not in (child.DONE, child.FAILED)
                or length > most
                or (status == child.DONE and size not in (None, length))
            ):
                raise OffbenchError(f"{what} made its process answer what is no array of actions")
            answer = self._receive(length, ends)
        except TimeoutError as error:
            raise OffbenchError(f"{what} took more than {seconds:g} seconds for one step") from error
        except (BrokenPipeError, EOFError) as error:
            raise OffbenchError(f"{what} {self._end()}") from error
        if status == child.FAILED:
            raise OffbenchError(f"{what} {_failure(answer.decode(errors='replace'), self.limits)}")
        return answer

    def _send(self, content: bytes, ends: float) -> None:
        assert self._process.stdin is not None
        view, place = memoryview(content), self._process.stdin.fileno()
        while view:
            _, ready, _ = select.select([], [place], [], max(0.0, ends - time.monotonic()))
            if not ready:
                raise TimeoutError
            view = view[os.write(place, view[: select.PIPE_BUF]) :]

    def _receive(self, count: int, ends: float) -> bytes:
        assert self._process.stdout is not None
        place, parts = self._process.stdout.fileno(), []
        while count:
            ready, _, _ = select.select([place], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(place, min(count, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _end(self) -> str:
        """How the process ended, for a sentence."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its pipes"
        if -code in (getattr(signal, "SIGXCPU", None), signal.SIGKILL if sys.platform != "win32" else None):
            return f"took more than the {self.limits.processor_seconds:,} s of processor time or the memory that it has"
        return f"ended its process (status {code})"


def _failure(message: str, limits: Limits) -> str:
    """What an error of the runtime means, for a sentence."""
    said = plain(" ".join(message.split()))[:300]
    if any(
        sign in message
        for sign in ("bad_alloc", "MemoryError", "Failed to allocate", "allocate memory", "bad allocation")
    ):
        return f"needs more memory than the {limits.memory // 2**20:,} MiB that it has: {said}"
    return f"failed: {said}"


class SandboxedPolicy:
    """A policy in a sandbox, as whoever steps environments knows them; its memory is kept here."""

    def __init__(self, sandbox: Sandbox, content: bytes, signature: Signature, action: int, what: str) -> None:
        """Take the bytes of an ONNX file whose profile gave ``signature``; see `Sandbox.load` for what is raised."""
        self._sandbox, self._signature, self._action, self._what = sandbox, signature, action, what
        self._model = sandbox.load(content, what)
        self._memory: dict[str, Array] = {}
        self._rewards, self._begins = np.zeros(0, np.float32), np.zeros(0, bool)

    def reset(self, mask: Array) -> None:
        """Begin new episodes where mask (environments,) is true."""
        if len(self._begins) != len(mask):
            self._memory = {
                name: np.zeros((len(mask), *shape), kind) for name, (kind, shape) in self._signature.memory.items()
            }
            self._rewards, self._begins = np.zeros(len(mask), np.float32), np.ones(len(mask), bool)
        self._begins = self._begins | mask

    def act(self, observations: Array) -> Array:
        """Actions (environments, action) for observations (environments, observation).

        Raises:
            OffbenchError: see `Sandbox.run`, or they are not finite.
        """
        given = {"observations": np.asarray(observations, np.float32)}
        wanted = {"actions": (np.dtype(np.float32), (len(observations), self._action))}
        if self._memory:
            given |= {"rewards": self._rewards, "begins": self._begins}
            given |= {f"memory.{name}": value for name, value in self._memory.items()}
            wanted |= {f"next_memory.{name}": (value.dtype, value.shape) for name, value in self._memory.items()}
        found = self._sandbox.run(self._model, given, wanted, self._what)
        if self._memory:
            self._memory = {name: found[f"next_memory.{name}"] for name in self._memory}
            self._rewards, self._begins = np.zeros_like(self._rewards), np.zeros_like(self._begins)
        actions = found["actions"]
        if not np.isfinite(actions).all():
            raise OffbenchError(f"{self._what} gave actions that are not finite")
        return actions

    def observe(self, rewards: Array) -> None:
        """Hear the rewards (environments,) of the last actions."""
        if self._memory:
            self._rewards = np.asarray(rewards, np.float32)


def _harmless() -> bytes:
    """An ONNX file of our own, in which x is y."""
    onnx: Any = import_module("onnx")
    values: Sequence[Any] = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1]) for name in ("x", "y")
    ]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "harmless", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    model.ir_version = 10
    content: bytes = model.SerializeToString()
    return content
