"""Asking a teacher for labels: which pairs, what unsure means, and that no answer is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.labelling.answers import kept
from offbench.labelling.asking import MOST_UNSURE, ask, piece
from offbench.labelling.contract import Answer


def episodes(lengths: list[int], **changes: Any) -> Trajectories:
    """Observations count rows, so that a segment tells where it was cut from."""
    steps = sum(lengths)
    rng = np.random.default_rng(0)
    ends = np.cumsum(lengths)
    columns: dict[str, Any] = {
        "observations": np.arange(steps + len(lengths), dtype=np.float32)[:, None],
        "offsets": np.concatenate([[0], ends]),
        "terminations": np.zeros(steps, dtype=bool),
        "truncations": np.isin(np.arange(steps), ends - 1),
        "actions": rng.random((steps, 2), dtype=np.float32),
        "rewards": rng.standard_normal(steps).astype(np.float32),
        "extras": {"qpos": np.arange(steps + len(lengths))[:, None], "cost": np.arange(steps)},
    }
    return Trajectories(**(columns | changes))


def by_reward(first: Trajectories, second: Trajectories) -> float:
    return float(second.returns[0] > first.returns[0])


class Counting:
    """Prefers by reward, is unsure where the first begins at an odd row, and counts; may fail at one call."""

    identity = "counting"

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls, self.fails_at = 0, fails_at

    def __call__(self, first: Trajectories, second: Trajectories) -> Answer:
        self.calls += 1
        if self.calls == self.fails_at:
            raise OffbenchError("the line is dead")
        return Answer(None if first.observations[0, 0] % 2 else by_reward(first, second), "as I said")


def test_pieces_hold_all_columns_of_their_steps() -> None:
    data = episodes([5, 8])
    cut = piece(data, 6, 4)  # the second episode begins at step 5 and row 6
    assert cut.observations[:, 0].tolist() == [7, 8, 9, 10, 11]
    assert cut.extras["qpos"][:, 0].tolist() == [7, 8, 9, 10, 11]
    assert cut.extras["cost"].tolist() == [6, 7, 8, 9]
    assert np.array_equal(cut.actions, data.actions[6:10])
    assert not cut.truncations.any()
    assert piece(data, 9, 4).truncations.tolist() == [False, False, False, True]
    lost = episodes([5, 8], final_observations=np.array([True, False]))
    assert [piece(lost, start, 4).final_observations[0] for start in (1, 6, 9)] == [True, True, False]


def test_any_function_is_a_teacher() -> None:
    data = episodes([50, 30])
    found = ask(data, by_reward, pairs=40, length=6, seed=3)
    assert np.array_equal(found.labels, (found.second.returns > found.first.returns).astype(np.float32))
    assert ask(data, by_reward, pairs=40, length=6, seed=3).digest == found.digest
    assert ask(data, by_reward, pairs=40, length=6, seed=4).digest != found.digest
    # More pairs begin with those of fewer: what was paid for stays.
    assert ask(data, by_reward, pairs=60, length=6, seed=3)[:40].digest == found.digest
    assert found.provenance.notes[-1].startswith(
        "labelled by the teacher by_reward, segments of 6 steps, seed 3; unsure"
    )


def test_unsure_pairs_are_replaced_and_not_called_ties() -> None:
    found = ask(episodes([50, 30]), Counting(), pairs=30, length=6)
    assert len(found) == 30
    assert (found.first.observations[:, 0, 0] % 2 == 0).all()
    assert set(found.labels.tolist()) == {0.0, 1.0}
    asked = int(found.provenance.notes[-1].split(" of ")[-1].split()[0])
    assert asked > 30
    assert f"unsure of {asked - 30} of {asked} pairs" in found.provenance.notes[-1]


def test_a_teacher_who_keeps_nothing_is_asked_a_bounded_number_of_times() -> None:
    calls = []
    with pytest.raises(OffbenchError, match=rf"is unsure of {MOST_UNSURE} of {MOST_UNSURE} pairs; ask of longer segm"):
        ask(episodes([5000]), lambda one, two: calls.append(1), pairs=1000, length=6)
    assert len(calls) == MOST_UNSURE


def test_answers_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    data, book = episodes([50, 30]), tmp_path / "answers.jsonl"
    whole = ask(data, Counting(), pairs=30, length=6)
    first = Counting(fails_at=12)
    with pytest.raises(OffbenchError, match=r"pair 12: the line is dead; the 11 answers before are in .*, and are not"):
        ask(data, first, pairs=30, length=6, answers=book)
    lines = [json.loads(line) for line in book.read_text().splitlines()]
    assert len(lines) == 11
    assert {None} < {line["label"] for line in lines} <= {0.0, 1.0, None}
    assert {(line["schema"], line["teacher"], line["reason"]) for line in lines} == {
        ("offbench.answer/1", "counting", "as I said")
    }
    assert all(0 <= line["first"] <= 74 and line["length"] == 6 for line in lines)
    second = Counting()
    again = ask(data, second, pairs=30, length=6, answers=book)
    assert again.digest == whole.digest
    third = Counting()
    assert ask(data, third, pairs=30, length=6, answers=book).digest == whole.digest
    assert third.calls == 0
    assert first.calls - 1 + second.calls == len(book.read_text().splitlines())
    # Another teacher, or other data, are asked anew, in the same file.
    other = Counting()
    other.identity = "another"
    ask(data, other, pairs=30, length=6, answers=book)
    assert other.calls == first.calls - 1 + second.calls
    shifted = Counting()
    ask(episodes([50, 30], rewards=np.ones(80, np.float32)), shifted, pairs=5, length=6, answers=book)
    assert shifted.calls > 0


def test_a_line_that_a_crash_cut_is_asked_again(tmp_path: Path) -> None:
    data, book = episodes([50, 30]), tmp_path / "answers.jsonl"
    whole = ask(data, Counting(), pairs=5, length=6, answers=book)
    complete = book.read_bytes()
    for cut in (1, 30, 200):
        book.write_bytes(complete[:-cut])
        teacher = Counting()
        assert ask(data, teacher, pairs=5, length=6, answers=book).digest == whole.digest
        assert teacher.calls == (2 if cut > len(complete.splitlines()[-1]) else 1)
        assert [json.loads(line)["pair"] for line in book.read_text().splitlines()] == [
            json.loads(line)["pair"] for line in complete.decode().splitlines()
        ]


@pytest.mark.parametrize("content", [b"mine", b"mine\n", b"{}\n", b'{"schema": "offbench.answer/1", "label": 3}\n'])
def test_files_of_others_are_left_alone(tmp_path: Path, content: bytes) -> None:
    book = tmp_path / "answers.jsonl"
    book.write_bytes(content)
    with pytest.raises(DataError, match=r"line 1 of .* is no answer of a teacher"):
        ask(episodes([50]), Counting(), pairs=2, length=6, answers=book)
    assert book.read_bytes() == content


def test_a_file_of_answers_has_one_writer(tmp_path: Path) -> None:
    book = tmp_path / "answers.jsonl"
    with kept(book, "one"), pytest.raises(OffbenchError, match=r"another process adds answers to"):
        ask(episodes([50]), Counting(), pairs=2, length=6, answers=book)
    with pytest.raises(OffbenchError, match=r"cannot open .* to add to it"):
        ask(episodes([50]), Counting(), pairs=2, length=6, answers=tmp_path)


def test_errors_of_a_teacher_pass_as_they_are(tmp_path: Path) -> None:
    def dead(first: Trajectories, second: Trajectories) -> float:
        raise ConnectionError("mine")

    with pytest.raises(ConnectionError, match="mine"):
        ask(episodes([50]), dead, pairs=2, length=6, answers=tmp_path / "x.jsonl", name="dead")


def test_what_cannot_be_asked_is_told_before_anybody_is() -> None:
    teacher = Counting()
    for data, length, sentence in (
        (episodes([9], actions=None), 3, r"has no actions; segments for preferences need them"),
        (episodes([9]), 10, r"no episode of this dataset has 10 steps; its longest has 9"),
    ):
        with pytest.raises(DataError, match=sentence):
            ask(data, teacher, pairs=2, length=length)
    with pytest.raises(DataError, match=r"the number of pairs must be at least 1, not 0"):
        ask(episodes([9]), teacher, pairs=0, length=3)
    with pytest.raises(OffbenchError, match=r"by_reward has no identity, by which its answers in a file are told"):
        ask(episodes([9]), by_reward, pairs=2, length=3, answers="x.jsonl")
    with pytest.raises(OffbenchError, match=r"pair 1: the teacher answered 'first'; 0, 0.5, 1, or None"):
        ask(episodes([9]), lambda one, two: "first", pairs=2, length=3)
    assert teacher.calls == 0
