"""Playing an entry's policies again: on the starts of its records, and on starts that nobody knew when it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.rollout import returns
from offbench.leaderboard.agreement import FALSE_ALARMS, fresh_p_values, holm, replay_p_value, standard_error
from offbench.leaderboard.bounds import bounds
from offbench.leaderboard.completeness import task_of, where
from offbench.leaderboard.contents import Contents, last
from offbench.leaderboard.entry import Check, Remeasured
from offbench.leaderboard.profile import Signature, check_policy
from offbench.leaderboard.sandbox import Limits, Sandbox, SandboxedPolicy
from offbench.leaderboard.suite import Suite, SuiteTask
from offbench.nn.random import stream

# Where a policy's return on a start does not depend on rounding, this share of the episodes must be the records', to a
# point of score; the others may have stood on an edge.
REPEATED, NEAR = 0.8, 1.0


@dataclass(frozen=True)
class Played:
    """Scores of one task's policies; one array (episodes,) a seed in each.

    Attributes:
        claimed: of the records' last evaluations.
        replayed: of the same policies on the same starts.
        fresh: on starts that were drawn afterwards.
    """

    claimed: list[Array]
    replayed: list[Array]
    fresh: list[Array]


def check_policies(contents: Contents, suite: Suite) -> str:
    """Every policy is within the closed profile, for the sizes of its task."""
    if not contents.policies:
        return "no policies: records alone, so that the scores stay self-reported"
    for task in suite.tasks:
        signatures(contents, task)
    return f"{len(contents.policies)} policies of standard operators, complete in themselves"


def signatures(contents: Contents, task: SuiteTask) -> dict[int, Signature]:
    """What the policies of a task remember, by seed; see `check_policy` for what is raised."""
    simulator = make_simulator(task_of(task), 1)
    try:
        observation, action = simulator.observation_size, len(simulator.action_low)
    finally:
        simulator.close()
    found = {}
    for record in contents.of(task):
        content = contents.policies[record.dataset, record.seed]
        found[record.seed] = check_policy(content, observation, action, f"the policy of {where(record)}")
    return found


def drawn_starts(start_seed: int, record: RunRecord, episodes: int) -> list[int]:
    """The (episodes,) different environment seeds on which a policy is played, given the secret they are drawn with."""
    drawn = stream(start_seed, "verification", record.dataset, record.seed).integers(2**31, size=2 * episodes + 8)
    known = set(last(record).environment_seeds)
    return [seed for seed in dict.fromkeys(drawn.tolist()) if seed not in known][:episodes]


def play(
    contents: Contents,
    task: SuiteTask,
    episodes: int,
    start_seed: int,
    limits: Limits | None = None,
    say: Callable[[str], object] = lambda text: None,
    *,
    strict: bool = False,
) -> tuple[Played, tuple[str, ...]]:
    """Play the policies of one task in a sandbox of their own; also what protections were in force.

    Raises:
        OffbenchError: a policy is outside of the profile, fails, goes over a limit or gives what are no actions; or the
            kernel does not keep it from files, and ``strict`` asks for that.
    """
    found, known = task_of(task), signatures(contents, task)
    played = Played([], [], [])
    with Sandbox(limits) as sandbox:
        if strict and not any("landlock" in each or "seccomp" in each for each in sandbox.protections):
            raise OffbenchError("this kernel has neither landlock nor seccomp, so that no policy is played here")
        for record in contents.of(task):
            say(f"playing the policy of {where(record)}")
            content = contents.policies[record.dataset, record.seed]
            claimed = last(record)
            starts = [*claimed.environment_seeds, *drawn_starts(start_seed, record, episodes)]
            simulator = make_simulator(found, len(starts))
            try:
                policy = SandboxedPolicy(
                    sandbox,
                    content,
                    known[record.seed],
                    len(simulator.action_low),
                    f"the policy of {where(record)}",
                )
                scores = found.score(returns(simulator, policy, starts)[0])
            finally:
                simulator.close()
            count = len(claimed.returns)
            played.claimed.append(found.score(claimed.returns))
            played.replayed.append(scores[:count])
            played.fresh.append(scores[count:])
        return played, sandbox.protections


def compare(dataset: str, played: Played, generator: np.random.Generator) -> Remeasured:
    """Claimed against measured scores of one task."""
    p_mean, p_seeds = fresh_p_values(played.claimed, played.fresh, generator)
    pairs = zip(played.claimed, played.replayed, strict=True)
    return Remeasured(
        dataset=dataset,
        claimed=_mean(played.claimed),
        measured=_mean(played.fresh),
        replayed=_mean(played.replayed),
        standard_error=standard_error(played.claimed, played.fresh),
        p_value=p_mean,
        p_value_seeds=p_seeds,
        p_value_replayed=replay_p_value([one - other for one, other in pairs], generator),
        seeds=len(played.claimed),
        episodes=min(len(each) for each in played.fresh),
    )


def _mean(scores: Sequence[Array]) -> float:
    return float(np.mean([each.mean() for each in scores]))


def check_agreement(remeasured: Sequence[Remeasured]) -> Check:
    """Whether claimed and measured scores agree on all tasks, at `FALSE_ALARMS` for all of them together."""
    name = "claimed against measured"
    rejected = holm(p_values(remeasured))
    if not rejected:
        return Check(
            name=name,
            passed=True,
            message=f"claims agree with what the policies earn on {len(remeasured)} tasks (an honest entry is "
            f"refused here with a probability of at most {FALSE_ALARMS:.0%})",
        )
    dataset, test = rejected[0]
    found = next(each for each in remeasured if each.dataset == dataset)
    sentences = {
        "mean": f"on {dataset} the entry claims {found.claimed:.1f}, and its policies earn {found.measured:.1f} on "
        f"starts drawn afterwards (standard error {found.standard_error:.1f})",
        "seeds": f"on {dataset} the policies of the seeds earn other scores, seed by seed, than their records say: "
        "they are not the ones that were scored",
        "replay": f"on {dataset} the records say {found.claimed:.1f}, and their policies earn {found.replayed:.1f} on "
        "the very same starts",
    }
    return Check(name=name, passed=False, message=f"{sentences[test]}; p = {p_values(remeasured)[dataset, test]:.2g}")


def p_values(remeasured: Sequence[Remeasured]) -> Mapping[tuple[str, str], float]:
    """All p-values of an entry, by dataset and test."""
    found = {}
    for each in remeasured:
        found[each.dataset, "mean"] = each.p_value
        found[each.dataset, "seeds"] = each.p_value_seeds
        found[each.dataset, "replay"] = each.p_value_replayed
    return found


def check_repetition(task: SuiteTask, played: Played) -> None:
    """Refuse policies that do not earn again what their records say, where rounding decides nothing.

    Raises:
        OffbenchError: they do not; the seed is named.
    """
    known: Task = task_of(task)
    found = bounds(known)
    if found is None or not found.steady:
        return
    for seed, (claimed, replayed) in enumerate(zip(played.claimed, played.replayed, strict=True)):
        share = float((np.abs(claimed - replayed) <= NEAR).mean())
        if share < REPEATED:
            raise OffbenchError(
                f"the policy of seed {seed} on {task.dataset} earns what its record says in {share:.0%} of the "
                "episodes when "
                "it is played again from the same starts: it is not the one that was scored, or the record was changed"
            )
