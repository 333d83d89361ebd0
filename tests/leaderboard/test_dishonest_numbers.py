"""Entries whose bytes or numbers give them away: each is refused with the sentence that says why."""

import copy
import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from honest_entries import EPISODES, MAZE, PENDULUM, STEPS, Draft, edited, honest, slug, tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_records import make_tuning

from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.evaluation.record import digest_of
from offbench.leaderboard import verification
from offbench.leaderboard.archive import opened
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.results import read_result, read_results
from offbench.leaderboard.verification import number_checks

RECORD = f"records/{slug(PENDULUM)}/seed-0.json"
POLICY = f"policies/{slug(PENDULUM)}/seed-0.onnx"


def refusals(folder, suite=None, results=None) -> list[str]:
    """Why an entry is refused, before any of its policies acts."""
    try:
        with opened(folder) as found:
            contents = read_contents(found)
    except OffbenchError as error:
        return [str(error)]
    others = [] if results is None else read_results(results)
    return [check.message for check in number_checks(contents, suite or tiny(), others) if not check.passed]


def each(change):
    """A change of every record."""

    def all_of(draft: Draft) -> None:
        for record in draft.records.values():
            change(record)

    return all_of


def first(**fields):
    """Other fields in the record of seed 0 on the pendulum."""
    return lambda draft: draft.records[PENDULUM, 0].update(fields)


def returns(values, dataset=PENDULUM, seed=0):
    """Other returns in a last evaluation, made of the true ones."""
    return lambda draft: draft.last(dataset, seed).update(
        returns=[float(v) for v in values(draft.last(dataset, seed)["returns"])]
    )


def replaced(name, content):
    """A file of other bytes, which the entry lists."""

    def change(draft: Draft) -> None:
        kind, place, file = name.split("/")
        kept = draft.records if kind == "records" else draft.policies
        kept.pop((PENDULUM, 0))
        draft.others[f"{kind}/{place}/{file}"] = content

    return change


def config(**fields):
    def change(draft: Draft) -> None:
        made = {**draft.records[PENDULUM, 0]["config"], **fields}
        draft.records[PENDULUM, 0].update(config=made, config_digest=digest_of(made))

    return change


def task_field(name, value):
    return each(lambda record: record["task"].update({name: value}))


def same_means(draft: Draft) -> None:
    for seed in (1, 2):
        values = np.array(draft.last(seed=seed)["returns"])
        wanted = np.mean(draft.last(seed=0)["returns"])
        draft.last(seed=seed)["returns"] = np.minimum(values + wanted - values.mean(), 0).tolist()
        short = wanted - np.mean(draft.last(seed=seed)["returns"])
        draft.last(seed=seed)["returns"][int(np.argmin(values))] += short * len(values)


def pasted(draft: Draft) -> None:
    """The pendulum's scores as those of the maze."""
    one, other = task("pendulum"), task("pointmaze-stitch")
    scores = one.score(draft.last(PENDULUM)["returns"])
    draft.last(MAZE)["returns"] = np.clip(
        other.low.mean + scores / 400 * (other.high.mean - other.low.mean), 0, 200
    ).tolist()


