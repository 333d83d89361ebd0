"""An evaluation by several processes: who plays which episodes, and how they are put together again."""

from __future__ import annotations

from offbench.evaluation.record import EvaluationRecord
from offbench.evaluation.rollout import environment_seeds
from offbench.training.crew import Team
from offbench.training.group import halves
from offbench.training.plan import Plan
from offbench.training.work import Job, Result, Updates


def scored(team: Team, here: Updates, number: int, step: int) -> list[EvaluationRecord]:
    """Evaluation ``number`` of all policies of a run after ``step`` updates, one record a seed.

    This process plays everything in one batch of environments, whose physics has a thread a core; halfcheetah took 2.9
    seconds so and 3.8 in two workers. Those share the work where acting is what takes long: policies with a memory.
    """
    if team.workers and here.has_memory:
        return played(team, here.plan, number, step)
    return here.evaluate(number, step)


def played(team: Team, plan: Plan, number: int, step: int) -> list[EvaluationRecord]:
    """Evaluation ``number`` of all policies of a run after ``step`` updates, by the processes of a team.

    Returns:
        One record a seed, in the order of the plan.
    """
    parts, groups = halves(plan.episodes), -(-len(plan.seeds) // plan.group_size)
    results: dict[tuple[int, int], Result] = {}
    pairs = [(group, part) for group in range(groups) for part in range(len(parts))]
    jobs: list[Job] = [{"do": "play", "group": group, "part": part, "number": number} for group, part in pairs]
    waiting = iter(jobs)

    def done(job: Job, result: Result) -> None:
        results[job["group"], job["part"]] = result

    team.work(lambda: next(waiting, None), done)
    records = []
    for row, seed in enumerate(plan.seeds):
        group, place = divmod(row, plan.group_size)
        whole: dict[str, list[float]] = {"returns": [], "lengths": []}
        for part, chosen in enumerate(parts):
            size = len(range(plan.episodes)[chosen])
            for name, values in whole.items():
                values += results[group, part][name][place * size : (place + 1) * size]
        starts = environment_seeds(seed, number, plan.episodes)
        records.append(EvaluationRecord.model_validate({"step": step, "environment_seeds": starts, **whole}))
    return records
