"""What a process that has locked itself in can still do, tried from inside; and policies in the sandbox."""

import json
import subprocess
import sys

import numpy as np
import pytest
from honest_entries import linear
from onnx import helper

from offbench.errors import OffbenchError
from offbench.leaderboard import confinement
from offbench.leaderboard.profile import check_policy
from offbench.leaderboard.sandbox import Limits, Sandbox, SandboxedPolicy

TRY = """
import importlib.util, json, mmap, os, socket, subprocess, sys
spec = importlib.util.spec_from_file_location("confinement", sys.argv[1])
confinement = importlib.util.module_from_spec(spec)
spec.loader.exec_module(confinement)
folder = sys.argv[2]
attacks = {
    "read": lambda: open("/etc/hostname").read(),
    "list": lambda: os.listdir("/"),
    "write elsewhere": lambda: open("/var/tmp/offbench-attack", "w"),
    "write": lambda: open(folder + "/file", "w"),
    "socket": lambda: socket.socket(),
    "datagrams": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "fork": lambda: os.fork() or os._exit(0),
    "program": lambda: subprocess.run(["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
    "memory": lambda: bytearray(2**31),
    "machine code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "environment of others": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "computing": lambda: sum(range(1000)),
}
computing = sys.argv[3] == "computing"
told = confinement.confine(2**28, 60) if computing else confinement.confine_training([folder, "/dev/null"])
done = []
for name, attack in attacks.items():
    try:
        attack()
        done.append(name)
    except (OSError, MemoryError):
        pass
os.write(1, json.dumps([told, done]).encode())
os._exit(0)
"""


def tried(tmp_path, how):
    command = [sys.executable, "-I", "-c", TRY, confinement.__file__, str(tmp_path), how]
    told, done = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    if not any("seccomp" in each for each in told):
        pytest.skip(f"this kernel has no seccomp for x86-64: {told}")
    return told, done


def test_a_locked_in_process_computes_and_nothing_else(tmp_path):
    told, done = tried(tmp_path, "computing")
    assert done == ["computing"]
    assert any("MiB of memory" in each for each in told)


def test_a_training_process_writes_to_its_folder_alone_and_opens_no_sockets(tmp_path):
    told, done = tried(tmp_path, "training")
    if any("landlock" in each for each in told):
        assert "write elsewhere" not in done
    assert {"read", "write", "fork", "program", "computing"} <= set(done)
    assert not {"socket", "datagrams"} & set(done)


def test_windows_is_told_that_it_plays_no_policies(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(OffbenchError, match="are played on Linux and macOS"):
        Sandbox()


def test_actions_are_those_of_the_graph():
    weights, bias = np.array([[1.0], [2.0], [3.0]]), np.array([0.5])
    content = linear(weights, bias)
    observations = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with Sandbox(Limits(memory=2**28)) as sandbox:
        policy = SandboxedPolicy(sandbox, content, check_policy(content, 3, 1), 1, "it")
        policy.reset(np.ones(5, bool))
        np.testing.assert_allclose(policy.act(observations), observations @ weights + bias, rtol=1e-5)
        # What fails is told, and the process goes on for the next one.
        with pytest.raises(OffbenchError, match="it failed: "):
            sandbox.load(b"no model", "it")
        wrong = linear(np.ones((3, 1)), np.ones(1), helper.make_node("Abs", ["b"], ["unused"]))
        again = SandboxedPolicy(sandbox, wrong, check_policy(wrong, 3, 1), 2, "it")
        again.reset(np.ones(5, bool))
        with pytest.raises(OffbenchError, match=r"actions has type float32 and shape \[5, 1\], not"):
            again.act(observations)
        assert policy.act(observations).shape == (5, 1)
