"""The table that d3rlpy publishes, from its runs and the reference scores of D4RL (../shared/reference_scores)."""

import csv
from collections import defaultdict
from pathlib import Path

from offbench.catalog.cards import card
from offbench.environments.task import task
from offbench.evaluation.statistics import summarize

CELLS = 149


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_cells_of_d3rlpys_table_follow_from_its_runs(shared: Path) -> None:
    runs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows(shared / "reference_scores" / "d3rlpy_d4rl_runs.csv"):
        runs[row["method"], row["dataset"]].append(float(row["final_return"]))
    published = rows(shared / "reference_scores" / "d3rlpy_d4rl_published.csv")
    assert len(published) == CELLS
    wrong = []
    for row in published:
        returns = runs[row["method"], row["dataset"]]
        of_returns = summarize(returns)
        of_scores = summarize(task(card(f"d4rl/{row['dataset']}").task or "").score(returns))
        ours = {
            "final_return_mean": of_returns.mean,
            "final_return_std": of_returns.population_std,
            "final_normalized_mean": of_scores.mean,
            "final_normalized_std": of_scores.population_std,
        }
        wrong += [(row["method"], row["dataset"], name) for name, value in ours.items() if f"{value:.1f}" != row[name]]
    assert wrong == []
