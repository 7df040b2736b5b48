"""Inputs of ``predict`` that are files: each is parsed or named in a line, and none stops the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.common.data.inputs import InputSegment, ParsedInput, list_file_inputs, parse_file_input
from tasks.common.data.media_files import MediaError


def parse_file(file, note):
    """Take any file but a broken one, and note a damaged one."""
    if Path(file["path"]).name.startswith("broken"):
        raise MediaError("is broken")
    if Path(file["path"]).name.startswith("damaged"):
        note("is damaged")
    return [InputSegment(file)]


def parse_all(arguments: list[str], parse=parse_file) -> Iterator[ParsedInput]:
    for listed in list_file_inputs(arguments):
        yield parse_file_input(listed.name, {"path": listed.name, "bytes": None}, parse)


def save_files(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("content")


def test_broken_files_have_a_problem_and_the_others_are_used(tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("a.png", "broken [v2].png", "damaged.png")]
    first, broken, damaged = parse_all(names)
    assert [each.name for each in (first, broken, damaged)] == names
    assert (broken.segments, broken.problem) == ((), "is broken")
    assert (first.segments[0].source["path"], first.notes) == (names[0], [])
    assert (damaged.segments[0].source["path"], damaged.notes) == (names[2], ["is damaged"])
    assert capsys.readouterr().err == ""  # it is up to the command, or the page, to say so


def test_a_folder_is_all_media_in_it_and_in_the_folders_inside(tmp_path):
    save_files(tmp_path, "b.png", "a.png", "a.txt", "captions.CSV", ".DS_Store", "Thumbs.db", "desktop.ini")
    save_files(tmp_path / "c", "x.png")
    save_files(tmp_path / ".cache", "y.png")
    inputs = parse_all([str(tmp_path)])
    assert [Path(each.name).name for each in inputs] == ["a.png", "b.png", "x.png"]
    assert all(each.segments[0].source["path"] == each.name for each in inputs)


def test_a_file_is_opened_when_it_is_due(tmp_path):
    opened: list[str] = []

    def parse(file, note):
        opened.append(file["path"])
        return parse_file(file, note)

    save_files(tmp_path, "a.png", "b.png", "c.png")
    inputs = parse_all([str(tmp_path)], parse)
    assert opened == [] and next(inputs).name == str(tmp_path / "a.png")
    assert opened == [str(tmp_path / "a.png")]
    assert len(list(inputs)) == 2 and len(opened) == 3


def test_an_empty_folder_is_named(tmp_path):
    save_files(tmp_path / "empty", ".DS_Store", "a.txt")
    (empty,) = parse_all([str(tmp_path / "empty")])
    assert empty.problem == "is a folder without files"


def test_content_is_never_fetched_by_its_name(monkeypatch):
    monkeypatch.setattr("tasks.common.data.inputs.fetch", lambda address: pytest.fail("fetched"))
    name = "http://127.0.0.1/private"
    assert parse_file_input(name, {"path": name, "bytes": b"content"}, parse_file).segments


def test_only_addresses_of_the_web_are_fetched(monkeypatch):
    monkeypatch.setattr("tasks.common.data.inputs.fetch", lambda address: pytest.fail("fetched"))
    for name in ("file:///etc/hostname", "ftp://127.0.0.1/a.png", "data:text/plain,a"):
        (parsed,) = parse_all([name])
        assert parsed.segments[0].source["path"] == name  # the name of a file that is not there
