"""Products of float32 in TensorFloat-32 on a GPU: factors rounded to 10 bits of fraction, sums in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Let products be taken so within the block, and as before after it; what is not wanted changes nothing.

    A recorded graph replays its products as they were recorded.
    """
    if not wanted:
        yield
        return
    # Torch's other name of it, fp32_precision, is one that its own compiler cannot read beside this one.
    setting = torch.backends.cuda.matmul
    before = setting.allow_tf32
    setting.allow_tf32 = True
    try:
        yield
    finally:
        setting.allow_tf32 = before
