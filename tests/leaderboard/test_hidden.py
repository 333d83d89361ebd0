"""Hidden tasks: the secret stays secret, commits, and gives other data of the same kind; names change no number."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbench
from offbench.algorithms.method import method
from offbench.catalog import cards
from offbench.data.trajectories import Provenance, Trajectories
from offbench.errors import OffbenchError
from offbench.leaderboard import hidden
from offbench.leaderboard.hidden import LIST, drawn, make_hidden, read_hidden
from offbench.leaderboard.renaming import check_renaming, renamed
from offbench.leaderboard.running import Budget, hidden_jobs
from offbench.leaderboard.secret import Secret, check_commitment, new_secret, read_secret
from offbench.leaderboard.suite import Suite, suite

SECRET = Secret("0123456789abcdef" * 4)
SALT = "00" * 16


def committed(secret: Secret = SECRET) -> Suite:
    return suite("starter").model_copy(update={"salt": SALT, "commitment": secret.commitment(SALT)})


@pytest.fixture
def few_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def smaller(name: str) -> cards.Card:
        found = cards.card(name)
        recipe = found.recipe.model_copy(update={"episodes": 4})
        return found.model_copy(update={"recipe": recipe, "steps": None})

    monkeypatch.setattr(hidden, "card", smaller)


def test_a_secret_is_never_shown_and_its_commitment_binds(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = new_secret(path)
    assert path.stat().st_mode & 0o077 == 0
    assert read_secret(path) == made
    assert made.text not in repr(made)
    assert made.text not in f"{made}"
    with pytest.raises(OffbenchError, match="exists"):
        new_secret(path)
    check_commitment(committed(made), made)
    with pytest.raises(OffbenchError, match="not the secret") as refused:
        check_commitment(committed(made), SECRET)
    assert SECRET.text not in str(refused.value)
    with pytest.raises(OffbenchError, match="has no commitment"):
        check_commitment(suite("starter"), made)


def test_a_commitment_is_the_sha256_of_salt_and_secret() -> None:
    # printf '\x01\x02abc' | sha256sum
    assert Secret("abc").commitment("0102") == "bf0e4665c55d7d245e3678ba4ac7c8692ab26a4e6ccf854425757a4893351544"


def test_secrets_that_are_missing_or_short_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFBENCH_SECRET", raising=False)
    with pytest.raises(OffbenchError, match="--secret"):
        read_secret(None)
    with pytest.raises(OffbenchError, match="cannot read"):
        read_secret(tmp_path / "absent")
    monkeypatch.setenv("OFFBENCH_SECRET", "hunter2hunter2")
    with pytest.raises(OffbenchError, match="14 characters") as refused:
        read_secret(None)
    assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("OFFBENCH_SECRET", SECRET.text)
    assert read_secret(None) == SECRET


def test_names_and_seeds_are_others_for_every_secret_suite_and_version() -> None:
    found = committed()
    here = drawn(found, found.hidden[0], SECRET)
    assert here == drawn(found, found.hidden[0], SECRET)
    others = [
        drawn(found, found.hidden[1], SECRET),
        drawn(found, found.hidden[0], Secret("x" * 64)),
        drawn(found.model_copy(update={"version": 2}), found.hidden[0], SECRET),
        drawn(found.model_copy(update={"name": "other"}), found.hidden[0], SECRET),
    ]
    assert len({here.seed, *(each.seed for each in others)}) == 5
    assert len({here.dataset, *(each.dataset for each in others)}) == 5
    assert 0 <= here.seed < 2**63


def test_hidden_data_are_of_the_recipe_and_say_neither_seed_nor_sibling(tmp_path: Path, few_episodes: None) -> None:
    found = committed()
    made = make_hidden(found, SECRET, tmp_path)
    assert [each.like for each in made.tasks] == list(found.hidden)
    for each in made.tasks:
        data = offbench.load(tmp_path / each.file)
        visible = hidden.generate(hidden.card(each.like))
        assert data.provenance == Provenance(each.dataset, 1, cards.card(each.like).task)
        assert data.lengths.tolist() == visible.lengths.tolist()
        assert not np.array_equal(data.observations, visible.observations)
        seed = str(drawn(found, each.like, SECRET).seed)
        content = (tmp_path / each.file).read_bytes()
        for told in (SECRET.text, seed, each.like):
            assert told.encode() not in content
    listed = (tmp_path / LIST).read_text()
    assert SECRET.text not in listed
    assert not any(str(drawn(found, each, SECRET).seed) in listed for each in found.hidden)


def test_hidden_tasks_are_made_again_alike_and_belong_to_their_suite(tmp_path: Path, few_episodes: None) -> None:
    found = committed()
    one, other = make_hidden(found, SECRET, tmp_path / "a"), make_hidden(found, SECRET, tmp_path / "b")
    assert one == other
    read = read_hidden(found, tmp_path / "a")
    assert [each.like for each in read] == list(found.hidden)
    assert read[0].task.model_copy(update={"dataset": read[0].like}) == found.tasks[0]
    for wrong in (found.model_copy(update={"version": 2}), committed(Secret("y" * 64))):
        with pytest.raises(OffbenchError, match="make them anew"):
            read_hidden(wrong, tmp_path / "a")
    with pytest.raises(OffbenchError, match="makes them"):
        read_hidden(found, tmp_path)
    with pytest.raises(OffbenchError, match="not the secret"):
        make_hidden(found, Secret("z" * 64), tmp_path / "c")
    with pytest.raises(OffbenchError, match="no hidden tasks"):
        make_hidden(suite("locomotion"), SECRET, tmp_path / "c")


def test_methods_run_on_hidden_tasks_with_the_siblings_presets(tmp_path: Path, few_episodes: None) -> None:
    found = committed().model_copy(update={"episodes": 2, "hidden": suite("starter").hidden[:1]})
    make_hidden(found, SECRET, tmp_path)
    job = hidden_jobs(found, [method(f"bc,{SMALL}")], Budget(2, 2), tmp_path / "runs", tmp_path)[0]
    job.run(quiet=True, compile="never", device="cpu")
    assert job.manifest is not None
    assert job.manifest.plan.dataset == job.dataset == drawn(found, found.hidden[0], SECRET).dataset
    written = json.dumps(job.manifest.plan.model_dump(mode="json"))
    assert found.hidden[0] not in written
    assert str(drawn(found, found.hidden[0], SECRET).seed) not in written


# -------------------------------------------------------------------- names


@pytest.fixture
def data(pendulum_file: Path) -> Trajectories:
    origin = Provenance("d4rl/hopper-medium-v2", 1, "pendulum", like="d4rl/hopper-medium-v2")  # which has presets
    return replace(offbench.load(pendulum_file), provenance=origin)


SMALL = "batch_size=8,hidden=[8,8]"


@pytest.mark.parametrize("name", [f"{name},{SMALL}" for name in ("bc", "iql", "td3_bc", "rebrac")])
def test_no_number_depends_on_what_a_dataset_is_called(name: str, data: Trajectories, tmp_path: Path) -> None:
    check_renaming(method(name), data, steps=2, seeds=2, episodes=1, folder=tmp_path)


@dataclass
class Still:
    """A policy that holds one action."""

    action: float

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.full((len(observations), 1), self.action, np.float32)


class KnowsTheName:
    """A learner that was told beforehand what is good on a dataset."""

    def fit(self, data: Trajectories, task: Any, seed: int, budget: Any) -> Still:
        return Still(1.0 if "hopper" in data.provenance.dataset + data.provenance.like else -1.0)


def test_who_goes_by_the_name_is_found_out(data: Trajectories, tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match="gives other returns where d4rl/hopper-medium-v2 is called hidden/"):
        check_renaming(method(f"{__name__}:KnowsTheName"), data, steps=1, seeds=1, episodes=2, folder=tmp_path)


def test_renamed_data_are_the_same_data(data: Trajectories) -> None:
    other = renamed(data)
    assert other.digest == data.digest
    assert other.provenance.dataset.startswith("hidden/")
    assert other.provenance.like == ""