FUTURE = (datetime.now(UTC) + timedelta(days=400)).isoformat()
LOWEST = -(np.pi**2 + 6.4 + 0.004) * 200
CASES = {
    # bytes, digests and schemas
    "old schema": (lambda d: d.entry.update(schema_version=0), "is no entry: schema_version"),
    "aggregate in entry.json": (lambda d: d.entry.update(score=99.0), "is no entry: score: Extra inputs"),
    "record of an old schema": (first(schema_version=0), "has schema version 0"),
    "edited aggregate": (first(mean_score=99.0), "mean_score: Extra inputs are not permitted"),
    "NaN": (
        returns(lambda r: [float("nan"), *r[1:]]),
        "not a valid run record: evaluations.0.returns.0: Input should be a finite",
    ),
    "configuration without its digest": (first(config={"batch_size": 1}), "config_digest is not the digest of config"),
    "pickle as a record": (replaced(RECORD, b"\x80\x04\x95\x10."), "is not a run record: it is not JSON"),
    "pickle as a policy": (replaced(POLICY, b"\x80\x04\x95\x10."), "is no ONNX model"),
    "bare JSON as a policy": (replaced(POLICY, b"{}"), "is no ONNX model"),
    "record of another seed": (first(seed=1), "holds the record of seed 1 on .*, whose place is elsewhere"),
    "a file that is missing": (lambda d: d.entry.update(files={}) or setattr(d, "listed", False), "does not list"),
    "a readme with a table": (
        lambda d: d.others.update({"README.md": b"mean 99"}),
        "README.md, which is no file of an",
    ),
    "verdict of its own": (lambda d: d.others.update({"verification.json": b"{}"}), "brings its own verification.json"),
    "policies of some records": (lambda d: d.policies.pop((PENDULUM, 1)), "seed-1.onnx is missing: an entry has the"),
    "policy without a record": (lambda d: d.records.pop((MAZE, 2)), "seed-2.onnx belongs to no record"),
    "path to a suite of its own": (lambda d: d.entry.update(suite="/tmp/tiny.toml"), "is no entry: suite"),
    "address that runs code": (lambda d: d.entry.update(paper="javascript:alert(1)"), "is no entry: paper"),
    # all of the suite
    "another version of the suite": (
        lambda d: d.entry.update(suite_version=2),
        "for version 2 of tiny, and this is version 1",
    ),
    "missing task": (
        lambda d: [d.records.pop((MAZE, s)) and d.policies.pop((MAZE, s)) for s in range(3)],
        "stitch-v0 has the seeds none",
    ),
    "missing seed": (
        lambda d: d.records.pop((PENDULUM, 1)) and d.policies.pop((PENDULUM, 1)),
        "has the seeds 0, 2; at least 3",
    ),
    "too few seeds": (
        lambda d: d.records.pop((PENDULUM, 2)) and d.policies.pop((PENDULUM, 2)),
        "has the seeds 0, 1; at least 3",
    ),
    "fewer updates": (first(steps=STEPS + 1), "has 101 updates and was last evaluated after 100; 100 are the suite's"),
    "fewer episodes": (
        lambda d: [d.last()[n].pop() for n in ("returns", "lengths", "environment_seeds")],
        f"over {EPISODES - 1} episodes",
    ),
    "never evaluated": (first(evaluations=[]), "was never evaluated"),
    # data, tasks, simulators
    "another revision": (first(dataset_revision=2), "revision 2 of the dataset; the suite has revision 1"),
    "other data for one seed": (first(dataset_digest=digest_of("more")), "learned from different data"),
    "easier reference": (task_field("high", 100.0), "a task whose high is 100.0"),
    "shorter episodes": (task_field("episode_limit", 300), "a task whose episode limit is 300"),
    "another simulator": (
        each(lambda r: r["task"]["simulators"].update(gymnasium="0.26.3")),
        "with gymnasium 0.26.3, and here",
    ),
    "another simulator among packages": (
        each(lambda r: r["packages"].update(gymnasium="0.26.3")),
        "among its packages, 0.26.3",
    ),
    "chosen starts": (lambda d: d.last().update(environment_seeds=list(range(EPISODES))), "on other starts than those"),
    # method, packages, dates
    "another algorithm": (first(algorithm="td3_bc"), "was trained by td3_bc; the entry says bc"),
    "changed source under our name": (
        each(lambda r: r.update(algorithm_digest=digest_of("x"))),
        "calls itself bc and was trained",
    ),
    "other hyperparameters for one seed": (config(batch_size=64), "different code, libraries or hyperparameters"),
    "packed in the future": (lambda d: d.entry.update(created=FUTURE), "which is to come"),
    "run after the packing": (first(created=FUTURE), "was made after the entry was packed"),
    "no time": (each(lambda r: r.update(wall_seconds=0.0)), "updates in 0 seconds"),
    "no packages": (each(lambda r: r.update(packages={"numpy": "2.0"})), "does not say which"),
    # returns that cannot be
    "return above the best": (returns(lambda r: [1.0, *r[1:]]), "with the return 1, which its task cannot give"),
    "return below the worst": (returns(lambda r: [LOWEST - 1, *r[1:]]), "which its task cannot give"),
    "maze above its steps": (
        returns(lambda r: [201.0, *r[1:]], MAZE),
        "the return 201, which its task cannot give: 0 to 200",
    ),
    "episode that ends too early": (
        lambda d: d.last()["lengths"].__setitem__(0, 50),
        "would have gone on to step 200|cannot give",
    ),
    "episode beyond the limit": (lambda d: d.last()["lengths"].__setitem__(0, 201), "an episode has 201 steps"),
    # spreads and copies
    "one return for all starts": (returns(lambda r: [-300.0] * len(r)), "has the return -300 in 12 of 12 episodes"),
    "few returns for many starts": (returns(lambda r: r[:4] * 3), "in 3 of 12 episodes"),
    "means closer than chance": (same_means, "lie closer together than chance lets"),
    "a seed's returns for another seed": (
        lambda d: d.last(seed=1).update(returns=d.last(seed=0)["returns"]),
        "made of one another",
    ),
    "a seed's returns with noise": (
        returns(lambda r: np.array(honest().last(seed=1)["returns"]) + np.linspace(-1, 1, 12)),
        "made of one another",
    ),
    "one task's scores in another": (pasted, "made of one another"),
    "one policy for two seeds": (
        lambda d: d.policies.update({(PENDULUM, 1): d.policies[PENDULUM, 0]}),
        "have the same policy",
    ),
}


