"""Inputs of ``predict`` that are files: each is parsed or named in a line, and none stops the others."""

import io
from http.client import HTTPResponse
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.common.data import cache
from tasks.common.data.inputs import InputSegment, fetch, parse_file_inputs
from tasks.common.data.media_files import MediaError

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"  # an answer whose connection was lost


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
    assert [each.name for each in (first, broken, damaged)] == names
    assert (broken.segments, broken.problem) == ((), "is broken")
    assert (first.segments[0].source["path"], first.notes) == (names[0], [])
    assert (damaged.segments[0].source["path"], damaged.notes) == (names[2], ["is damaged"])
    assert capsys.readouterr().err == f"{names[1]} is broken: its line stays empty\n{names[2]} is damaged\n"


def test_a_folder_is_all_media_in_it_and_in_the_folders_inside(tmp_path):
    save_files(tmp_path, "b.png", "a.png", "a.txt", "captions.CSV", ".DS_Store", "Thumbs.db", "desktop.ini")
    save_files(tmp_path / "c", "x.png")
    save_files(tmp_path / ".cache", "y.png")
    inputs = parse_file_inputs([str(tmp_path)], parse_file)
    assert [Path(each.name).name for each in inputs] == ["a.png", "b.png", "x.png"]
    assert all(each.segments[0].source["path"] == each.name for each in inputs)


def test_a_file_is_opened_when_it_is_due(tmp_path):
    opened: list[str] = []

    def parse(file, note):
        opened.append(file["path"])
        return parse_file(file, note)

    save_files(tmp_path, "a.png", "b.png", "c.png")
    inputs = parse_file_inputs([str(tmp_path)], parse)
    assert opened == [] and next(inputs).name == str(tmp_path / "a.png")
    assert opened == [str(tmp_path / "a.png")]
    assert len(list(inputs)) == 2 and len(opened) == 3


def test_an_empty_folder_is_named(tmp_path, capsys):
    save_files(tmp_path / "empty", ".DS_Store", "a.txt")
    (empty,) = parse_file_inputs([str(tmp_path / "empty")], parse_file)
    assert empty.problem == "is a folder without files"
    assert capsys.readouterr().err == f"{tmp_path / 'empty'} is a folder without files: its line stays empty\n"


@pytest.mark.parametrize(
    ("address", "reason"), [("http://localhost/a b.png", "a b.png"), ("http://localhost/half.png", "IncompleteRead")]
)
def test_an_address_that_cannot_be_fetched_is_named(address, reason, monkeypatch, capsys):
    if reason == "IncompleteRead":
        answer = HTTPResponse(SimpleNamespace(makefile=lambda mode: io.BytesIO(HALF)))  # pyright: ignore
        answer.begin()
        monkeypatch.setattr("urllib.request.urlopen", lambda address, timeout: answer)
    (parsed,) = parse_file_inputs([address], parse_file)
    assert parsed.problem is not None and reason in parsed.problem
    assert capsys.readouterr().err.startswith(f"{address} can't be fetched (")


def test_a_fetched_file_is_kept_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr("urllib.request.urlopen", lambda address, timeout: io.BytesIO(b"content"))
    assert Path(fetch("http://localhost/a.png")).read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == [Path(fetch("http://localhost/a.png")).name]
