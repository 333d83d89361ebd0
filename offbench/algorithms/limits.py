"""Numbers that no algorithm can mean, whatever its hyperparameters are called."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from offbench.errors import OffbenchError

LARGEST_SEED = 2**63 - 1  # that generators and records hold
LARGEST_SIZE = 2**31 - 1  # of a batch or a layer


def check_hyperparameters(config: Any) -> None:
    """Refuse what no algorithm can mean: numbers that no machine holds, and batches or layers of nothing."""
    for name, value in dataclasses.asdict(config).items():
        if value is None:  # follows from data and task, or from the learner
            continue
        parts = value if isinstance(value, list | tuple) else [value]
        if not all(math.isfinite(part) for part in parts if isinstance(part, float)):
            raise OffbenchError(f"{name} must be finite, not {value}")
        if name in ("batch_size", "hidden") and any(part < 1 for part in parts):
            raise OffbenchError(f"{name} must be at least 1, not {value}")
        most = LARGEST_SIZE if name in ("batch_size", "hidden") else LARGEST_SEED
        if any(abs(part) > most for part in parts if isinstance(part, int)):
            raise OffbenchError(f"{name} must be at most {most:,}, not {value}")
