"""Teachers outside: what they answer becomes a label, and whatever goes wrong ends in time and in one sentence."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from teaching_server import TeachingServer, teaching, wait_for

from offbench.errors import OffbenchError
from offbench.labelling.contract import Answer, answer_of, request
from offbench.labelling.transports import Command, Endpoint, Patience, answer

BODY = request("which?", "ab", "pendulum", {"images": []}, {"images": []})
ONCE = Patience(tries=1)


@pytest.fixture
def server() -> Iterator[TeachingServer]:
    with teaching() as found:
        yield found


def python(code: str, timeout: float = 20.0) -> Command:
    return Command(f"{sys.executable} -c '{code}'", timeout)


# -------------------------------------------------------------------- labels


def test_labels_are_those_of_the_contract() -> None:
    import numpy as np

    for given, label in ((0, 0.0), (1, 1.0), (0.5, 0.5), (np.float32(1), 1.0), (np.array(0), 0.0)):
        assert answer_of(given) == Answer(label)
    for unsure in (None, -1, np.int64(-1), Answer(None)):
        assert answer_of(unsure).label is None
    for wrong in (2, 0.3, "0", True, float("nan"), [0], np.array([0])):
        with pytest.raises(OffbenchError, match=r"; 0, 0.5, 1, or None where it is unsure, would be right"):
            answer_of(wrong)


@pytest.mark.parametrize(
    ("how", "label"), [("first", 0.0), ("second", 1.0), ("tie", 0.5), ("unsure", None), ("null", None)]
)
def test_an_endpoint_labels(server: TeachingServer, how: str, label: float | None) -> None:
    server.script = [how]
    assert answer(Endpoint(server.url), BODY, ONCE) == Answer(label, "upright" if how == "first" else "")
    assert server.requests[0]["schema"] == "offbench.teacher/1"
    assert server.requests[0]["prompt"] == "which?"


# -------------------------------------------------------------------- endpoints that fail


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("not JSON", r"in 2 tries: it answered '<html>busy</html>', which is not JSON; \{\"label\": 0, 0.5, 1 or -1\}"),
        ("deep", r"in 2 tries: it answered '\[\[.*which is not JSON"),
        ("no object", r"in 2 tries: it answered JSON without a label"),
        ("other label", r"in 2 tries: it answered the label '2'; .* would be right"),
        ("word", r"in 2 tries: it answered the label 'first'"),
        ("yes", r"in 2 tries: it answered the label 'True'"),
        ("nan", r"in 2 tries: it answered the label 'nan'"),
        ("other schema", r"in 2 tries: it answered by the schema 'offbench.teacher/2'; offbench.teacher/1 would be"),
        ("500", r"in 2 tries: it answered with status 500: no\\x1bway"),
        ("429", r"in 2 tries: it answered with status 429"),
        ("hangs up", r"in 2 tries: it hung up or spoke no HTTP"),
        ("404", r"gave no label: it answered with status 404: no\\x1bway$"),
        ("redirect", r"gave no label: it redirects to http://192.0.2.1/, which is not followed; name that address"),
        ("huge", r"gave no label: it answered more than 65,536 bytes, and a label is a short JSON object"),
    ],
)
def test_an_endpoint_that_fails_is_told_in_one_sentence(server: TeachingServer, how: str, sentence: str) -> None:
    server.script = [how]
    with pytest.raises(OffbenchError, match=sentence) as told:
        answer(Endpoint(server.url), BODY, Patience(tries=2), sleep=lambda seconds: None)
    assert "\n" not in str(told.value)
    assert "key=1" not in str(told.value)
    # What will not pass is not asked again.
    assert len(server.requests) == (2 if "in 2 tries" in sentence else 1)


@pytest.mark.parametrize("how", ["silent", "drips", "drips headers"])
def test_an_endpoint_that_delays_is_left_at_the_limit(server: TeachingServer, how: str) -> None:
    server.script = [how]
    started = time.monotonic()
    with pytest.raises(OffbenchError, match=r"gave no label in 1 try: it did not answer within 0.4 seconds"):
        answer(Endpoint(server.url, timeout=0.4), BODY, ONCE)
    assert 0.3 < time.monotonic() - started < 5


def test_an_endpoint_that_refuses_is_asked_again(server: TeachingServer) -> None:
    url = server.url
    server.http.server_close()
    slept: list[float] = []
    with pytest.raises(OffbenchError, match=r"in 4 tries: it cannot be reached \(Connection refused\)"):
        answer(Endpoint(url), BODY, Patience(tries=4, wait=12), slept.append)
    assert slept == [12, 24, 30]


def test_what_passes_is_waited_for(server: TeachingServer) -> None:
    server.script = ["500", "429", "not JSON", "hangs up", "second"]
    slept: list[float] = []
    assert answer(Endpoint(server.url), BODY, Patience(tries=5, wait=0.5), slept.append) == Answer(1.0)
    assert slept == [0.5, 7.0, 2.0, 4.0]  # the server asked for seven seconds


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8000", "ftp://x/", "http://", "http://x:99999/", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(OffbenchError, match=r"is no address; http://127.0.0.1:8000/label would be right"):
        Endpoint(url)


def test_secrets_do_not_belong_in_addresses() -> None:
    with pytest.raises(OffbenchError, match=r"has a name or password in its address") as told:
        Endpoint("https://me:secret@example.org/")
    assert "secret" not in str(told.value)
    with pytest.raises(OffbenchError, match=r"the time limit of a teacher must be a positive number"):
        Endpoint("https://example.org/", timeout=0)


# -------------------------------------------------------------------- commands


def test_a_command_labels() -> None:
    code = (
        'import json, sys; asked = json.load(sys.stdin); print(json.dumps({"label": int(asked["prompt"] == "which?")}))'
    )
    assert answer(python(code), BODY, ONCE) == Answer(1.0)
    # One that reads nothing and complains beside its answer is as good.
    loud = 'import sys; sys.stderr.write("x" * 300000); print("{\\"label\\": 0}")'
    assert answer(python(loud), BODY * 5000, ONCE) == Answer(0.0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ('import sys; print("{}"); sys.exit(3)', "in 1 try: it ended with status 3: it wrote no error"),
        ('raise SystemExit("no model here")', "in 1 try: it ended with status 1: no model here"),
        ('print("the first")', "in 1 try: it answered 'the first\\\\n', which is not JSON"),
        ("pass", "in 1 try: it answered '', which is not JSON"),
        ('print("x" * 10000000)', "gave no label: it answered more than 65,536 bytes"),
    ],
)
def test_a_command_that_fails_is_told_in_one_sentence(code: str, sentence: str) -> None:
    with pytest.raises(OffbenchError, match=sentence) as told:
        answer(python(code), BODY, ONCE)
    assert "\n" not in str(told.value)


def test_a_command_that_delays_is_killed_with_what_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = tmp_path / "slow.py"
    script.write_text(
        "import subprocess, sys, time\n"
        f"started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(started.pid))\n"
        "time.sleep(60)\n"
    )
    started = time.monotonic()
    with pytest.raises(OffbenchError, match=r"it did not answer within 2 seconds"):
        answer(Command(f"{sys.executable} {script}", timeout=2), BODY, ONCE)
    assert time.monotonic() - started < 10

    def gone() -> bool:
        try:
            state = Path(f"/proc/{child.read_text()}/stat")
            return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    if os.path.isdir("/proc/self"):
        assert wait_for(gone)


def test_a_command_that_is_none_is_refused() -> None:
    with pytest.raises(OffbenchError, match=r"gave no label: it cannot be started \(No such file or directory\)"):
        answer(Command("there-is-no-such-program now"), BODY, Patience(tries=3))
    with pytest.raises(OffbenchError, match=r"the teacher's command is empty"):
        Command(" ")
    with pytest.raises(OffbenchError, match=r"cannot be split into words: No closing quotation"):
        Command("say 'hello")
    with pytest.raises(OffbenchError, match=r"tries 0 and wait 1.0 must be at least 1 and 0"):
        Patience(tries=0)
