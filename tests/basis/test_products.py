"""Products by oneDNN are those of torch.bmm, replace large ones in float32 alone, and are alike in any stack."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from offbench.basis import products
from offbench.basis.compiler import compiled, compiler
from offbench.basis.products import LARGEST_STACK, Replace, product, replaced_here

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
LARGE = (256, 128, 128)  # rows, inner, columns


def factors(stack: int, rows: int, inner: int, columns: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(stack, rows, inner, generator=generator, dtype=dtype)
    return one, torch.randn(stack, inner, columns, generator=generator, dtype=dtype)


@needs_onednn
@pytest.mark.parametrize("stack", [1, 3])
def test_products_are_those_of_bmm_whatever_the_strides(stack):
    one, other = factors(stack, 40, 50, 60)
    expected = torch.bmm(one.double(), other.double()).float()
    turned = one.mT.contiguous().mT, other.mT.contiguous().mT
    for left, right in ((one, other), (turned[0], other), (one, turned[1])):
        torch.testing.assert_close(product(left, right), expected, rtol=1e-5, atol=1e-5)
    broadcast = one[:1].expand(3, -1, -1), other[:1].expand(3, -1, -1)
    torch.testing.assert_close(product(*broadcast), torch.bmm(*broadcast), rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("stack", [1, 3])
def test_a_second_factor_reaches_onednn_without_gaps(stack, monkeypatch):
    # Of a matrix with gaps, as the part of a wider one that attention's queries are, it makes the product slowly.
    one, wide = factors(stack, 40, 50, 180)
    given = []
    linear = torch.ops.mkldnn._linear_pointwise

    class Watched:
        @staticmethod
        def _linear_pointwise(left, right, *rest):
            given.append(right)
            return linear(left, right, *rest)

    for other in (wide[..., 60:120], wide.mT.contiguous().mT[..., ::3], wide[..., 60:].mT[:, :50, :50].mT):
        expected = torch.bmm(one[..., : other.shape[1]], other)
        monkeypatch.setattr(torch.ops, "mkldnn", Watched)
        found = product(one[..., : other.shape[1]], other)
        monkeypatch.undo()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert all(right.is_contiguous() or right.t().is_contiguous() for right in given)


@needs_onednn
def test_a_product_has_the_same_bits_alone_and_in_a_stack():
    one, other = factors(4, *LARGE)
    together = product(one, other)
    for seed in range(4):
        assert torch.equal(together[seed], product(one[seed : seed + 1], other[seed : seed + 1])[0])


def replaced(one: torch.Tensor, other: torch.Tensor) -> list[str]:
    """What of the products in a graph are called once they were replaced; the graph makes the same."""
    graph = make_fx(lambda a, b: torch.relu(torch.bmm(a, b)))(one, other)
    Replace()(graph.graph)
    graph.recompile()
    torch.testing.assert_close(graph(one, other), torch.relu(torch.bmm(one, other)), rtol=1e-5, atol=1e-4)
    called = [str(node.target) for node in graph.graph.nodes]
    return [name for name in called if "product" in name or "bmm" in name]


@needs_onednn
def test_large_products_in_float32_are_replaced():
    assert replaced(*factors(2, *LARGE)) == ["offbench.product.default"]


@pytest.mark.parametrize("turned_first", [False, True])
@pytest.mark.parametrize("columns", [1, 2, 3, 16, 17])
def test_narrow_products_are_made_as_their_transposes(columns, turned_first):
    one, other = factors(2, 96, 80, columns)
    if turned_first:
        one = one.mT.contiguous().mT
    graph = make_fx(lambda a, b: torch.relu(torch.bmm(a, b)), tracing_mode="fake")(one, other)
    Replace()(graph.graph)
    graph.graph.lint()
    graph.recompile()
    torch.testing.assert_close(graph(one, other), torch.relu(torch.bmm(one, other)), rtol=1e-5, atol=1e-5)
    (made,) = graph.graph.find_nodes(op="call_function", target=products.BMM)
    assert made.meta["val"].shape == ((2, columns, 96) if columns in (2, 3, 16) else (2, 96, columns))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (LARGE, torch.float64),  # in which runs are compared to the last bits
        (LARGE, torch.bfloat16),
        ((256, 14, 4096), torch.float32),  # a side too short
        ((64, 64, 64), torch.float32),  # too small
        ((256, 256, 3), torch.float64),
        ((16, 256, 3), torch.float32),  # too short to be narrow
    ],
)
def test_others_are_not(shape, dtype):
    graph = make_fx(torch.bmm)(*factors(2, *shape, dtype=dtype)).graph
    Replace()(graph)
    assert [str(node.target) for node in graph.nodes if node.op == "call_function"] == ["aten.bmm.default"]


@pytest.mark.parametrize(("vendor", "right"), [("AuthenticAMD", True), ("GenuineIntel", False), ("", False)])
def test_the_machine_alone_decides(vendor, right, monkeypatch):
    monkeypatch.setattr(products, "_vendor", lambda: vendor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert replaced_here.__wrapped__() is right
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert not replaced_here.__wrapped__()


@needs_onednn
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")
def test_compiled_gradients_are_the_eager_ones(monkeypatch):
    monkeypatch.setattr(products, "replaced_here", lambda: True)
    calls = []
    monkeypatch.setattr(products, "_sides", lambda node, sides=products._sides: calls.append(1) or sides(node))

    def gradients(x, weights):
        return torch.func.grad(lambda w: torch.bmm(torch.relu(torch.bmm(x, w[0])), w[1]).square().mean())(weights)

    x, first = factors(2, *LARGE)
    weights = [first, factors(2, 128, 128, 128)[1]]
    with torch._inductor.config.patch(force_disable_caches=True):  # compiled here, whatever was before
        found = compiled(gradients, torch.device("cpu"))(x, weights)
    for made, expected in zip(found, gradients(x, weights), strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    assert len(calls) >= 4


@needs_onednn
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")
@pytest.mark.parametrize("stack", [1, 2, LARGEST_STACK + 1])
def test_generated_code_makes_the_same_bits_whatever_the_strides(stack, monkeypatch):
    monkeypatch.setattr(products, "replaced_here", lambda: True)
    lowered = []
    monkeypatch.setattr(products, "_by_onednn", lambda *given, by=products._by_onednn: lowered.append(1) or by(*given))
    _, inner, columns = LARGE
    one, other = factors(stack, *LARGE)
    wide = torch.randn(stack, inner, 3 * columns)
    pairs = {
        "rows": (one, other),
        "first turned": (one.mT.contiguous().mT, other),
        "second turned": (one, other.mT.contiguous().mT),
        "part of a wider one": (one, wide[..., columns : 2 * columns]),
        "one for all": (one[:1].expand(stack, -1, -1), other),
    }

    def every(pairs):
        return {name: torch.bmm(left + 1, right) * 2 for name, (left, right) in pairs.items()} | {
            f"{name}, given": torch.bmm(left, right) - 1 for name, (left, right) in pairs.items()
        }

    with torch._inductor.config.patch(force_disable_caches=True):
        found = compiled(every, torch.device("cpu"))(pairs)
    for name, (left, right) in pairs.items():
        assert torch.equal(found[name], product(left + 1, right) * 2), name
        assert torch.equal(found[f"{name}, given"], product(left, right) - 1), name
    assert len(lowered) == (2 * len(pairs) * stack if stack <= LARGEST_STACK else 0)
