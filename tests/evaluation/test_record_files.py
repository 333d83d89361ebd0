import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_records import make_evaluation, make_record

from offbench.errors import OffbenchError
from offbench.evaluation.record_files import read_record, read_records, write_record


def write_changed(path: Path, **changes: Any) -> Path:
    """A record's file in which fields of the JSON were changed by hand."""
    write_record(make_record(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    record = make_record(
        config={"hidden": (256, 256), "nested": {"a": None, "b": [1, 2.5, "x"]}, "text": "[ 1,\n  2 ]"}
    )
    path = tmp_path / "deep" / "seed-0.json"
    write_record(record, path)
    assert read_record(path) == record
    text = path.read_text()
    assert '\n  "schema_version": 1' in text
    assert '"hidden": [256, 256]' in text
    assert [file.name for file in path.parent.iterdir()] == ["seed-0.json"]


@given(
    returns=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
)
def test_round_trip_of_anything_json(
    tmp_path_factory: pytest.TempPathFactory, returns: list[float], value: Any
) -> None:
    record = make_record(config={"value": value}, evaluations=[make_evaluation(3, returns)])
    path = tmp_path_factory.mktemp("record") / "seed-0.json"
    write_record(record, path)
    assert read_record(path) == record


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"schema_version": 1', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "has no schema_version"),
        (b"{}", "has no schema_version"),
        (b'{"schema_version": 7}', "has schema version 7; this offbench reads version 1"),
        (b'{"schema_version": 1}', "not a valid run record: algorithm: Field required"),
    ],
)
def test_files_that_are_no_records(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "seed-0.json"
    path.write_bytes(content)
    with pytest.raises(OffbenchError, match=message) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "0"}, "seed: Input should be a valid integer"),
        ({"wall_seconds": float("nan")}, "wall_seconds: Input should be a finite number"),
        ({"losses": [{"step": 1, "values": {"loss": float("inf")}}]}, r"losses\.0\.values\.loss: .*finite"),
        ({"host": "somewhere"}, "host: Extra inputs are not permitted"),
        ({"config_digest": "0" * 64}, "the record: config_digest is not the digest of config"),
    ],
)
def test_fields_that_are_wrong_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_changed(tmp_path / "seed-0.json", **changes)
    with pytest.raises(OffbenchError, match=message):
        read_record(path)


def test_a_missing_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"cannot read the run record .*seed-9\.json: No such file"):
        read_record(tmp_path / "seed-9.json")
    with pytest.raises(OffbenchError, match="there is no run folder or run record"):
        read_records([tmp_path / "absent"])
    with pytest.raises(OffbenchError, match="has no run records"):
        read_records([tmp_path])
    with pytest.raises(OffbenchError, match="no run records were named"):
        read_records([])


def test_folders_are_searched_at_any_depth_and_files_read_once(tmp_path: Path) -> None:
    for algorithm in ("bc", "iql"):
        for seed in range(3):
            write_record(make_record(algorithm=algorithm, seed=seed), tmp_path / "a" / algorithm / f"seed-{seed}.json")
    (tmp_path / "a" / "manifest.json").write_text("not a record")
    records = read_records([tmp_path / "a" / "iql" / "seed-1.json", tmp_path, tmp_path / "a"])
    assert [(record.algorithm, record.seed) for record in records] == [
        ("iql", 1),
        ("bc", 0),
        ("bc", 1),
        ("bc", 2),
        ("iql", 0),
        ("iql", 2),
    ]


def test_the_same_seed_of_a_run_twice_is_refused(tmp_path: Path) -> None:
    write_record(make_record([1.0], seed=4), tmp_path / "one" / "seed-4.json")
    write_record(make_record([2.0], seed=4), tmp_path / "two" / "seed-4.json")
    with pytest.raises(OffbenchError, match=r"one/seed-4\.json and .*two/seed-4\.json are the same run .*seed 4"):
        read_records([tmp_path])
    write_record(make_record([2.0], seed=4, steps=2000), tmp_path / "two" / "seed-4.json")
    assert len(read_records([tmp_path])) == 2


def test_links_to_run_folders_are_followed_and_a_loop_of_them_ends(tmp_path: Path) -> None:
    runs, links = tmp_path / "runs", tmp_path / "links"
    for seed in (0, 1):
        write_record(make_record(seed=seed), runs / "bc" / f"seed-{seed}.json")
    write_record(make_record(seed=2), links / "own" / "seed-2.json")
    (links / "bc").symlink_to(runs / "bc")
    (links / "again").symlink_to(runs)
    (runs / "loop").symlink_to(runs)
    (links / "itself").symlink_to(links / "itself")
    (tmp_path / "link").symlink_to(links)
    for folder in (links, tmp_path / "link", tmp_path):
        assert sorted(record.seed for record in read_records([folder])) == [0, 1, 2]
    assert [record.seed for record in read_records([runs, links / "bc" / "seed-0.json"])] == [0, 1]
    (runs / "bc" / "seed-5.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OffbenchError, match=r"cannot read the run record .*seed-5.json: No such file"):
        read_records([links])
