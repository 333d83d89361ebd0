import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from offbench.errors import OffbenchError
from offbench.leaderboard.serving import server
from offbench.leaderboard.site_folder import MARK


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    site = tmp_path / "site"
    site.mkdir()
    (site / MARK).touch()
    (site / "index.html").write_text("<p>here")
    (tmp_path / "secret.txt").write_text("secret")
    with server(site, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def test_a_built_site_is_served_to_this_machine_alone(port: int):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert answer.read() == b"<p>here"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"])
def test_nothing_beside_the_site_is_served(path: str, port: int):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 404


def test_only_sites_are_served(tmp_path: Path):
    with pytest.raises(OffbenchError, match="is no site; offbench leaderboard build"):
        server(tmp_path, 0)


def test_a_port_that_is_taken_is_named(port: int, tmp_path: Path):
    with pytest.raises(OffbenchError, match=f"port {port} cannot be listened on"):
        server(tmp_path / "site", port)
