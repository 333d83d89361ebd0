import pytest
import torch

from offbench.basis.compiler import compiled, compiler
from offbench.nn.adam import Adam, clipped, gradient_norm


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_equals_torch_adam(schedule):
    torch.manual_seed(0)
    mine = {"a": torch.randn(2, 3, dtype=torch.float64), "b": torch.randn(4, dtype=torch.float64)}
    theirs = [value.clone().requires_grad_() for value in mine.values()]
    optimiser = torch.optim.Adam(theirs, lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50)
    adam = Adam(mine, 1e-2, schedule, total=50)
    for _ in range(50):
        gradients = {name: torch.randn_like(value) for name, value in mine.items()}
        adam.update(mine, gradients)
        for value, gradient in zip(theirs, gradients.values(), strict=True):
            value.grad = gradient
        optimiser.step()
        if schedule == "cosine":
            scheduler.step()
    for value, expected in zip(mine.values(), theirs, strict=True):
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)


def test_a_compiled_update_counts():
    # torch.compile 2.13 loses writes to float64 scalars; the count must not be one.
    value = {"x": torch.ones(3)}
    adam = Adam(value, 0.1)
    update = torch.compile(adam.update, backend="aot_eager")
    for _ in range(3):
        update(value, {"x": torch.ones(3)})
    assert int(adam.count) == 3
    torch.testing.assert_close(value["x"], torch.full((3,), 0.7))


def test_equals_torch_adamw_with_warm_up():
    torch.manual_seed(0)
    mine = {"a": torch.randn(2, 3, dtype=torch.float64), "b": torch.randn(2, 1, 4, dtype=torch.float64)}
    theirs = [value.clone().requires_grad_() for value in mine.values()]
    optimiser = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda update: min((update + 1) / 20, 1))
    adam = Adam(mine, 1e-2, weight_decay=0.1, warmup=20)
    for _ in range(50):
        gradients = {name: torch.randn_like(value) for name, value in mine.items()}
        adam.update(mine, gradients)
        for value, gradient in zip(theirs, gradients.values(), strict=True):
            value.grad = gradient
        optimiser.step()
        scheduler.step()
    for value, expected in zip(mine.values(), theirs, strict=True):
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)


def test_a_schedule_of_ones_own_is_a_factor_of_the_share_that_is_done():
    triangle = lambda done: torch.minimum(done / 0.1, (1 - done) / 0.9)  # noqa: E731
    adam = Adam({"x": torch.ones(3)}, 0.5, triangle, total=20)
    rates = []
    for _ in range(20):
        rates.append(float(adam._rate()))
        adam.count.add_(1)
    assert rates == pytest.approx([0.5 * min(t / 2, (20 - t) / 18) for t in range(20)], abs=1e-12)
    # The same function twice: what is cosine by name is cosine by hand.
    by_hand = Adam({"x": torch.ones(3)}, 0.5, lambda done: 0.5 * (1 + torch.cos(torch.pi * done)), total=20)
    by_name = Adam({"x": torch.ones(3)}, 0.5, "cosine", total=20)
    for one in (by_hand, by_name):
        one.count.fill_(7)
    assert float(by_hand._rate()) == pytest.approx(float(by_name._rate()), abs=1e-15)


def test_equals_torch_adam_with_coupled_decay():
    torch.manual_seed(0)
    mine = {"a": torch.randn(2, 3, dtype=torch.float64), "b": torch.randn(2, 1, 4, dtype=torch.float64)}
    theirs = [value.clone().requires_grad_() for value in mine.values()]
    optimiser = torch.optim.Adam(theirs, lr=1e-2, weight_decay=0.1)
    adam = Adam(mine, 1e-2, coupled_decay=0.1)
    for _ in range(50):
        gradients = {name: torch.randn_like(value) for name, value in mine.items()}
        adam.update(mine, gradients)
        for value, gradient in zip(theirs, gradients.values(), strict=True):
            value.grad = gradient
        optimiser.step()
    for value, expected in zip(mine.values(), theirs, strict=True):
        torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)


def test_gradients_are_clipped_seed_by_seed():
    torch.manual_seed(0)
    scale = torch.tensor([0.01, 1.0, 100.0], dtype=torch.float64)
    gradients = {
        "a": torch.randn(3, 4, dtype=torch.float64) * scale[:, None],
        "b": torch.randn(3, 1, 5, dtype=torch.float64) * scale[:, None, None],
    }
    shortened, norms = clipped(gradients, 0.25), gradient_norm(gradients)
    for seed in range(3):
        own = [gradient[seed].clone().requires_grad_() for gradient in gradients.values()]
        for part, gradient in zip(own, gradients.values(), strict=True):
            part.grad = gradient[seed].clone()
        total = torch.nn.utils.clip_grad_norm_(own, 0.25)
        torch.testing.assert_close(norms[seed], total)
        for part, mine in zip(own, shortened.values(), strict=True):
            torch.testing.assert_close(mine[seed], part.grad, rtol=1e-12, atol=0)
    assert torch.equal(shortened["a"][0], gradients["a"][0])  # short ones stay as they are, whatever the others do


def test_adam_moves_by_clipped_gradients():
    long, short = {"x": torch.full((1, 2), 1e3)}, {"x": torch.full((1, 2), 0.25 / 2**0.5)}
    one, other = {"x": torch.zeros(1, 2)}, {"x": torch.zeros(1, 2)}
    adam, plain = Adam(one, 0.1, clip=0.25), Adam(other, 0.1)
    # Two steps, since the first is as long for any gradient.
    for gradients in (long, {"x": torch.tensor([[0.1, 0.0]])}):
        adam.update(one, gradients)
        plain.update(other, short if gradients is long else gradients)
    torch.testing.assert_close(one["x"], other["x"])


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler, so nothing is compiled")
def test_compiled_code_makes_what_all_parameters_share_once():
    # Within the loops over parameters, powers and cosines would take longer than all else there.
    from torch._inductor.utils import run_and_get_cpp_code

    parameters = {str(size): torch.randn(size, 64) for size in (30, 40, 50)}
    adam = Adam(parameters, 1e-3, "cosine", total=10)
    gradients = {name: value + 1 for name, value in parameters.items()}
    with torch._inductor.config.patch(force_disable_caches=True):
        _, code = run_and_get_cpp_code(compiled(adam.update, torch.device("cpu")), parameters, gradients)
    assert code.count("std::pow(") == 2
    assert code.count("std::cos(") == 1
