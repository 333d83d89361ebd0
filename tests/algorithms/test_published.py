import csv

from offbench.algorithms import registry
from offbench.algorithms.published import published_scores
from offbench.catalog.cards import cards


def test_every_score_is_of_an_algorithm_and_a_dataset_that_exist():
    known = cards()
    for score in published_scores():
        assert score.algorithm in registry.OURS
        assert score.dataset in known
        if score.settings:
            name, _, value = score.settings.partition("=")
            registry.configure(registry.algorithm(score.algorithm), score.dataset, {name: float(value)})
        assert score.seeds > 1
        assert score.std >= 0


def test_scores_of_one_algorithm():
    (score,) = [s for s in published_scores("rebrac") if s.dataset == "d4rl/hopper-medium-v2"]
    assert (score.mean, score.std, score.seeds) == (102.29, 0.17, 4)
    assert {s.settings for s in published_scores("bc")} == {"", "top_fraction=0.1"}
    assert published_scores("nowhere:Nothing") == []


def test_scores_agree_with_the_table_they_were_taken_from(shared):
    names = {"BC": "bc", "TD3+BC": "td3_bc", "AWAC": "awac", "CQL": "cql", "IQL": "iql", "ReBRAC": "rebrac"}
    names |= {"SAC-N": "sac_n", "EDAC": "edac", "DT": "dt", "10% BC": "bc"}
    own = {(s.algorithm, s.settings, s.dataset): (s.mean, s.std, s.seeds) for s in published_scores()}
    with (shared / "reference_scores" / "corl_offline_published.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["statistic"] == "last"]
    for row in rows:
        settings = "top_fraction=0.1" if row["method"] == "10% BC" else ""
        expected = float(row["normalized_mean"]), float(row["normalized_std"]), int(row["seeds"])
        assert own[names[row["method"]], settings, f"d4rl/{row['dataset']}"] == expected
    assert len(rows) == sum(s.source.startswith("CORL") for s in published_scores()) == 300