def test_the_honest_entry_is_accepted(tmp_path):
    assert refusals(edited(tmp_path / "entry")) == []


@pytest.mark.parametrize("name", CASES)
def test_a_dishonest_entry_is_refused_with_the_right_sentence(name, tmp_path):
    change, sentence = CASES[name]
    found = refusals(edited(tmp_path / "entry", change))
    assert any(re.search(sentence, message) for message in found), found


def test_two_outliers_in_the_same_place_are_no_copy(tmp_path):
    """As of robots that fall but once, or hands that succeed but once: of 60 such records some pair has them."""

    def change(draft: Draft) -> None:
        for seed in range(2):
            values = np.random.default_rng(seed).normal(-1500 - seed, 2, size=EPISODES)
            values[4] = -10.0 - seed
            draft.last(seed=seed)["returns"] = values.tolist()

    assert refusals(edited(tmp_path / "entry", change)) == []


def test_bytes_that_were_changed_after_packing_are_noticed(tmp_path):
    folder = edited(tmp_path / "entry")
    path = folder / RECORD
    path.write_bytes(path.read_bytes().replace(b"-1", b"-0", 1))
    assert "has other bytes than entry.json says" in refusals(folder)[0]


RESULTS = {
    "a record more": (lambda p: shutil.copy(p / RECORD, p / RECORD.replace("-0", "-3")), "is not listed in its entry"),
    "a record less": (lambda p: (p / RECORD).unlink(), "is missing, though its entry.json lists it"),
    "another record": (lambda p: (p / RECORD).write_text((p / RECORD).read_text() + " "), "has other bytes than"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_was_verified_is_what_is_shown(name, tmp_path):
    change, sentence = RESULTS[name]
    folder = edited(tmp_path / "entry")
    shutil.rmtree(folder / "policies")  # which a leaderboard need not keep
    read_result(folder)
    change(folder)
    with pytest.raises(OffbenchError, match=sentence):
        read_result(folder)


def test_every_file_is_read_once(tmp_path, monkeypatch):
    """So that the bytes whose digest was compared are those that are looked at."""
    folder, seen, read = edited(tmp_path / "entry"), [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen.append(path) or read(path))
    read_contents(folder)
    assert len(seen) == len(set(seen)) > 6


def test_missing_libraries_are_no_fault_of_an_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "need_machine", lambda: verification.find_suite("no-such-suite"))
    with pytest.raises(OffbenchError, match="no-such-suite"):
        verification.verify(edited(tmp_path / "entry"), settings=verification.Settings(suite=tiny()))


def test_records_alone_are_accepted(tmp_path):
    assert refusals(edited(tmp_path / "entry", lambda draft: draft.policies.clear())) == []


# -------------------------------------------------------------------- other entries


def with_rival(tmp_path, change=lambda draft: None):
    """The honest entry in a folder of results, and another method's that an edit made of it."""
    edited_entry = edited(tmp_path / "entry", lambda draft: draft.entry.update(method="Ours", team="them"), change)
    place = tmp_path / "results" / "tiny" / "linear"
    place.parent.mkdir(parents=True)
    edited(place)
    return refusals(edited_entry, results=tmp_path / "results")


def noisy(draft: Draft) -> None:
    generator = np.random.default_rng(0)
    for key in draft.records:
        values = np.array(draft.last(*key)["returns"])
        noise = generator.normal(scale=1e-4 * values.std(), size=len(values))
        draft.last(*key)["returns"] = np.clip(values + noise, -3000, 0 if key[0] == PENDULUM else 200).tolist()
    draft.policies.clear()


def other_method(draft: Draft) -> None:
    other = honest(salt=1)
    draft.records, draft.policies = other.records, other.policies


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda draft: None, "is that of the entry linear, byte by byte"),
        (noisy, "are those of the entry linear up to a little noise"),
        (lambda draft: [noisy(draft), draft.entry.update(method="Linear", team="us")], "has handed Linear in before"),
        (
            lambda draft: [noisy(draft), draft.entry.update(method="linear ", team=" US")],
            "has handed linear",
        ),
    ],
)
def test_another_entrys_scores_are_found(change, sentence, tmp_path):
    assert any(sentence in message for message in with_rival(tmp_path, change))


