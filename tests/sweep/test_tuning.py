"""A tuning chooses on some seeds and reports of others, spends what it says, and is the same after a crash."""

import json
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_runs import results

from offbench.catalog.loading import load
from offbench.errors import OffbenchError
from offbench.evaluation.record_files import read_records
from offbench.evaluation.tuning_budget import tuning_curve
from offbench.formats import native
from offbench.report.table import build
from offbench.selection import estimation
from offbench.selection.candidates import actions_of, candidates, first_states, next_states, view_of
from offbench.selection.fqe import FQEConfig
from offbench.sweep.local import run_here
from offbench.sweep.proposals import next_batch
from offbench.sweep.state import Sweep, standings
from offbench.sweep.study import Search, study
from offbench.sweep.trials import FILE, Notebook, Outcome, best
from offbench.sweep.tuning import search, tune
from offbench.training.finished import evaluate
from offbench.training.interruption import Interrupted

SPACE = {"expectile": {"low": 0.5, "high": 0.9}, "batch_size": [8, 16], "hidden": [[8]]}
OPTIONS = {"steps": 8, "seeds": 2, "episodes": 2, "compile": "never", "evaluate_every": 4}
FAST = FQEConfig(hidden=(8,), updates=30, discount=0.9)


def small(file, space=SPACE, algorithm="iql", options=OPTIONS, **search):
    files = [str(file)] if isinstance(file, str) or not isinstance(file, list) else [str(each) for each in file]
    chosen = Search(**{"trials": 4, "test_seeds": 2} | search)
    return study(algorithm, files, space, chosen, options, FAST if chosen.select == "fqe" else None)


def here(count):
    return lambda left, listener: run_here(left, listener, quiet=True, device="cpu"), 1


def made(wanted, folder, engines=here):
    return tune(wanted, folder, engines, "cpu", quiet=True)


@pytest.fixture(scope="module")
def undisturbed(pendulum_file, tmp_path_factory):
    folders = {tuner: tmp_path_factory.mktemp(tuner) for tuner in ("random", "tpe")}
    return {
        tuner: (folder, made(small(pendulum_file, tuner=tuner, batch=2), folder)) for tuner, folder in folders.items()
    }


# ------------------------------------------------------------------ the protocol


def normals_maximum(count):
    """E max of so many standard normals, by numerical integration."""
    x = np.linspace(-9, 9, 20_001)
    below = np.array([0.5 * (1 + math.erf(one / math.sqrt(2))) for one in x])
    density = count * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * below ** (count - 1)
    return float((x * density).sum() * (x[1] - x[0]))


@pytest.mark.parametrize(("configurations", "seeds", "spread"), [(8, 1, 0.0), (8, 3, 0.0), (32, 5, 0.0), (8, 3, 0.5)])
def test_the_result_is_unbiased_and_the_number_that_was_chosen_by_is_not(
    configurations, seeds, spread, pendulum_file, tmp_path, monkeypatch
):
    """Synthetic results: true scores N(0, spread^2), seeds N(0, 1) around them; specs as the table of the protocol."""
    monkeypatch.setattr(Notebook, "write", lambda self: None)
    wanted = study("iql", [str(pendulum_file)], SPACE, Search(trials=configurations), {"seeds": seeds})
    methods = None
    rng, optimism, errors = np.random.default_rng(0), [], []
    for _ in range(1500):
        true = spread * rng.normal(size=configurations)
        tuning = true[:, None] + rng.normal(size=(configurations, len(wanted.seeds)))
        test = true[:, None] + rng.normal(size=(configurations, len(wanted.test_seeds)))
        notebook = Notebook(wanted, tmp_path, {})
        if methods is None:
            chosen = search(notebook, lambda trials, tuning=tuning: worth(trials, tuning))
            methods = [trial.method for trial in notebook.trials]
        else:  # the same configurations, which are not drawn anew
            notebook.ask(methods)
            chosen = search(notebook, lambda trials, tuning=tuning: worth(trials, tuning))
        optimism.append(chosen.value - true[chosen.number])
        errors.append(test[chosen.number].mean() - true[chosen.number])
    standard_error = np.std(errors, ddof=1) / math.sqrt(len(errors))
    assert abs(np.mean(errors)) < 3 * standard_error
    expected = 0.619 if spread else normals_maximum(configurations) / math.sqrt(seeds)
    assert np.mean(optimism) == pytest.approx(expected, abs=3.5 * np.std(optimism) / math.sqrt(len(optimism)))
    assert np.mean(optimism) > 10 * standard_error


