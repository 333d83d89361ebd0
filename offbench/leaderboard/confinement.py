"""A process that gives up what it does not need before it looks at anything of a stranger's: limits, landlock, seccomp.

Imported by itself in a bare process, so it needs the standard library alone. Everything here can only be made stricter
afterwards, whatever code the process comes to run.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any

# Looked for now: afterwards no file can be opened. Windows has no such module.
resource: Any = importlib.import_module("resource") if importlib.util.find_spec("resource") else None

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # options of prctl(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # landlock(7); numbers are the same on all architectures

# Of x86-64: what numpy and onnxruntime need for computing with what they have loaded, on files that are open already.
_X86_64 = 0xC000003E
_ALLOWED = {
    "read": 0,
    "write": 1,
    "close": 3,
    "fstat": 5,
    "lseek": 8,
    "munmap": 11,
    "brk": 12,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "sched_yield": 24,
    "mremap": 25,
    "madvise": 28,
    "getpid": 39,
    "exit": 60,
    "sigaltstack": 131,
    "gettid": 186,
    "futex": 202,
    "sched_getaffinity": 204,
    "clock_gettime": 228,
    "exit_group": 231,
    "set_robust_list": 273,
    "getcpu": 309,
    "getrandom": 318,
    "membarrier": 324,
    "rseq": 334,
}
_MEMORY = {"mmap": 9, "mprotect": 10}  # allowed where they make nothing executable
_SOCKETS = {"socket": 41, "socketpair": 53}


def confine(memory: int, processor_seconds: int) -> list[str]:
    """Give up everything but computing and the files that are open, and say what is in force.

    Args:
        memory: bytes that may be taken beyond what the process has.
        processor_seconds: after which the kernel ends it.
    """
    most = _memory() + memory
    is_linux = sys.platform == "linux" and _prctl(_NO_NEW_PRIVILEGES, 1)
    in_force = ["no access to files or TCP (landlock)"] if is_linux and _landlock([]) else []
    in_force += limit(most, memory, processor_seconds)  # after which landlock's own file could not be opened
    if is_linux and platform.machine() == "x86_64" and _seccomp(_computing()):
        in_force.append("no system calls but for memory and open files (seccomp)")
    return in_force


def confine_training(writable: list[str]) -> list[str]:
    """Give up writing to files but below some folders, and the network, and say what is in force.

    Args:
        writable: folders.
    """
    in_force = []
    if sys.platform == "linux" and _prctl(_NO_NEW_PRIVILEGES, 1):
        if _landlock(writable):
            in_force.append("writes only its own folders, no TCP (landlock)")
        if platform.machine() == "x86_64" and _seccomp(_no_sockets()):
            in_force.append("opens no sockets (seccomp)")
    return in_force


def limit(most: int, memory: int, processor_seconds: int) -> list[str]:
    """Limits of address space, processor time, files and core dumps; those that the system has are named."""
    wanted = [("CORE", 0, ""), ("CPU", processor_seconds, f"{processor_seconds} s of processor time")]
    if sys.platform == "linux":  # elsewhere the kernel takes the limit and does not hold the process to it
        wanted.append(("AS", most, f"{memory // 2**20} MiB of memory"))
    wanted += [("NOFILE", 0, "no new files"), ("FSIZE", 0, "no writing to files")]
    in_force = []
    for name, value, told in wanted:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the last where there is no such module
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
            in_force += [told] if told else []
    return in_force


def _memory() -> int:
    """Bytes of address space that the process has, 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _prctl(*arguments: int) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[1:5]]
    return int(library.prctl(arguments[0], *padded)) == 0


# -------------------------------------------------------------------- landlock


def _landlock(writable: list[str]) -> bool:
    """Forbid files (all access, or writing where folders are named) and, where the kernel can, TCP and signals."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    version = int(call(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    if version < 1:
        return False
    # Rights by bit: execute 0, write 1, read 2, list 3, remove and make 4 to 12, refer 13, truncate 14, devices 15.
    rights = (1 << 13) - 1 | (version >= 2) << 13 | (version >= 3) << 14 | (version >= 5) << 15
    if writable:
        rights &= ~0b1101  # executing, reading and listing stay allowed everywhere
    fields = [rights] + [0b11] * (version >= 4) + [0b11] * (version >= 6)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = int(
        call(ctypes.c_long(_CREATE_RULESET), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    )
    if ruleset < 0:
        return False
    for folder in writable:
        _allow_below(call, ruleset, folder, rights)
    done = int(call(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0))) == 0
    os.close(ruleset)
    return done


def _allow_below(call: ctypes._NamedFuncPointer, ruleset: int, folder: str, rights: int) -> None:
    place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    rights = rights if os.path.isdir(folder) else rights & 0b1100000000000110  # a file, such as /dev/null
    rule = struct.pack("=Qi", rights, place)
    call(ctypes.c_long(_ADD_RULE), ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0))
    os.close(place)


# -------------------------------------------------------------------- seccomp

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # the refused call gets EPERM
_NUMBER, _ARCHITECTURE, _THIRD = 0, 4, 32  # offsets in what a filter sees

_Instruction = tuple[int, int, int, int]


def _computing() -> list[_Instruction]:
    """A filter that allows `_ALLOWED`, and `_MEMORY` where nothing becomes executable; all else is refused."""
    numbers = sorted(_ALLOWED.values())
    program = [(_LOAD, 0, 0, _NUMBER)]
    for number in _MEMORY.values():
        program += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _THIRD), (_ANY_BIT, 0, 1, 4)]
        program += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    program += [(_EQUAL, len(numbers) - row, 0, number) for row, number in enumerate(numbers)]
    return [*program, (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]


def _no_sockets() -> list[_Instruction]:
    """A filter that refuses new sockets, and the second table of calls that x86-64 has."""
    program = [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, len(_SOCKETS) + 1, 0, 0x40000000)]
    program += [(_EQUAL, len(_SOCKETS) - row, 0, number) for row, number in enumerate(_SOCKETS.values())]
    return [*program, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]


def _seccomp(program: list[_Instruction]) -> bool:
    whole = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL), *program]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in whole)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(whole), ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    unsigned = ctypes.c_ulong
    return int(library.prctl(_SECCOMP, unsigned(_FILTER), ctypes.create_string_buffer(head, len(head)))) == 0
