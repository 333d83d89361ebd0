"""Which configurations a tuning tries next: by chance, or by Optuna's tree-structured Parzen estimator (TPE).

What is proposed depends on the study and on what earlier trials came to, and on nothing that a process remembers: a
tuning that goes on after a crash proposes what an undisturbed one would have. TPE is therefore told all earlier trials
anew for each batch, with a seed of that batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from offbench.algorithms import registry
from offbench.algorithms.method import Method, made
from offbench.errors import OffbenchError
from offbench.nn.random import stream
from offbench.sweep.space import Range, Values, drawn
from offbench.sweep.study import STARTUP, Study
from offbench.sweep.trials import Trial

# Draws for each trial, beyond which a space is taken to hold no further configuration.
PATIENCE = 100


def check_space(study: Study) -> None:
    """Refuse a space that does not hold as many configurations as there are to be trials, with an OffbenchError."""
    _by_chance(study)


def next_batch(study: Study, trials: Sequence[Trial]) -> list[Method]:
    """The configurations that are tried next: all of them, or as many as TPE proposes at a time.

    Args:
        study: what is tuned.
        trials: those before, all of which have come to something.

    Raises:
        OffbenchError: see `check_space`; or Optuna is not installed.
    """
    if study.search.tuner == "random":
        return _by_chance(study)[len(trials) :]
    count = min(study.search.batch, study.search.trials - len(trials))
    return _by_tpe(study, trials, count)


def _by_chance(study: Study) -> list[Method]:
    """The draws of a sweep, those that were drawn before left out: more trials keep those that were made."""
    found: dict[str, Method] = {}
    seen: set[str] = set()
    wanted, algorithm = study.search.trials, registry.find(study.algorithm)
    for number in range(PATIENCE * wanted + 1000):
        changes = drawn(study.space, stream(study.search.search_seed, f"sweep/{study.algorithm}", number))
        text = json.dumps(changes)
        if text in seen:
            continue
        seen.add(text)
        method = Method(study.algorithm, {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()})
        # By what the algorithm makes of it, for which 1 and 1.0 are one.
        found.setdefault(repr(registry.configure(algorithm, "", method.changes)), method)
        if len(found) == wanted:
            return list(found.values())
    raise OffbenchError(
        f"the space of {study.algorithm} holds {len(found)} configurations, and {wanted} trials were asked for; widen "
        f"it, or ask for {len(found)}"
        if len(found) > 1
        else f"the space of {study.algorithm} holds a single configuration, so there is nothing to choose; name "
        "several values or a range"
    )


def optuna_version() -> str:
    """The version of Optuna.

    Raises:
        OffbenchError: it is not installed.
    """
    return str(_optuna().__version__)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise OffbenchError("the tuner tpe needs Optuna: pip install 'offbench[tuning]'") from error
    return optuna


def _by_tpe(study: Study, trials: Sequence[Trial], count: int) -> list[Method]:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(stream(study.search.search_seed, "tune/tpe", len(trials)).integers(2**31))
    # What is being tried counts as bad, so that the trials of a batch keep away from each other.
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
    asked = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {name: _distribution(optuna, values) for name, values in study.space.items()}
    states = optuna.trial.TrialState
    for trial in trials:
        parameters = {name: _told(study.space[name], value) for name, value in trial.method.changes.items()}
        asked.add_trial(
            optuna.trial.create_trial(
                state=states.COMPLETE if trial.value is not None else states.FAIL,
                value=trial.value,
                params=parameters,
                distributions=distributions,
            )
        )
    proposed = [asked.ask(distributions).params for _ in range(count)]
    return [
        made(study.algorithm, {name: _value(study.space[name], given) for name, given in parameters.items()})
        for parameters in proposed
    ]


def _distribution(optuna: Any, values: Values) -> Any:
    """Numbers as such; values of a list by their place in it, for Optuna knows no lists as values."""
    if not isinstance(values, Range):
        return optuna.distributions.CategoricalDistribution(range(len(values)))
    if values.is_whole:
        return optuna.distributions.IntDistribution(values.low, values.high, log=values.log)
    return optuna.distributions.FloatDistribution(values.low, values.high, log=values.log)


def _told(values: Values, value: Any) -> Any:
    if isinstance(values, Range):
        return value
    return [tuple(each) if isinstance(each, list) else each for each in values].index(value)


def _value(values: Values, told: Any) -> Any:
    return told if isinstance(values, Range) else values[told]
