"""What a machine refuses, told in words: a full disk, too little memory, a name or a number that is too large."""

from __future__ import annotations

import errno
import os
import re

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ADVICE = {
    **dict.fromkeys(_FULL, "make room, or name a folder on another disk"),
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EACCES: "name one that you may read and write",
    errno.EPERM: "name one that you may read and write",
    errno.EROFS: "name a folder that can be written to",
}
# Libraries that are not written in Python put the system's number into a sentence of their own.
_NUMBER = re.compile(r"(?:os error|errno =|error code|\[Errno)\s*(\d+)", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"(?:can't|cannot|could not|unable to) allocate|out of memory", re.I)
# What numpy, torch and the interpreter say of numbers that no array or machine word can have.
_TOO_LARGE = re.compile(
    r"maximum allowed dimension exceeded|array is too big|overflow|too large to (?:convert|fit)|int too big to convert"
    r"|Storage size calculation|exceeds the limit .* for integer string",
    re.I,
)


def failure(error: BaseException) -> str | None:
    """One sentence, if the error says that the machine or the system refused something; None if it may be a bug."""
    said = " ".join(str(error).split())
    if out_of_memory(error):
        detail = f" ({said})" if said else ""
        return f"there is too little memory{detail}; ask for less: smaller batches or layers, fewer seeds or episodes"
    if isinstance(error, OSError) and error.errno is not None:
        reason = error.strerror or os.strerror(error.errno)
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{where}{reason}{_advice(error.errno)}"
    if (number := system_error(error)) is not None:
        return f"{said}{_advice(number)}"
    if isinstance(error, OverflowError) or (isinstance(error, ValueError | RuntimeError) and _TOO_LARGE.search(said)):
        return f"a number is larger than this machine can work with ({said}); ask for less"
    if isinstance(error, ValueError) and "embedded null" in said:
        return "a name of a file holds a null character; give another name"
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory, of the machine or of its GPU."""
    said = " ".join(str(error).split())
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _names_memory(error, said)


def system_error(error: BaseException) -> int | None:
    """The system's number of an error on a full disk or the like, also where a library hides it in its message."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _NUMBER.search(str(error))
    number = int(found[1]) if found else None
    if number is None and "no space left on device" in str(error).lower():
        number = errno.ENOSPC
    return number if number in _ADVICE else None


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that no more can be written: the disk, a quota or the size of a file is at its end."""
    return system_error(error) in _FULL


def _advice(number: int) -> str:
    return f"; {_ADVICE[number]}" if number in _ADVICE else ""


def _names_memory(error: BaseException, said: str) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return _OUT_OF_MEMORY.search(said) is not None
