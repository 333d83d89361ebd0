"""The process in which policies of strangers act: onnxruntime, numpy, two pipes, and nothing else that it may touch.

Started as a file by `offbench.leaderboard.sandbox`, outside of the package. It loads the libraries, acts once with a
model of the parent's own, gives up what `confinement` gives up, and only then takes a stranger's bytes, by its standard
input. Frames both ways: one byte of kind, eight of length, that many bytes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

LIMITS, MODEL, RUN = b"L", b"M", b"R"
DONE, FAILED = b"+", b"-"
HEAD = struct.Struct("<cQ")
LONGEST_MESSAGE = 2000  # bytes


def main() -> None:
    """Answer until the input ends."""
    import numpy as np

    onnxruntime: Any = importlib.import_module("onnxruntime")  # which exports its names in a way that checkers miss

    confinement = _neighbour("confinement")
    onnxruntime.set_default_logger_severity(4)
    sessions: list[Any] = []
    while True:
        head = _read(HEAD.size)
        if not head:
            return
        kind, length = HEAD.unpack(head)
        content = _read(length)
        try:
            if kind == LIMITS:
                limits = json.loads(content)
                answer = json.dumps(confinement.confine(limits["memory"], limits["processor_seconds"])).encode()
            elif kind == MODEL:
                sessions.append(_session(onnxruntime, content))
                answer = b""
            else:
                answer = _run(np, sessions, content)
        except BaseException as error:  # whatever a stranger's graph makes the runtime raise
            _answer(FAILED, f"{type(error).__name__}: {error}".encode(errors="replace")[:LONGEST_MESSAGE])
        else:
            _answer(DONE, answer)


def _neighbour(name: str) -> Any:
    """A module beside this file, without the package around it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _session(onnxruntime: Any, content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _run(np: Any, sessions: list[Any], content: bytes) -> bytes:
    """One step: header of names, types and shapes of arrays, then the arrays; the answer is the outputs' bytes."""
    (size,) = struct.unpack_from("<I", content)
    header, place = json.loads(content[4 : 4 + size]), 4 + size
    given = {}
    for name, kind, shape in header["inputs"]:
        array = np.frombuffer(content, np.dtype(kind), count=int(np.prod(shape)), offset=place)
        place += array.nbytes
        given[name] = array.reshape(shape)
    names = [name for name, _, _ in header["outputs"]]
    parts = []
    for array, (name, kind, shape) in zip(sessions[header["model"]].run(names, given), header["outputs"], strict=True):
        if array.dtype != np.dtype(kind) or list(array.shape) != shape:
            raise ValueError(f"{name} has type {array.dtype} and shape {list(array.shape)}, not {kind} and {shape}")
        parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def _read(count: int) -> bytes:
    """``count`` bytes of the input, or none where it ends."""
    parts = []
    while count:
        part = os.read(0, min(count, 2**20))
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _answer(kind: bytes, content: bytes) -> None:
    view = memoryview(HEAD.pack(kind, len(content)) + content)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
    main()
