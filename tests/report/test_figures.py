"""The other figures: what is drawn are the statistics of the records."""

import numpy as np
import pytest
from PIL import Image
from synthetic_records import make_record, make_tuning, seeds

import offbench
from offbench.cli.report import commands
from offbench.data.trajectories import Trajectories
from offbench.errors import OffbenchError
from offbench.evaluation import aggregates
from offbench.evaluation.record_files import write_record
from offbench.report import aggregate_figure, budget_figure, improvement_figure, profile_figure, rollout_figure
from offbench.report.labels import read_labels
from offbench.report.scores import final_scores

SCORES = {
    "bc": {"maze_a": [10.0, 12.0, 14.0], "maze_b": [50.0, 60.0, 40.0]},
    "iql": {"maze_a": [80.0, 90.0, 110.0], "maze_b": [55.0, 45.0, 65.0]},
    "mine:Own": {"maze_a": [11.0, 70.0, 30.0], "maze_b": [52.0, 61.0, 70.0]},
}


def records(scores=SCORES):
    return [
        record
        for algorithm, by_dataset in scores.items()
        for dataset, values in by_dataset.items()
        for record in seeds(values, algorithm=algorithm, dataset=dataset)
    ]


def test_algorithms_that_lack_a_dataset_are_left_out_and_told():
    scores = {**SCORES, "cql": {"maze_b": [1.0, 2.0]}}
    found = final_scores(records(scores), read_labels(None))
    assert dict(found.algorithms) == {"bc": "BC", "iql": "IQL", "mine:Own": "Own"}
    assert found.notes == ("left out, because it has no runs on maze_a: cql",)
    np.testing.assert_allclose(found.scores["iql"], [[80, 90, 110], [55, 45, 65]])
    with pytest.raises(OffbenchError, match="no algorithm has runs on all 2 datasets"):
        final_scores(records({"bc": {"a": [1.0]}, "iql": {"b": [1.0]}}), read_labels(None))


def test_intervals_are_those_of_the_statistics():
    drawn = aggregate_figure.draw(records())
    assert [axes.get_title() for axes in drawn.figure.axes] == list(aggregate_figure.STATISTICS)
    assert len(drawn.data) == 12
    for row in drawn.data:
        statistic = aggregate_figure.STATISTICS[row["statistic"]]
        scores = list(SCORES[row["algorithm"]].values())
        assert row["value"] == statistic(scores)
        assert (row["low"], row["high"]) == aggregates.interval(statistic, scores)
        assert (row["datasets"], row["runs"]) == (2, 6)
    assert [tick.get_text() for tick in drawn.figure.axes[0].get_yticklabels()] == ["BC", "IQL", "Own"]
    single = aggregate_figure.draw(records({"bc": {"a": [10.0]}}))
    assert [(row["statistic"], row["value"], row["low"]) for row in single.data] == [
        ("IQM", 10, None), ("Mean", 10, None), ("Optimality gap", 90, None),
    ]  # fmt: skip


def test_profiles_fall_from_all_to_none_within_their_bands():
    drawn = profile_figure.draw(records())
    for algorithm, by_dataset in SCORES.items():
        rows = [row for row in drawn.data if row["algorithm"] == algorithm]
        shares = np.array([row["share"] for row in rows])
        thresholds = [row["threshold"] for row in rows]
        np.testing.assert_array_equal(shares, aggregates.performance_profile(list(by_dataset.values()), thresholds))
        assert (np.diff(shares) <= 0).all()
        assert (shares[0], shares[-1]) == (1, 0)
        assert all(row["low"] <= row["share"] <= row["high"] for row in rows)
    assert (thresholds[0], thresholds[-1]) == (0, 110)


def test_improvement_puts_the_better_one_first_and_compares_with_one_alone():
    drawn = improvement_figure.draw(records())
    assert [(row["algorithm"], row["over"]) for row in drawn.data] == [
        ("iql", "bc"), ("mine:Own", "bc"), ("iql", "mine:Own"),
    ]  # fmt: skip
    for row in drawn.data:
        pair = [list(SCORES[row[name]].values()) for name in ("algorithm", "over")]
        assert row["probability"] == aggregates.probability_of_improvement(*pair) >= 0.5
        assert (row["low"], row["high"]) == aggregates.improvement_interval(*pair)
    against = improvement_figure.draw(records(), over_whom="iql")
    assert [(row["algorithm"], row["over"]) for row in against.data] == [("bc", "iql"), ("mine:Own", "iql")]
    assert against.data[0]["probability"] == pytest.approx(1 - drawn.data[0]["probability"])
    with pytest.raises(OffbenchError, match=r"'iqI'.*iql"):
        improvement_figure.draw(records(), over_whom="iqI")
    with pytest.raises(OffbenchError, match="needs two algorithms; bc"):
        improvement_figure.draw(records({"bc": {"a": [1.0, 2.0]}}))


