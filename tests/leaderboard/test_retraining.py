"""Training anew finds what playing again cannot: claims that are the best of many runs."""

from dataclasses import replace

import numpy as np
import pytest
from honest_entries import PENDULUM, Draft, edited, linear, record_of, tiny

from offbench.errors import OffbenchError
from offbench.evaluation.record import digest_of
from offbench.leaderboard import isolation as isolations
from offbench.leaderboard import retraining as retrainings
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.hidden import make_hidden
from offbench.leaderboard.isolation import Isolation, container, isolation
from offbench.leaderboard.retraining import Retraining, compare, fresh_seeds, kept_from, retrain
from offbench.leaderboard.secret import Secret
from offbench.leaderboard.verification import Settings

CODE = """
import numpy as np

class Acts:
    def __init__(self, weights):
        self.weights = weights

    def act(self, observations):
        return observations @ self.weights

class Lucky:
    def fit(self, data, task, seed, budget):
        assert data.provenance.dataset != "offbench/pendulum/swingup-v0"
        return Acts(np.random.default_rng(seed).normal(size=(3, 1)))
"""
SEEDS, EPISODES = 5, 12
SECRET, SALT = Secret("0123456789abcdef" * 4), "00" * 16


def weights(seed, run):
    return np.random.default_rng([seed, run, 1]).normal(size=(3, 1))


def of_runs(runs):
    """Turns the honest entry into one of a lucky method: of each seed the best of so many runs."""

    def change(draft: Draft) -> None:
        draft.records, draft.policies = {}, {}
        draft.entry.update(algorithm="lucky:Lucky", method="Lucky")
        source = {"algorithm": "lucky:Lucky", "algorithm_digest": digest_of(CODE), "config": {}}
        for seed in range(SEEDS):
            made = []
            for run in range(runs):
                content = linear(weights(seed, run), np.zeros(1))
                record = record_of(PENDULUM, seed, content, EPISODES, config_digest=digest_of({}), **source)
                made.append((record.final_score, content, record))
            _, content, record = max(made, key=lambda each: each[0])
            draft.policies[PENDULUM, seed] = content
            draft.records[PENDULUM, seed] = record.model_dump(mode="json")

    return change


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "lucky.py"
    path.write_text(CODE)
    return path


@pytest.mark.slow
def test_the_best_of_twenty_runs_passes_verification_and_fails_training_anew(tmp_path, code):
    suite = tiny(PENDULUM).model_copy(update={"seeds": SEEDS})
    settings = Settings(episodes=24, start_seed=3, suite=suite)
    how = Retraining(code=code, seed=4)
    honest_one = retrain(edited(tmp_path / "one", of_runs(1), datasets=(PENDULUM,)), None, settings, how)
    assert honest_one.accepted, honest_one.refusals
    assert honest_one.level == "retrained"
    hidden_suite = suite.model_copy(update={"hidden": (PENDULUM,), "salt": SALT, "commitment": SECRET.commitment(SALT)})
    make_hidden(hidden_suite, SECRET, tmp_path / "hidden")
    beyond = retrain(
        tmp_path / "one", None, replace(settings, suite=hidden_suite), replace(how, hidden=tmp_path / "hidden")
    )
    assert beyond.level == "retrained on hidden tasks"
    (unclaimed,) = [each for each in beyond.retrained if not each.claimed]
    assert unclaimed.dataset.startswith("hidden/")
    assert unclaimed.p_value is None
    assert len(unclaimed.measured) == 2 * SEEDS
    best = retrain(edited(tmp_path / "best", of_runs(20), datasets=(PENDULUM,)), None, settings, how)
    assert [check.name for check in best.refusals] == ["training anew"]
    assert "as for the best of several runs" in best.refusals[0].message
    assert best.level == "re-evaluated"


def test_claims_are_compared_by_seeds(tmp_path):
    folder = edited(tmp_path / "entry", datasets=(PENDULUM,))
    contents, suite = read_contents(folder), tiny(PENDULUM)
    generator = np.random.default_rng(0)
    trained = list(contents.records.values())

    def raised(points):
        """Twenty trained seeds around scores that are so many points above the claims."""
        made = []
        for seed in range(20):
            last = trained[seed % 3].evaluations[-1]
            shifted = [value + 10.85 * (points + generator.normal()) for value in last.returns]
            evaluation = last.model_copy(update={"returns": shifted})
            made.append(trained[0].model_copy(update={"seed": 10**6 + seed, "evaluations": [evaluation]}))
        return made

    assert compare(contents, suite, {PENDULUM: raised(0)}, generator)[1].passed
    assert compare(contents, suite, {PENDULUM: raised(500)}, generator)[1].passed  # a claim may be too low
    retrained, check = compare(contents, suite, {PENDULUM: raised(-500)}, generator)
    assert not check.passed
    assert "does not reach its claims" in check.message
    assert retrained[0].p_value == pytest.approx(1 / 1771, rel=0.5)  # of 23 seeds, 3 are claimed


def test_seeds_are_new_and_different():
    drawn = fresh_seeds(5, PENDULUM, 50)
    assert len(set(drawn)) == 50
    assert min(drawn) >= 10**6
    assert drawn[:10] == fresh_seeds(5, PENDULUM, 10)
    assert drawn != fresh_seeds(6, PENDULUM, 50)


def test_code_of_others_needs_a_sandbox_or_trust(code, monkeypatch):
    assert "offbench's own code" in kept_from("bc", Retraining())
    with pytest.raises(OffbenchError, match="name the file or folder of its module with --code"):
        kept_from("lucky:Lucky", Retraining())
    with pytest.raises(OffbenchError, match="is no algorithm of offbench"):
        kept_from("strange", Retraining())
    monkeypatch.setattr(retrainings, "isolation", lambda: None)
    with pytest.raises(OffbenchError, match=r"has no sandbox .* allow it with --trust"):
        kept_from("lucky:Lucky", Retraining(code=code))
    assert kept_from("lucky:Lucky", Retraining(code=code, trust=True)) == "trained without a sandbox, as was allowed"
    monkeypatch.setattr(retrainings, "isolation", lambda: Isolation("walls", "everything", ()))
    assert "trained in walls: everything" in kept_from("lucky:Lucky", Retraining(code=code))


def test_a_way_that_does_not_work_is_not_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(
        isolations, "_WAYS", (Isolation("none", "", ("no-such-program",)), Isolation("no", "", ("false",)))
    )
    assert isolation() is None
    monkeypatch.setattr(isolations, "_WAYS", (Isolation("free", "", ("env",)),))
    monkeypatch.setattr(isolations, "_CONFINED", ())  # as on a kernel without landlock
    assert isolation() is None
    with pytest.raises(OffbenchError, match="no-such-engine is not installed"):
        container("no-such-engine", "image", tmp_path, ["true"])


def test_what_failing_code_said_last_is_told(code, tmp_path):
    folder = (tmp_path / "training").resolve()
    folder.mkdir()  # without the settings that are looked for
    with pytest.raises(OffbenchError, match="training lucky:Lucky anew failed: FileNotFoundError"):
        retrainings._run(folder, "lucky:Lucky", Retraining(code=code, trust=True))


def test_a_refused_entry_is_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(retrainings, "_trained", None)
    folder = edited(tmp_path / "entry", lambda draft: draft.last().update(returns=[1.0] * 12), datasets=(PENDULUM,))
    found = retrain(folder, settings=Settings(suite=tiny(PENDULUM)))
    assert not found.accepted
    assert not found.retrained
