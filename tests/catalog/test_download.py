"""Downloads against a real server on loopback: the right file in the end, or none and a clear error."""

import hashlib
import multiprocessing
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from faulty_server import FAULTS, Server, serving

from offbench.catalog import part
from offbench.catalog.content import Content
from offbench.catalog.download import fetch
from offbench.catalog.http import Patience
from offbench.errors import OffbenchError

BODY = random.Random(0).randbytes(100_000)
CONTENT = Content(size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest(), md5=hashlib.md5(BODY).hexdigest())
QUICK = Patience(timeout=0.3, attempts=3, pause=0.001, longest=0.004, least=1)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OFFBENCH_OFFLINE", raising=False)


@pytest.fixture
def server():
    with serving(BODY) as made:
        yield made


def get(server: Server, folder: Path, content: Content = CONTENT, **options) -> bytes:
    return fetch((server.url,), folder / "file.bin", content, patience=QUICK, **options).read_bytes()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_comes_once_with_progress(server, tmp_path):
    heard = []
    assert get(server, tmp_path, progress=lambda done, total: heard.append((done, total))) == BODY
    assert heard[-1] == (len(BODY), len(BODY))
    assert heard == sorted(heard)
    assert get(server, tmp_path) == BODY
    assert len(server.requests) == 1
    assert left(tmp_path) == {"file.bin"}


