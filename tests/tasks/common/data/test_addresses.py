"""Web addresses: what is fetched is kept whole, comes from the web alone, and has limits of size and time."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest

from tasks.common.data import addresses, cache
from tasks.common.data.addresses import WebRedirects, fetch, is_internal
from tasks.common.data.media_files import MediaError

REDIRECTS = {
    "/file": "file:///etc/hostname",
    "/ftp": "ftp://127.0.0.1/a.png",
    "/data": "data:text/plain,a",
    "/again": "/again",
    "/moved": "/a.png",
}


class Server(BaseHTTPRequestHandler):
    """Sends b"content", half of it, redirects, or far too much."""

    def do_GET(self) -> None:
        if self.path in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[self.path])
            self.end_headers()
            return
        content = bytes(200_000) if self.path == "/large" else b"content"
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(2 * len(content) if self.path == "/half" else len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Callable[[str], str]]:
    """Serve on this machine, with an empty cache: ``server(path)`` is an address."""
    monkeypatch.setattr(cache, "cache_dir", lambda: tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield lambda path: f"http://127.0.0.1:{listening.server_port}{path}"
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.mark.parametrize("path", ["/a.png", "/moved", "/endless"])
def test_a_fetched_file_is_kept_whole(server, tmp_path, path):
    assert Path(fetch(server(path))).read_bytes() == b"content"
    assert [each.name for each in tmp_path.iterdir()] == [Path(fetch(server(path))).name]


@pytest.mark.parametrize(
    "path, reason",
    [
        ("/a b.png", "a b.png"),
        ("/missing", "404"),
        ("/half", "IncompleteRead"),
        ("/file", "Redirection to url 'file:///etc/hostname' is not allowed"),
        ("/ftp", "ftp"),
        ("/data", "is not allowed"),
        ("/again", "infinite loop"),
        ("/large", "it is larger than 0.1 MB"),
    ],
)
def test_what_cannot_be_fetched_is_named_and_leaves_nothing(server, tmp_path, monkeypatch, path, reason):
    monkeypatch.setattr(addresses, "MAX_FETCHED_BYTES", 100_000)
    with pytest.raises(MediaError, match="can't be fetched") as error:
        fetch(server(path))
    assert reason in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_server_that_takes_too_long_is_left(server, monkeypatch, tmp_path):
    monkeypatch.setattr(addresses, "MAX_FETCH_S", -1)
    with pytest.raises(MediaError, match="it takes longer than"):
        fetch(server("/a.png"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/a.png", "data:text/plain,a"])
def test_nothing_but_the_web_is_opened(address, server):
    with pytest.raises(MediaError, match="unknown url type"):
        fetch(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254"])
def test_a_server_elsewhere_does_not_lead_to_this_network(host):
    def redirect(old: str, new: str) -> object:
        return WebRedirects().redirect_request(Request(old), io.BytesIO(), 302, "", {}, new)

    assert is_internal(f"http://{host}:80/a")
    with pytest.raises(OSError, match="address of this machine"):
        redirect("http://8.8.8.8/a", f"http://{host}/a")
    assert redirect("http://127.0.0.1/a", f"http://{host}/a")
    assert redirect(f"http://{host}/a", "http://8.8.8.8/a")
