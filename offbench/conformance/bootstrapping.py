"""The checks of bootstraps: what an `Algorithm` learns from next observations, which are shifted where some end."""

from __future__ import annotations

from dataclasses import replace

from offbench.conformance.check import BrokenError, NotCheckedError, require
from offbench.conformance.subject import State, Subject, coming_batch, difference
from offbench.conformance.toys import toy

SHIFT = 3.0  # of next observations, in standard deviations of the toy's states


def terminations(subject: Subject) -> None:
    """Nothing is bootstrapped from what follows a termination."""
    if difference(_first_updates(subject)[0], _first_updates(subject, ended=SHIFT)[0]) == 0:
        return
    # CQL looks at what the policy does at next observations, whatever ended there, without a value of them. Only a
    # bootstrap is discounted: what does not depend on the discount, where next values do, comes from elsewhere.
    if _depends_on_discount(subject, going_on=SHIFT) and not _depends_on_discount(subject, ended=SHIFT):
        return
    raise BrokenError(
        "updates depend on next observations of terminated transitions: it bootstraps through terminations; multiply "
        "the value of next observations by (1 - batch.terminations)"
    )


def _depends_on_discount(subject: Subject, **shift: float) -> bool:
    """Whether what a shift of next observations does to the first metrics changes with the discount."""
    if "discount" not in subject.fields:
        return False
    myopic = replace(subject, changes={**subject.changes, "discount": 0.0})
    effects = []
    for one in (subject, myopic):
        usual, shifted = _first_updates(one)[1], _first_updates(one, **shift)[1]
        effects.append({name: shifted[name] - usual[name] for name in usual})
    return difference(*effects) > 1e-9


def truncations(subject: Subject) -> None:
    """A truncation is no termination."""
    if not _bootstraps(subject):
        raise NotCheckedError("it learns nothing from next observations, so it does not bootstrap")
    ended, cut = (subject.trained([0, 1], 4, data=toy(length=3, ends=ends)) for ends in ("terminated", "truncated"))
    require(
        len(ended.data) != len(cut.data) or difference(ended.algorithm.state(), cut.algorithm.state()) > 0,
        "truncated episodes teach the same as terminated ones: it does not bootstrap through truncations; only "
        "batch.terminations ends the sum of rewards",
    )


def _bootstraps(subject: Subject) -> bool:
    """Whether updates depend on next observations where nothing ended."""
    return difference(_first_updates(subject)[0], _first_updates(subject, going_on=SHIFT)[0]) > 0


def _first_updates(subject: Subject, ended: float = 0.0, going_on: float = 0.0) -> tuple[State, State]:
    """State and metrics after one update of each kind, with a shift of next observations where episodes end or not.

    Raises:
        NotCheckedError: batches have no next observations, or this one has no transition that was terminated.
    """
    g = subject.group([0, 1], toy(length=3), batch_size=64)
    metrics: State = {}
    for phase in range(g.algorithm.period):
        g.algorithm.phase = phase
        batch = coming_batch(g)
        own = getattr(batch, "transitions", batch)  # those beside comparisons
        if not {"next_observations", "terminations"} <= set(own._fields):
            raise NotCheckedError("its batches have no next observations, so it does not bootstrap")
        terminal = own.terminations.unsqueeze(-1)
        if not 0 < float(terminal.mean()) < 1:
            raise NotCheckedError("its batch holds no terminated transition; a larger batch_size would have some")
        shifted = own._replace(next_observations=own.next_observations + ended * terminal + going_on * (1 - terminal))
        metrics |= g.algorithm.update(shifted if own is batch else batch._replace(transitions=shifted))
        g.algorithm.count.add_(1)
    return g.algorithm.state(), metrics