# What a single fault, met by every request, leads to where size and checksum are known: the file, or an error.
ALWAYS_FATAL = {
    "cut": None,  # each attempt brings half of the rest, so that it comes through in the end
    "stall": None,
    "says more": "where 100,000 are right",
    "says less": "where 100,000 are right",
    "redirect": None,
    "redirect in circles": "302",
    "redirect to file": "redirects to file:///etc/passwd, which is not followed",
    "404": "404",
    "403": "403",
    "500": "500",
    "416": "fewer bytes",
    "ignores range": None,
    "other file": "where 100,000 are right|sha256 .* where .* is right",
    "other file without tag": "where 100,000 are right|sha256 .* where .* is right",
    "wrong bytes": f"sha256 [0-9a-f]{{64}} where {CONTENT.sha256} is right",
    "wrong range": None,
    "chunked": None,
    "chunked and cut": None,
    "no length": None,
    "no tag": None,
    "empty": "where 100,000 are right",
    "hangs up": "closed",
    "gibberish": "not http",
    "encoded": "encoded",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_by_itself_all_the_time(fault, server, tmp_path):
    server.behave = lambda number: fault
    message = ALWAYS_FATAL[fault]
    patience = Patience(timeout=0.05 if fault == "stall" else 2, attempts=3, pause=0.001, longest=0.004, least=1)
    path = tmp_path / "file.bin"
    if message is None:
        assert fetch((server.url,), path, CONTENT, patience=patience).read_bytes() == BODY
        assert left(tmp_path) == {"file.bin"}
    else:
        with pytest.raises(OffbenchError, match=f"file.bin could not be downloaded: {server.url}: .*({message})"):
            fetch((server.url,), path, CONTENT, patience=patience)
        assert not path.exists()
        assert len(server.requests) <= 60
        if "right" in message:
            assert left(tmp_path) == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_once_after_a_cut(fault, server, tmp_path):
    """First a cut, then the fault, then all is well: only errors that no patience mends are fatal."""
    server.behave = lambda number: {0: "cut", 1: fault}.get(number, "ok")
    fatal = fault in ("404", "403", "redirect to file", "encoded")
    if fatal:
        with pytest.raises(OffbenchError, match=r"bytes are kept to go on from|nothing was kept"):
            get(server, tmp_path)
        assert "file.bin" not in left(tmp_path)
        server.behave = lambda number: "ok"
    assert get(server, tmp_path) == BODY
    assert left(tmp_path) == {"file.bin"}


def test_all_faults_mixed_at_random(server, tmp_path):
    draw = random.Random(1)
    # A stall takes real time and a fatal answer ends the story, so both are rare.
    weights = [0.3 if fault in ("stall", "404", "403", "redirect to file", "encoded") else 1 for fault in FAULTS]
    patience = Patience(timeout=0.1, attempts=5, pause=0.0005, longest=0.002, least=1)
    came = 0
    for run in range(200):
        story = draw.choices([*FAULTS, "ok"], [*weights, 4], k=200)
        first = len(server.requests)
        server.behave = lambda number, story=story, first=first: story[number - first]
        path = tmp_path / str(run) / "file.bin"
        try:
            fetch((server.url, f"{server.url}?mirror"), path, CONTENT, patience=patience)
        except OffbenchError:
            assert not path.exists()
            continue
        came += 1
        assert path.read_bytes() == BODY
        assert left(path.parent) == {"file.bin"}
    assert 100 < came < 200


def test_without_a_checksum_parts_of_two_files_are_never_joined(tmp_path):
    draw = random.Random(2)
    honest = [f for f in FAULTS if f not in ("wrong bytes", "says less", "stall", "404", "403", "encoded", "empty")]
    with serving(BODY) as server:
        allowed = {BODY, server.other}
        came = 0
        for run in range(60):
            story = draw.choices([*honest, "ok"], k=200)
            first = len(server.requests)
            server.behave = lambda number, story=story, first=first: story[number - first]
            path = tmp_path / str(run) / "file.bin"
            try:
                fetch((server.url,), path, Content(), patience=QUICK)
            except OffbenchError:
                assert not path.exists()
                continue
            came += 1
            assert path.read_bytes() in allowed
        assert came > 20


def test_a_server_that_drips_is_as_good_as_one_that_stalls(server, tmp_path):
    server.behave = lambda number: "drips"
    patience = Patience(timeout=0.1, attempts=1, pause=0.001, longest=0.001, least=1000)
    with pytest.raises(OffbenchError, match=r"stalled after \d+ bytes"):
        fetch((server.url,), tmp_path / "file.bin", CONTENT, patience=patience)


# -------------------------------------------------------------------- resuming


def test_a_cut_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.behave = lambda number: "cut" if number == 0 else "ok"
    assert get(server, tmp_path) == BODY
    assert [asked for _, asked, _ in server.requests] == [None, "bytes=50000-"]


def test_a_later_process_goes_on_too(server, tmp_path):
    server.behave = lambda number: "cut" if number == 0 else "500"
    with pytest.raises(OffbenchError, match="50,000 bytes are kept to go on from"):
        get(server, tmp_path)
    server.behave = lambda number: "ok"
    assert get(server, tmp_path) == BODY
    assert server.requests[-1][1] == "bytes=50000-"


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(server, tmp_path):
    server.behave = lambda number: "cut" if number == 0 else "other file"
    assert get(server, tmp_path, Content()) == server.other
    assert [asked for _, asked, _ in server.requests] == [None, "bytes=50000-"]


def test_a_rest_that_starts_elsewhere_is_not_appended(server, tmp_path):
    server.behave = lambda number: {0: "cut", 1: "wrong range"}.get(number, "ok")
    assert get(server, tmp_path, Content()) == BODY
    assert [asked for _, asked, _ in server.requests] == [None, "bytes=50000-", None]


def test_the_rest_may_come_from_a_mirror_if_a_checksum_is_known(server, tmp_path):
    with serving(BODY) as mirror:
        server.behave = lambda number: "cut" if number == 0 else "500"
        path = fetch((server.url, mirror.url), tmp_path / "file.bin", CONTENT, patience=QUICK)
        assert path.read_bytes() == BODY
        assert mirror.requests == [("/file.bin", "bytes=50000-", "ok")]
    server.requests.clear()
    with serving(BODY) as mirror:
        path = fetch((server.url, mirror.url), tmp_path / "unsure.bin", Content(), patience=QUICK)
        assert path.read_bytes() == BODY
        assert mirror.requests == [("/file.bin", None, "ok")]


def test_mirrors_are_tried_in_turn_and_all_reasons_are_given(server, tmp_path):
    with serving(BODY) as mirror:
        server.behave, mirror.behave = lambda number: "404", lambda number: "wrong bytes"
        with pytest.raises(OffbenchError, match=f"{server.url}: .* 404 .*{mirror.url}: sha256"):
            fetch((server.url, mirror.url), tmp_path / "file.bin", CONTENT, patience=QUICK)
        mirror.behave = lambda number: "ok"
        assert fetch((server.url, mirror.url), tmp_path / "file.bin", CONTENT, patience=QUICK).read_bytes() == BODY


# -------------------------------------------------------------------- addresses


def test_file_addresses(tmp_path):
    source = tmp_path / "a name with spaces.bin"
    source.write_bytes(BODY)
    assert fetch((source.as_uri(),), tmp_path / "copy.bin", CONTENT).read_bytes() == BODY
    source.write_bytes(BODY[:-1])
    with pytest.raises(OffbenchError, match=r"99,999 bytes where 100,000 are right.*nothing was kept"):
        fetch((source.as_uri(),), tmp_path / "short.bin", CONTENT, patience=QUICK)
    with pytest.raises(OffbenchError, match="no such file on this machine"):
        fetch((f"file://otherhost{source}",), tmp_path / "remote.bin", CONTENT)
    with pytest.raises(OffbenchError, match="no such file on this machine"):
        fetch((tmp_path.as_uri(),), tmp_path / "folder.bin", CONTENT)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "data:,x", "/etc/passwd", "gopher://x"])