def test_a_tuning_budget_is_spent_on_all_configurations_of_an_algorithm():
    pool = [
        make_record([score, score], config={"rate": rate}, seed=seed)
        for rate, score in ((1.0, 10.0), (2.0, 90.0))
        for seed in (0, 1)
    ]
    drawn = budget_figure.draw(pool, pulls=8)
    assert {(row["algorithm"], row["policies"]) for row in drawn.data} == {("bc", 4)}
    means = [row["mean"] for row in drawn.data]
    assert means[0] == pytest.approx(50, abs=5)
    assert means[1] == pytest.approx(10 + 80 * 5 / 6, abs=5)  # 1 - (2 * 1) / (4 * 3)
    np.testing.assert_allclose(means[3:], 90)


def test_trials_are_the_pool_of_a_budget_and_their_result_is_not():
    pool = [
        make_record([score], config={"rate": rate}, seed=0, tuning=make_tuning(role="trial", trial=int(rate)))
        for rate, score in ((1.0, 10.0), (2.0, 90.0))
    ]
    chosen = make_tuning(runs=2, episodes=2, trial=2)
    result = make_record([50.0], config={"rate": 2.0}, seed=5, tuning=chosen, tuning_runs=2)
    other = make_record([70.0], algorithm="iql", seed=5)
    drawn = budget_figure.draw([*pool, result, other], pulls=4)
    assert {(row["algorithm"], row["policies"]) for row in drawn.data} == {("bc", 2), ("iql", 1)}
    assert drawn.data[3]["mean"] == pytest.approx(90)
    assert not drawn.notes


def test_rollouts_are_shown_from_worst_to_best_first_state_to_last():
    shown = rollout_figure.of_dataset("offbench/pendulum/swingup-v0", 3)
    assert isinstance(shown.episodes[0], Trajectories)
    returns = [float(episode.returns[0]) for episode in shown.episodes]
    assert returns == sorted(returns)
    drawn = rollout_figure.draw(shown, frames=3)
    assert [row["step"] for row in drawn.data] == [0, 100, 200] * 3
    assert len(drawn.figure.axes) == 9
    first, last = (np.asarray(drawn.figure.axes[place].images[0].get_array()) for place in (0, 2))
    assert first.shape == (180, 240, 3)
    assert not np.array_equal(first, last)


@pytest.mark.slow
def test_rollouts_of_a_run_are_the_episodes_of_its_last_evaluation(tmp_path):
    folder = tmp_path / "run"
    settings = {"seeds": 1, "steps": 20, "episodes": 5, "evaluate_every": 20, "compile": "never", "workers": 1}
    run = offbench.train("bc", "offbench/pendulum/swingup-v0", output=folder, quiet=True, **settings)
    shown = rollout_figure.of_run(folder, 3)
    returns = sorted(run.records[0].evaluations[-1].returns)
    assert [one.returns[0] for one in shown.episodes] == pytest.approx([returns[0], returns[2], returns[4]])
    assert rollout_figure.draw(shown, frames=2).data[0]["step"] == 0


def test_ranks_are_spread_evenly():
    returns = np.array([5.0, 1.0, 9.0, 3.0, 7.0])
    assert list(returns[rollout_figure.evenly(returns, 3)]) == [1, 5, 9]
    assert list(returns[rollout_figure.evenly(returns, 9)]) == [1, 3, 5, 7, 9]
    with pytest.raises(OffbenchError, match="0 of 5 episodes"):
        rollout_figure.evenly(returns, 0)


def test_the_command_writes_the_same_bytes_again(tmp_path, capsys):
    for number, record in enumerate(records()):
        write_record(record, tmp_path / "runs" / f"seed-{number}.json")
    for name in ("one", "two"):
        commands["figure"]("improvement", (tmp_path / "runs",), output=tmp_path / f"{name}.pdf", size="two-column")
    for suffix in (".png", ".pdf", ".csv"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width == 1350
    assert "wrote" in capsys.readouterr().out
    with pytest.raises(OffbenchError, match=r"not \.gif"):
        commands["figure"]("profiles", (tmp_path / "runs",), output=tmp_path / "one.gif")
    with pytest.raises(OffbenchError, match="one run or of one dataset"):
        commands["figure"]("rollouts", (tmp_path, tmp_path), output=tmp_path / "x.png")
