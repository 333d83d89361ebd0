"""The watcher of updates refuses each thing that a GPU cannot record, and nothing else."""

import re

import broken
import numpy as np
import pytest
import torch

from offbench.algorithms import registry
from offbench.conformance import device as module
from offbench.conformance.check import BrokenError, NotCheckedError
from offbench.conformance.device import device
from offbench.conformance.subject import Subject

HOST = r"update reads numbers on the host \({}\), .*torch\.where for an if"
SHAPE = r"update makes a tensor whose shape depends on numbers \({}\)"
DRAWN = r"update draws from a generator \({}\), .*batch\.noise"
CPU = r"{} uses a tensor of the CPU where the algorithm may be on another device \({}\)"
# What an update does with the advantages beside what is right, and the sentence. None of it changes a number.
WRONG = {
    "item": (lambda a: a.max().item(), HOST.format("item")),
    "float": (lambda a: float(a.max()), HOST.format("__float__|item")),
    "int": (lambda a: int(a.max()), HOST.format("__int__|item")),
    "bool": (lambda a: bool(a.max() > 0), HOST.format("__bool__|item")),
    "if": (lambda a: 1 if a.max() > 0 else 2, HOST.format("__bool__|item")),
    "tolist": (lambda a: a.tolist(), HOST.format("tolist")),
    "numpy": (lambda a: np.asarray(a.detach()), HOST.format("__array__|numpy")),
    "cpu": (lambda a: a.cpu(), HOST.format("cpu")),
    "equal": (lambda a: torch.equal(a, a), HOST.format("equal")),
    "nonzero": (lambda a: a.nonzero(), SHAPE.format("nonzero")),
    "masked_select": (lambda a: a.masked_select(a > 0), SHAPE.format("masked_select")),
    "mask": (lambda a: a[a > 0], SHAPE.format("a tensor is indexed by a mask")),
    "mask that is written to": (lambda a: a.clone().__setitem__(a > 0, a[0, 0]), SHAPE.format("a tensor is .*")),
    "unique": (lambda a: a.detach().unique(), SHAPE.format(".*unique.*")),
    "rand": (lambda a: torch.rand(3, device=a.device), DRAWN.format("rand")),
    "randn_like": (lambda a: torch.randn_like(a), DRAWN.format("randn_like")),
    "bernoulli": (lambda a: torch.bernoulli(torch.full_like(a, 0.5)), DRAWN.format("bernoulli.*")),
    "dropout": (lambda a: torch.nn.functional.dropout(a), DRAWN.format(".*")),
    "a generator of its own": (
        lambda a: torch.rand(3, device=a.device, generator=torch.Generator().manual_seed(0)),
        DRAWN.format("rand"),
    ),
    "zeros": (lambda a: a + torch.zeros(16), CPU.format("update", "zeros")),
    "numbers": (lambda a: a * torch.tensor([1.0], device=a.device), CPU.format("update", ".*")),
    "to": (lambda a: a.to("cpu"), CPU.format("update", "_to_copy")),
}


def sound_but(wrong):
    class Algorithm(broken.Sound):
        def weights(self, advantages):
            wrong(advantages)
            return super().weights(advantages)

    return Subject(Algorithm)


@pytest.mark.parametrize("name", WRONG)
def test_an_update_that_a_gpu_cannot_record_is_refused(name):
    wrong, sentence = WRONG[name]
    with pytest.raises(BrokenError) as found:
        device(sound_but(wrong))
    assert re.search(sentence, str(found.value)), found.value
    assert "test_device.py, line" in str(found.value)


def test_what_a_gpu_can_record_passes():
    def fine(a):
        index = (a > 0).long().sum(1, keepdim=True).clamp(max=1)
        return torch.where(a > 0, a, 0).gather(1, index), a[:, torch.arange(3, device=a.device)], len(a), a.shape[1]

    device(sound_but(fine))
    device(Subject(broken.Sound))


def test_a_policy_that_takes_the_cpu_for_granted_is_refused():
    class Policy(broken.Sound):
        def act(self, observations):
            return super().act(observations) * torch.ones(2)

    with pytest.raises(BrokenError, match=CPU.format("the policy", "ones")):
        device(Subject(Policy))


def test_a_buffer_that_is_left_on_the_cpu_is_found():
    class Buffer(broken.Sound):
        def build(self):
            super().build()
            self.scale = torch.ones(len(self.seeds), 1)

        def weights(self, advantages):
            return super().weights(advantages * self.scale)

    with pytest.raises(BrokenError, match=CPU.format("update", "mul")):
        device(Subject(Buffer))


def test_every_kind_of_update_is_watched():
    class Second(broken.Sound):
        period = 2

        def update(self, batch):
            if self.phase == 1:
                batch.rewards.tolist()
            return super().update(batch)

    with pytest.raises(BrokenError, match=HOST.format("tolist")):
        device(Subject(Second))


def test_what_rests_on_numbers_that_are_fitted_is_not_checked_elsewhere():
    class Prepared(broken.Sound):
        def prepare(self, data, say):
            self.offset = data.rewards.mean()

        def weights(self, advantages):
            return super().weights(advantages + self.offset)

    with pytest.raises(NotCheckedError, match="rest on what prepare fits"):
        device(Subject(Prepared))


def test_every_method_of_ours_is_watched_to_the_end(monkeypatch):
    """Of none is it said that it could not be checked, and acting is watched for all."""
    acted = []
    monkeypatch.setattr(module, "_act", lambda algorithm: acted.append(type(algorithm)))
    for name in registry.OURS:
        device(Subject(registry.algorithm(name)))
    assert acted == [registry.algorithm(name) for name in registry.OURS]
