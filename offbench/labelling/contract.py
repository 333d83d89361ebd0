"""What a teacher outside this process is asked and may answer: JSON, version 1 of the schema; see docs/teachers.md.

A request, as one JSON object::

    {"schema": "offbench.teacher/1", "prompt": "...", "pair": "<sha256>", "task": "pendulum",
     "first":  {"images": ["<base64 of a PNG>", ...], "steps": 50, "seconds": 0.35},
     "second": {"images": [...], "steps": 50, "seconds": 0.35}}

``seconds`` is the simulated time from one image to the next. The answer, as one JSON object::

    {"label": 0, "reason": "the first stands upright"}

with 0 for the first, 1 for the second, 0.5 for a tie, and -1 or null where the teacher is unsure: such a pair is left
out and another is asked. ``reason`` may be absent. Other names are ignored.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

SCHEMA = "offbench.teacher/1"
MOST_BYTES = 65_536  # of an answer
_MOST_REASON = 2_000  # characters of a reason that are kept
_LABELS = (0, 0.5, 1)
_RIGHT = '{"label": 0, 0.5, 1 or -1} would be right'


class PassingError(OffbenchError):
    """A failure that may be over when the teacher is asked again.

    Attributes:
        wait: seconds after which the teacher says that it can be asked again, where it does.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """What a teacher says of a pair.

    Attributes:
        label: 0 the first, 1 the second, 0.5 a tie, None unsure.
        reason: in the teacher's words, where it gives one.
    """

    label: float | None
    reason: str = ""


def answer_of(given: object) -> Answer:
    """The answer that a teacher in Python returned: a label, None or -1, or an `Answer`.

    Raises:
        OffbenchError: it is none of these.
    """
    if isinstance(given, Answer):
        return given
    label = getattr(given, "item", lambda: given)() if getattr(given, "shape", None) == () else given
    if label is None:
        return Answer(None)
    if isinstance(label, int | float) and not isinstance(label, bool):
        if label == -1:
            return Answer(None)
        if label in _LABELS:
            return Answer(float(label))
    raise OffbenchError(
        f"the teacher answered {str(given)[:80]!r}; 0, 0.5, 1, or None where it is unsure, would be right"
    )


def parse(body: bytes) -> Answer:
    """The answer in the bytes that a teacher outside sent.

    Raises:
        PassingError: they are no JSON object with a label of the contract.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        start = body[:80].decode("utf-8", "replace")
        raise PassingError(f"it answered {start!r}, which is not JSON; {_RIGHT}") from error
    if not isinstance(found, dict) or "label" not in found:
        raise PassingError(f"it answered JSON without a label; {_RIGHT}")
    if found.get("schema", SCHEMA) != SCHEMA:
        raise PassingError(f"it answered by the schema {str(found['schema'])[:80]!r}; {SCHEMA} would be right")
    try:
        label = answer_of(found["label"]).label
    except OffbenchError as error:
        raise PassingError(f"it answered the label {str(found['label'])[:80]!r}; {_RIGHT}") from error
    reason = found.get("reason")
    return Answer(label, reason[:_MOST_REASON] if isinstance(reason, str) else "")


def request(prompt: str, pair: str, task: str, first: dict[str, Any], second: dict[str, Any]) -> bytes:
    """A request, as it is sent."""
    told = {"schema": SCHEMA, "prompt": prompt, "pair": pair, "task": task, "first": first, "second": second}
    return json.dumps(told).encode()


def side(frames: Sequence[Array], steps: int, seconds: float) -> dict[str, Any]:
    """One segment of a request: its pictures, each (height, width, 3) uint8, in order."""
    return {"images": [_png(frame) for frame in frames], "steps": steps, "seconds": seconds}


def hash_of(parts: object) -> str:
    """SHA-256 of whatever JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _png(frame: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