def worth(trials, tuning):
    return {trial.number: Outcome(float(tuning[trial.number].mean())) for trial in trials}


def test_the_closed_form_is_that_of_the_protocol():
    assert normals_maximum(8) == pytest.approx(1.4236, abs=1e-4)
    assert normals_maximum(32) == pytest.approx(2.0697, abs=1e-4)


# ------------------------------------------------------------------ what is kept


def test_records_say_what_was_tried_what_it_cost_and_what_they_are(undisturbed):
    folder, done = undisturbed["random"]
    trials = read_records([folder / "trials"])
    assert len(trials) == 8
    assert {record.seed for record in trials} == {0, 1}
    assert all(record.is_trial and record.tuning_runs == 0 for record in trials)
    result = read_records([folder / "result"])
    assert [record.seed for record in result] == [2, 3]
    for record in result:
        said = record.tuning
        assert (said.role, said.kind, said.tuner, said.objective) == ("result", "online", "random", "last")
        assert (said.seeds, said.trials, said.trial, said.failed) == ([0, 1], 4, done.chosen.number, 0)
        assert (said.runs, record.tuning_runs, said.episodes) == (8, 8, 4 * 2 * 2)
        assert said.space == {
            "expectile": {"low": 0.5, "high": 0.9, "scale": "linear"},
            "batch_size": [8, 16],
            "hidden": [[8]],
        }
        assert said.datasets == ["tiny.offbench"]
        assert record.config["expectile"] == done.chosen.method.changes["expectile"]
    means = {}
    for record in trials:
        means.setdefault(record.tuning.trial, []).append(record.final_score)
    assert done.chosen.number == max(means, key=lambda number: np.mean(means[number]))
    assert done.chosen.value == pytest.approx(np.mean(means[done.chosen.number]))


def test_a_result_that_is_scored_again_still_says_how_it_was_chosen(undisturbed):
    _, done = undisturbed["random"]
    again = evaluate(done.result[0].folder, episodes=1)
    assert [record.tuning for record in again] == [record.tuning for record in read_records([done.result[0].folder])]


def test_a_table_of_the_whole_folder_is_that_of_the_result(undisturbed):
    folder, _ = undisturbed["random"]
    whole = build(read_records([folder]))
    assert [cell.summary for cell in whole.cells] == [
        cell.summary for cell in build(read_records([folder / "result"])).cells
    ]
    assert "left out, because a configuration was chosen by them: iql on tiny, 8 runs" in whole.notes


def test_the_trials_are_a_pool_for_the_bandit(undisturbed):
    folder, _ = undisturbed["random"]
    trials = read_records([folder / "trials"])
    curve = tuning_curve([record.scores(record.evaluations[-1]) for record in trials], pulls=60, repetitions=300)
    best_policy = max(record.final_score for record in trials)
    assert curve.arms == 8
    assert curve.mean[0] <= curve.mean[-1] <= best_policy + 1e-9


# ------------------------------------------------------------------ going on


@pytest.mark.parametrize("tuner", ["random", "tpe"])
@pytest.mark.parametrize("runs", [1, 3, 4])
def test_a_tuning_that_was_stopped_goes_on_as_if_it_had_not_been(tuner, runs, undisturbed, pendulum_file, tmp_path):
    folder, done = undisturbed[tuner]
    wanted, left = small(pendulum_file, tuner=tuner, batch=2), [runs]

    def stopping(count):
        def engine(todo, listener):
            now, left[0] = min(left[0], len(todo)), left[0] - len(todo)
            run_here(todo[:now], listener, quiet=True, device="cpu")
            if left[0] < 0:
                raise Interrupted("enough")

        return engine, 1

    with pytest.raises(Interrupted):
        made(wanted, tmp_path, stopping)
    again = made(wanted, tmp_path)
    assert again.chosen == done.chosen
    assert (tmp_path / FILE).read_text() == (folder / FILE).read_text()
    assert [results(job) for job in again.result] == [results(job) for job in done.result]