def test_other_schemes_are_refused(url, tmp_path):
    with pytest.raises(OffbenchError, match="none of http, https, file, hf"):
        fetch((url,), tmp_path / "x", Content())
    assert left(tmp_path) == set()


def test_a_server_that_is_not_there_is_said_so(tmp_path):
    with serving(BODY) as gone:
        url = gone.url
    with pytest.raises(OffbenchError, match="refused"):
        fetch((url,), tmp_path / "x", CONTENT, patience=QUICK)


def test_proxies_of_the_environment_are_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/file.bin"))
    monkeypatch.setenv("no_proxy", "")
    path = fetch(("http://host.invalid/file.bin",), tmp_path / "x", CONTENT, patience=QUICK)
    assert path.read_bytes() == BODY
    assert server.requests == [("http://host.invalid/file.bin", None, "ok")]


def test_offline_nothing_is_asked(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    with pytest.raises(OffbenchError, match="OFFBENCH_OFFLINE is set; unset it to download http"):
        get(server, tmp_path)
    (tmp_path / "source").write_bytes(BODY)
    both = (server.url, (tmp_path / "source").as_uri())
    assert fetch(both, tmp_path / "copy", CONTENT).read_bytes() == BODY
    assert server.requests == []
    monkeypatch.setenv("OFFBENCH_OFFLINE", "0")
    assert get(server, tmp_path) == BODY


# -------------------------------------------------------------------- the disk


def test_too_little_room_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(part.shutil, "disk_usage", lambda path: _Usage(free=99_999))
    with pytest.raises(OffbenchError, match=r"no room for the 100,000 bytes of file\.bin.*OFFBENCH_CACHE"):
        get(server, tmp_path)
    assert left(tmp_path) == set()


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(server, tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from offbench.catalog.download import fetch\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "fetch((sys.argv[1],), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, server.url, str(tmp_path / "file.bin")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "OffbenchError: file.bin cannot be written" in done.stderr
    assert "OFFBENCH_CACHE" in done.stderr
    assert left(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OffbenchError, match=r"cannot write .*file.*name another folder"):
        fetch((server.url,), tmp_path / "file" / "x", CONTENT)


# -------------------------------------------------------------------- several at once


def _fetch_in_process(url: str, path: str, barrier) -> None:
    barrier.wait()
    fetch((url,), Path(path), CONTENT)


def test_two_processes_make_one_transfer(server, tmp_path):
    server.delay = 0.02
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    path = tmp_path / "file.bin"
    processes = [
        context.Process(target=_fetch_in_process, args=(server.url, str(path), barrier), daemon=True) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert path.read_bytes() == BODY
    assert server.bodies == len(server.requests) == 1
    assert left(tmp_path) == {"file.bin"}


def test_eight_threads_make_one_transfer(server, tmp_path):
    server.delay = 0.01
    bodies = []
    threads = [threading.Thread(target=lambda: bodies.append(get(server, tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [BODY] * 8
    assert len(server.requests) == 1


def test_whoever_waits_takes_over_when_the_first_is_killed(server, tmp_path):
    server.delay = 0.2
    script = (
        "import sys; from pathlib import Path; from offbench.catalog.download import fetch\n"
        "fetch((sys.argv[1],), Path(sys.argv[2]))\n"
    )
    path = tmp_path / "file.bin"
    first = subprocess.Popen([sys.executable, "-c", script, server.url, str(path)], cwd=Path(__file__).parents[2])
    part = tmp_path / "file.bin.part"
    while not (part.is_file() and part.stat().st_size):
        assert first.poll() is None
    first.kill()
    first.wait()
    server.delay = 0
    assert get(server, tmp_path) == BODY
    assert server.requests[-1][1] is not None
    assert left(tmp_path) == {"file.bin"}
