"""Files of a run: the umask's mode, nothing half written, and one training at a time."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tasks.common import files
from tasks.common.errors import UsageError
from tasks.common.files import (
    load_json,
    load_json_lines,
    lock_run,
    save_atomically,
    save_json,
    to_json,
    write_folder,
)
from tasks.common.training.checkpoints import save_weights


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_weights_are_as_readable_as_the_configuration(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_json(tmp_path / "config.json", {})
        save_weights(tmp_path / "best.safetensors", {"weight": torch.zeros(2)})
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}


def test_json_keeps_names_that_are_not_utf_8_and_all_signs_that_end_lines(tmp_path):
    value = {"data": os.fsdecode(b"caf\xe9/\xe7\x8b\x97"), "text": "a\u2028b\u0085c"}
    save_json(tmp_path / "config.json", value)
    assert load_json(tmp_path / "config.json") == value
    save_atomically(tmp_path / "lines.jsonl", f"{to_json(value)}\n" * 2)
    assert load_json_lines(tmp_path / "lines.jsonl") == [value, value]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    save_atomically(tmp_path / "file", "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        save_atomically(tmp_path / "file", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_a_file_is_flushed_before_its_new_name(tmp_path, monkeypatch):
    flushed = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(("folder" if is_folder else "file", (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    save_atomically(tmp_path / "file", "text")
    assert flushed == [("file", False), ("folder", True)]


def test_a_file_system_that_flushes_files_alone_is_written_to(tmp_path, monkeypatch):
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    save_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_temporary_files_of_killed_trainings_are_removed_and_those_of_an_evaluation_left(tmp_path):
    for name in (".config.json.123", "last/.training.safetensors.123", "evaluation/.test.json.123", ".notes"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with lock_run(tmp_path):
        pass
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left - {".lock"} == {str(Path("evaluation", ".test.json.123")), ".notes"}


def test_only_files_open_for_writing_are_flushed_since_windows_refuses_others(tmp_path, monkeypatch):
    flush = os.fsync
    monkeypatch.setattr(files, "flush_folder", lambda folder: None)

    def flush_as_windows(descriptor: int) -> None:
        os.write(descriptor, b"")  # fails for a file opened for reading
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_as_windows)
    save_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


HOLD = "import sys; from tasks.common.files import lock_run; from pathlib import Path\n" + (
    "with lock_run(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_a_run_folder_is_refused_to_a_second_process_and_free_after_the_first_was_killed(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another process is training in"), lock_run(folder):
            pass
        holder.kill()
    with lock_run(folder):
        save_json(folder / "config.json", {})
    assert (folder / "config.json").is_file()


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(UsageError), lock_run(tmp_path / "run"):
        raise UsageError("the data are invalid")
    assert not (tmp_path / "run").exists()


def test_a_folder_is_written_as_a_whole_or_not_at_all(tmp_path: Path):
    def write(folder: Path) -> None:
        (folder / "a").write_text("1")

    def fail(folder: Path) -> None:
        write(folder)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        write_folder(tmp_path / "new" / "inner", fail)
    assert list((tmp_path / "new").iterdir()) == []
    write_folder(tmp_path / "new" / "inner", write)
    assert [file.name for file in (tmp_path / "new").rglob("*")] == ["inner", "a"]
    with pytest.raises(UsageError, match="inner exists already: name another folder"):
        write_folder(tmp_path / "new" / "inner", write)
