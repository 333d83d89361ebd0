"""The teacher that shows pictures: what is sent, what it becomes, and the command ``offbench teach``."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from teaching_server import TeachingServer, teaching

import offbench
from offbench.cli.main import main
from offbench.data.preference_data import PreferenceData
from offbench.data.trajectories import Trajectories
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.formats import preferences as files
from offbench.labelling.asking import piece
from offbench.labelling.pictured import Pictured
from offbench.labelling.transports import Command, Endpoint, Patience

# Tells which of two rods ends higher, by the pictures alone: the last picture's red pixels stand above its middle.
JUDGE = """
import base64, io, json, sys
import numpy as np
from PIL import Image

asked = json.load(sys.stdin)
def height(side):
    frame = np.asarray(Image.open(io.BytesIO(base64.b64decode(side["images"][-1])))).astype(int)
    red = np.argwhere(frame[..., 0] > 1.5 * frame[..., 1])
    return -red[:, 0].mean()
low, high = height(asked["first"]), height(asked["second"])
print(json.dumps({"label": -1 if abs(high - low) < 2 else int(high > low), "reason": f"{low:.1f} {high:.1f}"}))
"""


@pytest.fixture
def server() -> Iterator[TeachingServer]:
    with teaching() as found:
        yield found


@pytest.fixture
def data(pendulum_file: Path) -> Trajectories:
    return offbench.load(pendulum_file)


def test_both_segments_are_sent_as_pictures(server: TeachingServer, data: Trajectories) -> None:
    teacher = Pictured(Endpoint(server.url), "which?", task("pendulum"), frames=3, size=(40, 30))
    assert teacher(piece(data, 0, 7), piece(data, 30, 7)).label == 0
    (asked,) = server.requests
    assert asked.keys() == {"schema", "prompt", "pair", "task", "first", "second"}
    assert (asked["prompt"], asked["task"], len(asked["pair"])) == ("which?", "pendulum", 64)
    for side, start in (("first", 0), ("second", 30)):
        assert asked[side]["steps"] == 7
        assert asked[side]["seconds"] == pytest.approx(4 * 0.05)
        images = [Image.open(io.BytesIO(base64.b64decode(image))) for image in asked[side]["images"]]
        assert [(image.format, image.size) for image in images] == [("PNG", (40, 30))] * 2  # of steps 0 and 4
        drawn, _ = teacher._drawn(piece(data, start, 7))
        assert all(np.array_equal(np.asarray(image), frame) for image, frame in zip(images, drawn, strict=True))


@pytest.mark.parametrize(("frames", "length", "rows"), [(1, 5, [5]), (1, 1, [1]), (2, 5, [0, 5]), (4, 9, [0, 3, 6, 9])])
def test_pictures_are_spread_over_the_segment(data: Trajectories, frames: int, length: int, rows: list[int]) -> None:
    teacher = Pictured(Endpoint("http://127.0.0.1:9"), "which?", task("pendulum"), frames, (40, 30))
    drawn, _ = teacher._drawn(piece(data, 50, length))
    every, _ = replace(teacher, frames=length + 1)._drawn(piece(data, 50, length)) if length > 1 else ([], 0)
    assert len(drawn) == len(rows)
    if every:
        assert all(np.array_equal(frame, every[row]) for frame, row in zip(drawn, rows, strict=True))


def test_answers_are_told_apart_by_who_is_asked_what() -> None:
    teacher = Pictured(Endpoint("http://127.0.0.1:9"), "which?", task("pendulum"))
    others = [
        replace(teacher, prompt="who?"),
        replace(teacher, frames=2),
        replace(teacher, size=(9, 9)),
        replace(teacher, transport=Endpoint("http://127.0.0.1:10")),
        replace(teacher, transport=Command("judge")),
        replace(teacher, task=task("hopper-v4")),
        replace(teacher, name="model"),
    ]
    assert len({each.identity for each in (teacher, *others)}) == 8
    same = replace(teacher, transport=Endpoint("http://127.0.0.1:9", timeout=3), patience=Patience(9))
    assert same.identity == teacher.identity
    named = [replace(teacher, name="model", transport=Endpoint(f"http://127.0.0.1:{port}")) for port in (1, 2)]
    assert named[0].identity == named[1].identity
    with pytest.raises(OffbenchError, match=r"the prompt of a teacher is empty"):
        replace(teacher, prompt=" ")
    with pytest.raises(OffbenchError, match=r"frames 0 and size"):
        replace(teacher, frames=0)


def test_what_cannot_be_drawn_is_told(server: TeachingServer, data: Trajectories) -> None:
    bare = replace(data, observations=data.observations[:, :2])
    teacher = Pictured(Endpoint(server.url), "which?", task("hopper-v4"))
    with pytest.raises(OffbenchError, match=r"observations of shape \(2,\) do not tell the state|nothing can be drawn"):
        teacher(piece(bare, 0, 5), piece(bare, 9, 5))
    assert server.requests == []


# -------------------------------------------------------------------- offbench teach


def teach(source: Path, output: Path, *flags: str) -> int:
    return main(["teach", str(source), "--pairs", "6x4", "--prompt", "which?", "-o", str(output), *flags])


def test_a_command_teaches(pendulum_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "judge.py").write_text(JUDGE)
    output = tmp_path / "labels.offbench"
    assert teach(pendulum_file, output, "--command", f"{sys.executable} {tmp_path / 'judge.py'}", "--frames", "1") == 0
    assert "6 pairs of 4 steps of" in capsys.readouterr().out
    found = files.load(output, verify=True)
    assert len(found) == 6
    assert found.provenance.task == "pendulum"
    # The end of each segment is its last state, one row behind the last that is acted from.
    data = offbench.load(pendulum_file)
    heights = [data.observations[side.starts + 4 + side.starts // 25, 0] for side in (found.first, found.second)]
    assert np.array_equal(found.labels, (heights[1] > heights[0]).astype(np.float32))
    paired = offbench.load(f"{pendulum_file}?labels={output}")
    assert isinstance(paired, PreferenceData)
    assert np.array_equal(paired.preferences.labels, found.labels)
    assert paired.preferences.first.starts is not None


def test_a_stopped_command_goes_on_where_it_was(
    server: TeachingServer, pendulum_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, book = tmp_path / "labels.offbench", tmp_path / "labels.offbench.answers.jsonl"
    server.script = ["first", "unsure", "second", "404", "tie", "first"]
    assert teach(pendulum_file, output, "--endpoint", server.url) == 2
    told = capsys.readouterr().err
    assert "error: pair 4: the endpoint http://127.0.0.1:" in told
    assert f"status 404: no\\x1bway; the 3 answers before are in {book}, and are not asked again" in told
    assert not output.exists()
    assert teach(pendulum_file, output, "--endpoint", server.url) == 0
    assert files.load(output).labels.tolist() == [0, 1, 0.5, 0, 0, 0]
    assert len(server.requests) == 4 + 4
    assert len({request["pair"] for request in server.requests}) == 7
    assert [json.loads(line)["label"] for line in book.read_text().splitlines()] == [0, None, 1, 0.5, 0, 0, 0]
    assert teach(pendulum_file, output, "--endpoint", server.url) == 2
    assert "labels.offbench exists; name another file, or remove it (answers stay in" in capsys.readouterr().err
    output.unlink()
    assert teach(pendulum_file, output, "--endpoint", server.url) == 0
    assert len(server.requests) == 8


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "name one teacher: either --endpoint URL or --command PROGRAM"),
        (["--endpoint", "http://x", "--command", "y"], "name one teacher: either --endpoint URL or --command PROGRAM"),
        (["--endpoint", "x"], "the endpoint 'x' is no address"),
        (["--command", "x", "--pairs", "6"], "--pairs 6 is not PAIRSxSTEPS; 100x50 would be right"),
        (["--command", "x", "-o", "labels.npz"], "labels.npz would be a native file under another name"),
        (["--command", "x", "--task", "pendulums"], "there is no task named 'pendulums'; nearest: pendulum"),
    ],
)
def test_what_cannot_be_taught_is_refused(
    pendulum_file: Path, tmp_path: Path, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(pendulum_file, tmp_path / "labels.offbench", *flags) == 2
    assert sentence in capsys.readouterr().err
