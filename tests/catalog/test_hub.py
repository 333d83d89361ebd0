"""Publishing to a Hub and loading from it, against an endpoint on loopback that speaks the calls needed."""

import base64
import builtins
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offbench.catalog import hub, publishing
from offbench.catalog.cards import card, read_cards
from offbench.catalog.download import fetch
from offbench.catalog.loading import load
from offbench.cli import data
from offbench.errors import OffbenchError

huggingface_hub = pytest.importorskip("huggingface_hub")

SWINGUP = "offbench/pendulum/swingup-v0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories in memory; every file counts as small, so that it travels inside the commit."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created: list[dict] = []
        self.calls: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.calls.append(f"POST {self.path}")
                if self.headers.get("Authorization") != "Bearer hf_test":
                    return self.answer(401, {"error": "Invalid username or password."})
                return self.answer(200, hub.post(self.path, body))

            def do_GET(self) -> None:
                hub.calls.append(f"{self.command} {self.path}")
                match = re.fullmatch(rf"/datasets/(.+)/resolve/{COMMIT}/(.+)", self.path)
                if match is None or match[2] not in hub.files:
                    return self.answer(404, {"error": "not found"}, {"X-Error-Code": "EntryNotFound"})
                content = hub.files[match[2]]
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
                return self.answer(200, content, headers)

            def do_HEAD(self) -> None:
                self.do_GET()

            def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *values: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def post(self, path: str, body: bytes) -> dict:
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return {"url": f"{self.url}/datasets/me/swingup", "name": "me/swingup"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            asked = json.loads(body)["files"]
            return {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
        if "/commit/" in path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            return {
                "commitOid": COMMIT,
                "commitUrl": f"{self.url}/datasets/me/swingup/commit/{COMMIT}",
                "success": True,
            }
        raise AssertionError(path)


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OFFBENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    served = Hub()
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    yield served
    served.http.shutdown()
    served.http.server_close()


def test_what_is_published_loads_from_its_pinned_card(endpoint, tmp_path, monkeypatch, capsys):
    original = load(SWINGUP)
    data.publish_dataset(SWINGUP, "me/swingup", output=tmp_path / "out")
    assert "is published" in capsys.readouterr().out
    assert endpoint.created[0]["type"] == "dataset"
    assert set(endpoint.files) == {"swingup-v0.offbench", "README.md"}
    (pinned,) = read_cards(tmp_path / "out/swingup-v0.toml")
    assert pinned.files[0].url == f"hf://datasets/me/swingup@{COMMIT}/swingup-v0.offbench"
    assert pinned.files[0].sha256 == hashlib.sha256(endpoint.files["swingup-v0.offbench"]).hexdigest()
    assert (pinned.id, pinned.task, pinned.steps) == (SWINGUP, "pendulum", 100_000)
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "another"))
    loaded = load(tmp_path / "out/swingup-v0.toml")
    assert loaded.digest == original.digest
    assert loaded.provenance.task == "pendulum"
    calls = len(endpoint.calls)
    assert load(tmp_path / "out/swingup-v0.toml").digest == original.digest
    assert len(endpoint.calls) == calls
    left = {path.name for path in (tmp_path / "another").rglob("*") if path.is_file()}
    assert left == {"swingup-v0.offbench"}


def test_the_page_of_a_published_dataset_says_what_it_is(endpoint, tmp_path):
    original = load(SWINGUP)
    described = card(SWINGUP).model_copy(update={"licence": "CC-BY-4.0", "citation": "A, B", "known_defects": ("odd",)})
    page = publishing.readme(original, described, "swingup-v0.offbench")
    assert page.startswith("---\nlicense: cc-by-4.0\ntags:\n")
    for part in ("500 episodes, 100,000 steps", "- odd\n", "Please cite: A, B."):
        assert part in page


def test_a_card_is_written_so_that_it_reads_back_the_same(tmp_path):
    (tmp_path / "x.offbench").write_bytes(b"content")
    odd = 'quotes " and \\ and\nlines, ünïcode \t'
    described = card(SWINGUP).model_copy(update={"description": odd, "known_defects": (odd, "b"), "citation": odd})
    url = f"hf://datasets/me/it@{COMMIT}/x.offbench"
    (tmp_path / "card.toml").write_text(
        publishing.card_text(described, url, tmp_path / "x.offbench", 7), encoding="utf-8"
    )
    (read,) = read_cards(tmp_path / "card.toml")
    assert (read.description, read.known_defects, read.citation) == (odd, (odd, "b"), odd)
    assert (read.steps, read.reader, read.files[0].size, read.recipe) == (7, "native", 7, None)


def test_wrong_bytes_from_the_hub_are_refused(endpoint, tmp_path):
    data.publish_dataset(SWINGUP, "me/swingup", output=tmp_path)
    content = endpoint.files["swingup-v0.offbench"]
    endpoint.files["swingup-v0.offbench"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(OffbenchError, match=r"sha256 [0-9a-f]{64} where [0-9a-f]{64} is right.*nothing was kept"):
        load(tmp_path / "swingup-v0.toml")


def test_what_the_hub_lacks_or_refuses_is_said(endpoint, tmp_path, monkeypatch):
    with pytest.raises(OffbenchError, match="the Hub has no such file"):
        fetch((f"hf://datasets/me/it@{COMMIT}/nothing.offbench",), tmp_path / "x")
    with pytest.raises(OffbenchError, match="no name of a repository"):
        data.publish_dataset(SWINGUP, "swingup", output=tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(OffbenchError, match=r"the Hub refuses me/swingup: .*401.*hf auth login"):
        data.publish_dataset(SWINGUP, "me/swingup", output=tmp_path)
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    with pytest.raises(OffbenchError, match="OFFBENCH_OFFLINE is set"):
        data.publish_dataset(SWINGUP, "me/swingup", output=tmp_path)
    with pytest.raises(OffbenchError, match="40 digits of a commit"):
        hub.download("hf://datasets/me/it@main/x", tmp_path / "x")


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "huggingface_hub":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OffbenchError, match=r"pip install 'offbench\[hub\]'"):
        fetch((f"hf://datasets/me/it@{COMMIT}/x.offbench",), tmp_path / "x")
