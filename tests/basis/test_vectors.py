"""Which vector units torch tries."""

import pytest
from torch._inductor import config, cpu_vec_isa

from offbench.basis.vectors import WidestFirst, try_widest_first


class Unit:
    """A kind of vector unit that works or not, and knows whether it was tried."""

    def __init__(self, name, works):
        self.name, self.works, self.tried = name, works, False

    def __str__(self):
        return self.name

    def __bool__(self):
        self.tried = True
        return self.works


@pytest.fixture
def processor(monkeypatch):
    """A processor with three kinds of units."""
    monkeypatch.setattr(cpu_vec_isa, "x86_isa_checker", lambda: ["avx2", "avx512", "avx512_vnni"])
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)


def tried(units):
    """What torch takes of ``units``, as its list of them does, and which it tried."""
    said = cpu_vec_isa.x86_isa_checker()
    taken = [unit for unit in WidestFirst(units) if all(flag in said for flag in str(unit).split()) and unit]
    return [str(unit) for unit in taken], [str(unit) for unit in units if unit.tried]


KINDS = ("amx_tile", "avx512 avx512_vnni", "avx512", "avx2")


@pytest.mark.parametrize(
    ("working", "taken", "tries"),
    [
        (KINDS, KINDS[1:2], KINDS[1:2]),
        (("avx512", "avx2"), ("avx512",), KINDS[1:3]),
        (("avx2",), ("avx2",), KINDS[1:]),
        ((), (), KINDS[1:]),
    ],
)
def test_the_widest_unit_that_works_is_the_last_one_tried(processor, working, taken, tries):
    assert tried([Unit(name, name in working) for name in KINDS]) == (list(taken), list(tries))


def test_all_are_tried_where_another_than_the_widest_is_asked_for(processor, monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert tried([Unit(name, True) for name in KINDS])[1] == list(KINDS[1:])
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    with config.patch({"cpp.simdlen": 256}):
        assert tried([Unit(name, True) for name in KINDS])[1] == list(KINDS[1:])


def test_torch_takes_what_it_took_before(monkeypatch):
    kinds = list(list.__iter__(cpu_vec_isa.supported_vec_isa_list))  # all, also where a test before had them shortened
    monkeypatch.setattr(cpu_vec_isa, "supported_vec_isa_list", kinds)
    cpu_vec_isa.valid_vec_isa_list.cache_clear()
    before = cpu_vec_isa.pick_vec_isa()
    cpu_vec_isa.valid_vec_isa_list.cache_clear()
    try_widest_first()
    assert str(cpu_vec_isa.pick_vec_isa()) == str(before)
    cpu_vec_isa.valid_vec_isa_list.cache_clear()
