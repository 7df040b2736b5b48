"""Inputs of ``predict`` that are files: each is parsed or named in a line, and none stops the others."""

from pathlib import Path

from tasks.common.data.captioned_media import MediaError
from tasks.common.data.inputs import InputSegment, parse_file_inputs


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
