"""Errors of files, the network and streams: one line with exit code 2; errors of the code keep their traceback."""

import errno
import io
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import av
import pyarrow
import pytest
from safetensors import SafetensorError

from tasks import run
from tasks.common.data.media_files import MediaError
from tasks.common.errors import UsageError, describe_outside_error
from tasks.common.streams import prepare_streams, read_standard_input

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FULL, "No space left on device; free some space, then continue a training with --resume"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a [b]"), "a [b]: No such file or directory"),
        (SafetensorError("header too large\nmore"), "SafetensorError: header too large"),
        (UnicodeEncodeError("cp1252", "狗", 0, 1, "no such character"), "UnicodeEncodeError: "),
        (type("ConnectError", (Exception,), {"__module__": "httpx"})("no route"), "ConnectError: no route"),
        (pyarrow.ArrowInvalid("broken"), "ArrowInvalid: broken"),
        (av.error.UndefinedError(1, "undefined"), "UndefinedError: "),
        (MemoryError(), "MemoryError: out of memory"),
        (OSError("Caught OSError in DataLoader worker process 0.\nTraceback\nOSError: lost"), "OSError: OSError: lost"),
    ],
)  # fmt: skip
def test_an_error_of_the_outside_is_told_in_one_line(error, expected):
    line = describe_outside_error(error)
    assert line is not None and line.startswith(expected) and "\n" not in line


def test_the_cause_of_an_error_is_told_and_errors_of_the_code_are_not_hidden():
    outer = RuntimeError("an error while a table was made")
    outer.__cause__ = FULL
    assert describe_outside_error(outer) == describe_outside_error(FULL)
    assert describe_outside_error(TypeError("a mistake in the code")) is None


def fail_with(error: BaseException, monkeypatch) -> None:
    def command(task: str, arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(
        run, "load", lambda name: SimpleNamespace(train=command, parse_command=lambda task, arguments: [arguments])
    )
    run.main(["translation", "train"])


def test_a_command_ends_with_exit_code_2_and_one_line(monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit:
        fail_with(FULL, monkeypatch)
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free")
    with pytest.raises(TypeError):
        fail_with(TypeError("a mistake in the code"), monkeypatch)


def test_a_full_output_is_told_when_its_last_part_is_written(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise FULL

    monkeypatch.setattr(run, "load", lambda name: SimpleNamespace(train=lambda *_: None, parse_command=lambda *_: []))
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as exit:
        run.main(["translation", "train"])
    assert exit.value.code == 2


def test_closed_streams_are_told_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="standard input is closed"):
        read_standard_input()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as exit:
        run.main([])
    assert exit.value.code == 2
    assert "standard output is closed" in capsys.readouterr().err


def test_output_is_utf_8_in_every_locale_and_names_keep_their_bytes(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    prepare_streams()
    print(f"狗 {os.fsdecode(b'caf')}\udce9", end="", flush=True)
    assert written.getvalue() == "狗 caf".encode() + b"\xe9"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_while_modules_are_imported_ends_the_program_without_a_word(tmp_path):
    (tmp_path / "slow.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tasks import run; run.load('slow')"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
        assert process.stderr.read() == ""


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_has_lost_another_one_says_so(rank, monkeypatch, capsys):
    def lose(name: str) -> None:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:48276.")

    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr(run, "load", lose)
    with pytest.raises(RuntimeError):  # it is alone: another connection was closed
        run.main(["translation", "train"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command, advice in (("train", "continue with --resume"), ("predict", "run the command again")):
        with pytest.raises(SystemExit, match="2"):
            run.main(["translation", command])
        assert capsys.readouterr().err == f"error: another process has ended; {advice}, with all processes\n"


@pytest.mark.parametrize("command", ["serve", "demo", "translation compare", "dialogue chat"])
def test_commands_that_do_not_share_their_work_refuse_several_processes(command, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="2"):
        run.main([*command.split(), "runs/a"])
    name = command.split()[-1]
    assert capsys.readouterr().err.startswith(f"error: {name} does not share its work among processes, as train, ")


def test_an_error_of_all_processes_is_printed_by_the_first_and_that_of_another_one_later(monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(run.time, "sleep", waited.append)
    for rank in "01":
        monkeypatch.setenv("LOCAL_RANK", rank)
        with pytest.raises(SystemExit, match="2"):
            run.fail("no space")
    assert waited == [run.GRACE_S] and capsys.readouterr().err == 2 * "error: no space\n"


def test_names_with_line_breaks_and_control_characters_leave_a_message_one_line(monkeypatch, capsys):
    for kind in (UsageError, MediaError):
        assert str(kind("unknown column 'a\r\nb\x1b[2J\u2028', ü")) == r"unknown column 'a\r\nb\x1b[2J\u2028', ü"
    with pytest.raises(SystemExit):
        run.main(["translation", "evaluate", "no\nrun"])
    assert len(capsys.readouterr().err.splitlines()) == 1
