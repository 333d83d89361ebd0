"""What compiled code is to make once is made outside of its loops, and is the same number."""

import pytest
import torch

from offbench.basis.compiler import compiled, compiler
from offbench.basis.once import once


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_where_nothing_is_compiled_nothing_is_done(device):
    value = torch.ones(3, device=device)
    assert once(value) is value


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_code_makes_it_once(dtype):
    from torch._inductor.utils import run_and_get_cpp_code

    def waved(x, count, kept):
        shift = torch.cos(count.to(torch.float64) / 7)
        return x * (once(shift) if kept else shift)

    x, count = torch.randn(40, 64, dtype=dtype), torch.tensor(3)
    codes = []
    for kept in (False, True):
        with torch._inductor.config.patch(force_disable_caches=True):
            found, code = run_and_get_cpp_code(compiled(waved, torch.device("cpu")), x, count, kept)
        torch.testing.assert_close(found, waved(x, count, kept), rtol=1e-6, atol=1e-7)
        codes.append(code)
    within, outside = codes
    assert "for(int64_t" in within[: within.index("std::cos(")]
    assert "for(int64_t" not in outside[: outside.index("std::cos(")]