def test_a_tuning_that_is_done_makes_nothing_and_asks_nobody(undisturbed, pendulum_file, monkeypatch):
    folder, done = undisturbed["tpe"]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json") if path.name != "sweep.json"}
    monkeypatch.setattr("offbench.sweep.tuning.next_batch", None)

    def none(count):
        return None, 1

    again = made(small(pendulum_file, tuner="tpe", batch=2), folder, none)
    assert again.chosen == done.chosen
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {each.kind for each in standings(Sweep.read(folder))} == {"done"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": 5}, "search.trials is 4 there and 5 is wanted"),
        ({"objective": "best"}, "search.objective is"),
        ({"options": OPTIONS | {"steps": 9}}, "options.steps is"),
        ({"space": {**SPACE, "batch_size": [8, 32]}}, "space.batch_size is"),
    ],
)
def test_another_tuning_in_the_same_folder_is_refused(changes, told, undisturbed, pendulum_file):
    folder, _ = undisturbed["random"]
    with pytest.raises(OffbenchError, match=f"holds another tuning: {told}.*--output"):
        made(small(pendulum_file, **changes), folder)


def test_trials_of_two_codes_are_not_compared(undisturbed, pendulum_file, tmp_path, monkeypatch):
    shutil.copytree(undisturbed["random"][0], tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("offbench.sweep.tuning.package_digest", lambda: "0" * 64)
    made(small(pendulum_file), tmp_path)  # nothing is left to be made
    shutil.rmtree(tmp_path / "result")
    with pytest.raises(OffbenchError, match="were made with another code of offbench"):
        made(small(pendulum_file), tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 2}', '{"schema_version": 1, "study": 3}'])
def test_a_damaged_file_is_one_sentence(text, pendulum_file, tmp_path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(OffbenchError, match="is not the file of a tuning"):
        made(small(pendulum_file), tmp_path)


# ------------------------------------------------------------------ failures, objectives, FQE


def test_trials_that_fail_are_spent_and_not_chosen(pendulum_file, tmp_path):
    space, options = {"level": {"low": 0.0, "high": 1.0}}, {"steps": 1, "seeds": 2, "episodes": 1}
    wanted = small(pendulum_file, space, "faulty_learners:Picky", options, trials=6)
    done = made(wanted, tmp_path)
    failed = [trial for trial in done.notebook.trials if trial.value is None]
    assert 0 < len(failed) < 6
    assert all(trial.method.changes["level"] > 0.5 for trial in failed)
    assert "is too high" in next(iter(failed[0].outcome.failed.values()))
    said = read_records([tmp_path / "result"])[0].tuning
    assert (said.failed, said.runs, said.episodes) == (len(failed), 12, 2 * (6 - len(failed)))
    text = (tmp_path / FILE).read_text()

    def unwilling(count):
        return lambda left, listener: pytest.fail("nothing is tried again"), 1

    made(wanted, tmp_path, unwilling)
    assert (tmp_path / FILE).read_text() == text


def test_where_all_trials_fail_the_first_reason_is_told_and_they_are_tried_again(pendulum_file, tmp_path):
    space, options = {"level": {"low": 0.6, "high": 1.0}}, {"steps": 1, "seeds": 1, "episodes": 1}
    wanted = small(pendulum_file, space, "faulty_learners:Picky", options, trials=3)
    for _ in range(2):
        with pytest.raises(OffbenchError, match=r"all 3 trials have failed, the first because: .* is too high"):
            made(wanted, tmp_path)
    assert all("value" not in trial for trial in json.loads((tmp_path / FILE).read_text())["trials"])


def test_a_configuration_that_comes_twice_is_made_once(pendulum_file, tmp_path, monkeypatch):
    space, options = {"torque": [0.0, 1.0, 2.0]}, {"steps": 1, "seeds": 1, "episodes": 1}
    wanted = small(pendulum_file, space, "faulty_learners:Pushing", options, trials=3, tuner="tpe", batch=3)
    monkeypatch.setattr(
        "offbench.sweep.tuning.next_batch",
        lambda study, trials: (
            [next_batch(study, trials)[0]] * 2
            if not trials
            else [next(m for m in next_batch(study, trials) if m != trials[0].method)]
        ),
    )
    done = made(wanted, tmp_path)
    first, same, other = done.notebook.trials
    assert first.value == same.value != other.value
    assert len(os.listdir(tmp_path / "trials")) == 2
    assert read_records([tmp_path / "result"])[0].tuning.runs == 2
    assert best(done.notebook.trials).number == done.chosen.number


@pytest.mark.parametrize("objective", ["best", "auc"])
def test_the_curve_counts_where_it_is_asked_for(objective, pendulum_file, tmp_path):
    done = made(small(pendulum_file, trials=2, objective=objective), tmp_path)
    for trial in done.notebook.trials:
        records = read_records([tmp_path / "trials" / f"{trial.number:03d}"])
        curves = np.array([[record.scores(one).mean() for one in record.evaluations] for record in records])
        assert curves.shape == (2, 2)
        assert trial.value == pytest.approx(curves.max(1).mean() if objective == "best" else curves.mean())
    said = read_records([tmp_path / "result"])[0].tuning
    assert (said.objective, said.episodes) == (objective, 2 * 2 * 2 * 2)  # trials, seeds, evaluations, episodes


def test_one_configuration_is_chosen_for_all_datasets(pendulum_file, other_file, tmp_path):
    done = made(small([pendulum_file, other_file], trials=2), tmp_path)
    for trial in done.notebook.trials:
        records = read_records([tmp_path / "trials" / f"{trial.number:03d}"])
        assert len(records) == 4
        assert trial.value == pytest.approx(np.mean([record.final_score for record in records]))
    result = read_records([tmp_path / "result"])
    assert len({record.dataset_digest for record in result}) == 2
    assert len({record.config["expectile"] for record in result}) == 1
    assert {(record.tuning.runs, tuple(record.tuning.datasets)) for record in result} == {
        (8, ("tiny.offbench", "other.offbench"))
    }


@pytest.fixture(scope="module")
def other_file(pendulum_file, tmp_path_factory):
    data = native.load(pendulum_file)
    path = tmp_path_factory.mktemp("data") / "other.offbench"
    native.save(data[:10], path)
    return path


def test_fqe_chooses_without_an_episode(pendulum_file, tmp_path):
    wanted = small(pendulum_file, trials=3, select="fqe")
    done = made(wanted, tmp_path)
    values = [trial.value for trial in done.notebook.trials]
    assert done.chosen.number == int(np.argmax(values))
    said = read_records([tmp_path / "result"])[0].tuning
    assert (said.kind, said.objective, said.runs, said.episodes) == ("ope", "fqe", 6, 0)
    assert said.settings["fqe"]["updates"] == 30


def test_fqe_says_of_each_policy_what_it_says_of_all_at_once(pendulum_file, undisturbed, monkeypatch):
    folder, _ = undisturbed["random"]
    found = candidates(sorted(path.parent for path in folder.glob("trials/*/*/manifest.json")))
    view = view_of(found, load(pendulum_file), "tiny", "cpu")
    together = estimation.fqe_values(found, view, FAST)
    policies = [one.policy for one in found]
    fitted = estimation.fit(view, actions_of(policies, view, next_states(view)), FAST)
    starts = view.batch(view.first_steps.unsqueeze(0)).observations[0]
    said = fitted.at(starts, actions_of(policies, view, first_states(view)))
    np.testing.assert_allclose(together, said[:, 0], rtol=1e-5)
    monkeypatch.setattr(estimation, "MOST_BYTES", 3 * len(view) * 4)
    np.testing.assert_allclose(estimation.fqe_values(found, view, FAST), together, rtol=1e-4)


def test_a_choice_by_episodes_takes_a_task(pendulum_file, tmp_path):
    data = native.load(pendulum_file)
    path = tmp_path / "bare.offbench"
    bare = replace(data, actions=data.actions / 2, provenance=replace(data.provenance, task=None))
    native.save(bare, path)
    with pytest.raises(OffbenchError, match="names no task, so there are no episodes to choose by"):
        made(small(path), tmp_path / "out")
    done = made(small(path, trials=2, select="fqe"), tmp_path / "fqe")
    assert done.chosen.value is not None
