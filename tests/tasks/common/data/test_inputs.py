"""Inputs of ``predict`` that are files: each is parsed or named in a line, and none stops the others."""

import contextlib
import http.server
import threading
from pathlib import Path

from tasks.common.data import cache
from tasks.common.data.inputs import InputSegment, parse_file_inputs
from tasks.common.data.media_files import MediaError


def parse_file(file, note):
    """Take any file but a broken one, and note a damaged one."""
    if Path(file["path"]).name.startswith("broken"):
        raise MediaError("is broken")
    if Path(file["path"]).name.startswith("damaged"):
        note("is damaged")
    return [InputSegment(file)]


def save_files(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("content")


def test_broken_files_are_named_and_the_others_used(tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("a.png", "broken [v2].png", "damaged.png")]
    first, broken, damaged = parse_file_inputs(names, parse_file)
    assert broken is None
    assert first and first[0].source["path"] == names[0]
    assert damaged and damaged[0].source["path"] == names[2] and damaged[0].notes == ("is damaged",)
    assert capsys.readouterr().err == f"{names[1]} is broken: its line stays empty\n{names[2]} is damaged\n"


def test_files_that_the_system_hides_and_texts_in_a_folder_are_no_inputs(tmp_path):
    save_files(tmp_path, "b.png", "a.png", "a.txt", "captions.CSV", ".DS_Store", "Thumbs.db", "desktop.ini")
    inputs = parse_file_inputs([str(tmp_path)], parse_file)
    assert [Path(segment.source["path"]).name for segments in inputs if segments for segment in segments] == [
        "a.png",
        "b.png",
    ]


def test_an_empty_folder_is_named(tmp_path, capsys):
    save_files(tmp_path / "empty", ".DS_Store", "a.txt")
    assert parse_file_inputs([str(tmp_path / "empty")], parse_file) == [None]
    assert capsys.readouterr().err == f"{tmp_path / 'empty'} is a folder without files: its line stays empty\n"


def test_a_broken_address_is_named_and_nothing_is_left_of_a_broken_transfer(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cache, "cache_dir", lambda: tmp_path)
    with broken_server() as address:
        names = ["http://127.0.0.1/a b.jpg", f"{address}/short.jpg"]
        assert parse_file_inputs(names, parse_file) == [None, None]
    told = capsys.readouterr().err
    assert all(f"{name} can't be fetched (" in told for name in names)
    assert not any(tmp_path.iterdir())


@contextlib.contextmanager
def broken_server():
    """Serve files that end before they should."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
