"""The vector units of a processor that torch tries before it compiles for one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from torch._inductor import config, cpu_vec_isa


class WidestFirst(list[Any]):
    """Kinds of vector units from the widest on; whoever goes through them sees none after the first that works.

    Torch compiles a program for each kind that a processor says it has, two seconds a kind, and then takes the widest.
    """

    def __iter__(self) -> Iterator[Any]:
        """The kinds, to the first that works; all where another than the widest is asked for."""
        said = cpu_vec_isa.x86_isa_checker()
        asked = config.cpp.simdlen is not None or "ATEN_CPU_CAPABILITY" in os.environ
        for unit in super().__iter__():
            yield unit
            if not asked and all(flag in said for flag in str(unit).split()) and unit:
                return


def try_widest_first() -> None:
    """Let torch try no vector unit that it would not take."""
    if not isinstance(cpu_vec_isa.supported_vec_isa_list, WidestFirst):
        cpu_vec_isa.supported_vec_isa_list = WidestFirst(cpu_vec_isa.supported_vec_isa_list)