def test_another_method_on_the_same_starts_is_no_copy(tmp_path):
    assert with_rival(tmp_path, other_method) == []


# -------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: (path / "records/x").symlink_to("/etc"), "is a link"),
        (lambda path: os.mkfifo(path / "records/pipe"), "is a device, a pipe or a socket"),
        (lambda path: (path / "policies/setup.py").write_text("1"), "which is no file of an entry"),
        (lambda path: os.truncate(path / POLICY, 65 * 2**20), "bytes; a file of its kind has at most"),
        (lambda path: (path / "entry.json").unlink(), "has no entry.json"),
    ],
)
def test_what_no_entry_holds_is_refused_in_a_folder(make, sentence, tmp_path):
    folder = edited(tmp_path / "entry")
    make(folder)
    assert sentence in refusals(folder)[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_entry_json_makes_the_verifier_fail(data, tmp_path):
    draft = honest()
    draft.write(tmp_path / "entry") if not (tmp_path / "entry").exists() else None
    path = tmp_path / "entry" / "entry.json"
    whole = tmp_path / "whole.json"
    if not whole.exists():
        whole.write_bytes(path.read_bytes())
    content = copy.deepcopy(json.loads(whole.read_text()))
    place = data.draw(st.sampled_from(sorted(content)))
    if data.draw(st.booleans()):
        content[place] = data.draw(JSON)
    elif isinstance(content[place], dict):
        content[place][data.draw(st.text(max_size=30))] = data.draw(JSON)
    else:
        del content[place]
    path.write_text(json.dumps(content))
    assert all(isinstance(message, str) for message in refusals(tmp_path / "entry"))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), place=st.sampled_from(["entry.json", RECORD]))
def test_no_bytes_make_the_verifier_fail(content, place, tmp_path):
    folder = edited(tmp_path / "entry")
    (folder / place).write_bytes(content)
    assert refusals(folder)


def test_the_runs_that_a_configuration_was_chosen_by_are_no_entry(tmp_path):
    trial = make_tuning(role="trial", datasets=[PENDULUM], seeds=[0]).model_dump(mode="json")
    told = refusals(edited(tmp_path / "entry", first(tuning=trial)))
    assert told == [f"seed 0 on {PENDULUM} is a trial that the configuration was chosen by, and no result"]


def test_what_was_spent_on_choosing_is_told(tmp_path):
    spent = make_tuning(seeds=[100, 101], runs=40, episodes=800).model_dump(mode="json")
    folder = edited(tmp_path / "entry", each(lambda record: record.update(tuning=spent, tuning_runs=40)))
    with opened(folder) as found:
        said = {check.name: check.message for check in number_checks(read_contents(found), tiny())}
    assert said["tuning"] == "tuned: online, 40 runs, 800 episodes"
