import pytest
import torch

from offbench.nn.adam import Adam


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
