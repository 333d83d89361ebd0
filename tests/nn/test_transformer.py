import math

import numpy as np
import torch
from scipy import stats

from offbench.nn.transformer import Transformer, causal_attention

SMALL = Transformer(size=12, layers=2, heads=3)


def tokens(seeds=2, batch=4, count=7, size=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(seeds, batch, count, size, generator=generator, dtype=torch.float64)


def shaken(transformer, seeds):
    """Parameters of which none is 0 or 1."""
    parameters = transformer.initialise(seeds, "actor")
    generator = torch.Generator().manual_seed(1)
    noise = {n: torch.randn(v.shape, generator=generator, dtype=v.dtype) for n, v in parameters.items()}
    return {name: value + 0.2 * noise[name] for name, value in parameters.items()}


def test_equals_torch_modules_seed_by_seed():
    parameters, x = shaken(SMALL, [4, 9]), tokens()
    later = torch.nn.Transformer.generate_square_subsequent_mask(7, dtype=torch.float64)
    for seed in range(2):
        expected = x[seed]
        for block in ("block0", "block1"):
            layer = torch.nn.TransformerEncoderLayer(12, 3, 48, 0.0, "gelu", 1e-5, True, True, dtype=torch.float64)
            own = {name.removeprefix(f"{block}."): v[seed] for name, v in parameters.items() if name.startswith(block)}
            theirs = {
                "self_attn.in_proj_weight": own["attention.weight"].T,
                "self_attn.in_proj_bias": own["attention.bias"][0],
                "self_attn.out_proj.weight": own["projection.weight"].T,
                "self_attn.out_proj.bias": own["projection.bias"][0],
                "linear1.weight": own["widen.weight"].T,
                "linear1.bias": own["widen.bias"][0],
                "linear2.weight": own["narrow.weight"].T,
                "linear2.bias": own["narrow.bias"][0],
            }
            for norm in ("norm1", "norm2"):
                theirs |= {f"{norm}.weight": own[f"{norm}.scale"][0], f"{norm}.bias": own[f"{norm}.shift"][0]}
            layer.load_state_dict(theirs)
            expected = layer(expected, src_mask=later, is_causal=True)
        torch.testing.assert_close(SMALL(parameters, x)[seed], expected.detach(), rtol=1e-12, atol=1e-12)


def test_without_causality_every_token_sees_all_that_are_present():
    full = Transformer(size=12, layers=2, heads=3, causal=False)
    parameters, x = shaken(full, [4]), tokens(seeds=1)
    present = torch.arange(7) < torch.tensor([7, 3, 5, 1])[:, None]
    read = full(parameters, x, present=present[None])
    for row, count in enumerate((7, 3, 5, 1)):
        short = x[:, row : row + 1, :count]
        torch.testing.assert_close(full(parameters, short)[0, 0], read[0, row, :count], rtol=1e-12, atol=1e-12)
        turned = full(parameters, short.flip(2)).flip(2)  # no order but what tokens themselves tell
        torch.testing.assert_close(turned[0, 0], read[0, row, :count], rtol=1e-12, atol=1e-12)
    ones = [torch.ones(1, 4, size, dtype=torch.float64) for size in full.mask_sizes(7)]
    for wanted in (slice(None), slice(1, None, 3)):
        torch.testing.assert_close(full(parameters, x, ones, wanted, present[None]), read[:, :, wanted])
    assert not torch.allclose(full(parameters, x), SMALL(parameters, x))


def test_wanted_tokens_are_those_of_all_with_and_without_dropout():
    parameters, x = shaken(SMALL, [0, 1]), tokens()
    generator = torch.Generator().manual_seed(2)
    masks = [torch.rand(2, 4, size, generator=generator, dtype=torch.float64) for size in SMALL.mask_sizes(7)]
    for dropped in (None, masks):
        found, everything = SMALL(parameters, x, dropped, slice(1, None, 3)), SMALL(parameters, x, dropped)
        torch.testing.assert_close(found, everything[:, :, 1::3], rtol=0, atol=1e-12)


def test_a_later_token_changes_no_earlier_output():
    parameters, x = shaken(SMALL, [0, 1]), tokens()
    before = SMALL(parameters, x)
    for place in range(7):
        changed = x.clone()
        changed[:, :, place] *= -3  # a shift would be lost in the layer normalisation
        after = SMALL(parameters, changed)
        torch.testing.assert_close(after[:, :, :place], before[:, :, :place], rtol=0, atol=1e-12)
        assert float((after[:, :, place:] - before[:, :, place:]).abs().amin((0, 1, 3)).min()) > 1e-6


def test_attention_equals_a_computation_by_hand():
    # Two tokens of size 1: the first sees itself; the second weighs 1 and 3 by e^(2 * 1) and e^(2 * 2).
    queries, keys, values = (torch.tensor(v).view(1, 1, 2, 1) for v in ([5.0, 2.0], [1.0, 2.0], [1.0, 3.0]))
    weight = math.exp(4) / (math.exp(2) + math.exp(4))
    expected = torch.tensor([1.0, (1 - weight) * 1 + weight * 3]).view(1, 1, 2, 1)
    torch.testing.assert_close(causal_attention(queries, keys, values), expected)
    # With the second token's weight on the first dropped, and what remains doubled.
    masks = torch.tensor([[1.0, 1.0], [0.0, 2.0]]).view(1, 1, 2, 2)
    expected[0, 0, 1] = 2 * weight * 3
    torch.testing.assert_close(causal_attention(queries, keys, values, masks), expected)


def test_masks_of_ones_change_nothing_and_zeros_leave_the_tokens():
    parameters, x = shaken(SMALL, [0, 1]), tokens()
    masks = [torch.ones(2, 4, size) for size in SMALL.mask_sizes(7)]
    torch.testing.assert_close(SMALL(parameters, x, masks), SMALL(parameters, x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(SMALL(parameters, x, [0 * mask for mask in masks]), x)


def test_a_seed_is_initialised_alike_alone_and_among_others():
    together, alone = SMALL.initialise([0, 3], "actor"), SMALL.initialise([3], "actor")
    for name, value in alone.items():
        assert torch.equal(together[name][1], value[0])
        assert value.dtype == torch.float64
    assert not torch.equal(alone["block0.widen.weight"], alone["block1.widen.weight"])


def test_initial_weights_are_normal_and_those_of_attention_glorot_uniform():
    parameters = Transformer(size=64, layers=1, heads=1).initialise([5], "actor")
    normal = parameters["block0.widen.weight"].flatten().numpy() / 0.02
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    bound = math.sqrt(6 / (64 + 3 * 64))
    uniform = parameters["block0.attention.weight"].flatten().numpy() / bound
    assert stats.kstest(uniform, "uniform", args=(-1, 2)).pvalue > 1e-3
    assert all(not value.any() for name, value in parameters.items() if name.endswith(("bias", "shift")))
    assert np.all([bool((value == 1).all()) for name, value in parameters.items() if name.endswith("scale")])
