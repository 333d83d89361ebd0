"""The file of answers: what teachers said, a JSON line each, written to disk before the next pair is asked.

A line has ``schema``, ``teacher`` (who was asked, and what: see `offbench.labelling.asking.identity_of`), ``pair`` (a
digest of what the teacher was shown), ``label`` (0, 0.5, 1, null where it was unsure) and ``reason``, and for readers
``dataset``, the first steps ``first`` and ``second``, and ``length``. Several teachers may share a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from offbench.basis.locks import locked
from offbench.errors import DataError, OffbenchError, UnwritableError
from offbench.labelling.contract import Answer

SCHEMA = "offbench.answer/1"
_BEGINNING = f'{{"schema": "{SCHEMA}"'


class Answers:
    """The answers of one teacher, in memory and, where there is a file, on disk."""

    def __init__(self, teacher: str, file: IO[bytes] | None = None, known: dict[str, Answer] | None = None) -> None:
        self.teacher, self.known = teacher, dict(known or {})
        self._file = file

    def add(self, pair: str, answer: Answer, **told: Any) -> None:
        """Keep an answer: when this returns, it is on disk.

        Raises:
            UnwritableError: the file cannot be written.
        """
        self.known[pair] = answer
        if self._file is None:
            return
        line = {"schema": SCHEMA, "teacher": self.teacher, "pair": pair, "label": answer.label}
        line |= {"reason": answer.reason, **told}
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UnwritableError(
                f"cannot write {self._file.name}: {error.strerror}; the answers before stay there"
            ) from error


@contextmanager
def kept(path: Path | None, teacher: str) -> Iterator[Answers]:
    """The answers of a teacher that are in a file, to which new ones are added; of None, none and nowhere.

    A last line that a crash cut off is taken away.

    Raises:
        DataError: the file has a line that is no answer.
        OffbenchError: another process adds to it, or it cannot be opened.
    """
    if path is None:
        yield Answers(teacher)
        return
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path.with_name(f".{path.name}.lock"), wait=False))
            file = stack.enter_context(path.open("ab+"))
            file.seek(0)
            known, whole = _read(path, file.read(), teacher)
            file.truncate(whole)
        except BlockingIOError as error:
            raise OffbenchError(f"another process adds answers to {path}; wait for it, or name another file") from error
        except OSError as error:
            reason = error.strerror or error
            raise UnwritableError(f"cannot open {path} to add to it: {reason}; name another file") from error
        yield Answers(teacher, file, known)


def _read(path: Path, content: bytes, teacher: str) -> tuple[dict[str, Answer], int]:
    """The answers of a teacher, and how many bytes of the content are whole lines."""
    lines = content.split(b"\n")
    cut = lines.pop()
    if cut and not (cut.startswith(_BEGINNING.encode()) or _BEGINNING.encode().startswith(cut)):
        raise _foreign(path, len(lines) + 1)
    known: dict[str, Answer] = {}
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            if found["schema"] != SCHEMA:
                raise ValueError(SCHEMA)
            own, pair, answer = found["teacher"] == teacher, str(found["pair"]), _answer(found)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _foreign(path, number) from error
        if own:
            known.setdefault(pair, answer)
    return known, len(content) - len(cut)


def _answer(found: dict[str, Any]) -> Answer:
    label = found["label"]
    if label is not None and (isinstance(label, bool) or label not in (0, 0.5, 1)):
        raise ValueError(label)
    return Answer(None if label is None else float(label), str(found.get("reason", "")))


def _foreign(path: Path, number: int) -> DataError:
    return DataError(f"line {number} of {path} is no answer of a teacher ({SCHEMA}); mend it, or name another file")
