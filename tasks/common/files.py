"""Files of a run: written atomically, so that nothing is ever half written.

config.json           the task and its configuration
vocabulary.json       what the task has learned before training
best.safetensors      the weights with the best validation score
last/                 the state of training: weights, optimizer and progress, in one file
checkpoints/          the weights of the best evaluations, during training
metrics.jsonl         one line per evaluation
tracking.json         the ids of its tracked runs, if a tracker was used
domain.json           likelihoods of the validation split, by which inputs of other kinds are recognized
evaluation/ plots/
"""

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from tasks.common.data.limits import MAX_JSON_BYTES
from tasks.common.errors import UsageError

TEMPORARY = re.compile(r"\..+\.\d+")  # the name of a file that is being written
REPORTS = ("evaluation", "plots")


def save_atomically(path: Path, content: Callable[[Path], object] | str | bytes) -> None:
    """Write a temporary file, flush it to disk and rename it: a reader gets the old file or the new one.

    The name is flushed too, so that files written one after another survive a crash of the machine in this order.
    The file has the mode of any other new file, whatever the writer chose: safetensors would keep it from all others.

    Raises:
        OSError: if it can't be written; then nothing is left of the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8", errors="surrogateescape")
        elif isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        with temporary.open("rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush the names of a folder's files to disk, where the operating system can: Windows opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that flush files alone
            raise
    finally:
        os.close(descriptor)


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Write a new folder beside its place and rename it: either all of its files are there, or none.

    Args:
        path: The folder.
        write: Writes the files into an empty folder.

    Raises:
        UsageError: It exists already.
    """
    if path.exists():
        raise UsageError(f"{path} exists already: name another folder, or remove it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed trainings have left of ``save_atomically`` in their run folder.

    Reports are written by other commands, which may be running now.
    """
    subfolders = (path for path in folder.iterdir() if path.is_dir() and path.name not in REPORTS)
    for each in (folder, *subfolders):
        for file in each.glob(".*"):
            if TEMPORARY.fullmatch(file.name) and file.is_file():
                file.unlink(missing_ok=True)


def remove_temporary_files_of(path: Path) -> None:
    """Remove what killed processes have left of ``save_atomically`` of a file that only this process writes."""
    for file in path.parent.glob(f".{path.name}.*"):
        if TEMPORARY.fullmatch(file.name):
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Keep the run folder for this process; the operating system ends that with the process, however it ends.

    Raises:
        UsageError: if another process is training in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_linked_folders(folder)
    try:
        with FileLock(folder / ".lock", timeout=0):
            remove_temporary_files(folder)
            try:
                yield
            finally:
                if os.listdir(folder) == [".lock"]:  # nothing was written: leave no folder without a run
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise UsageError(
            f"another process is training in {folder}: wait until it has ended, or name another folder with --run"
        ) from None


def refuse_linked_folders(run: Path) -> None:
    """Refuse a run folder in which a folder is a link: what is written there would be written elsewhere.

    Links to files are replaced, never followed, when a file is written, and the hub's cache consists of them.

    Raises:
        UsageError: naming the link.
    """
    for path in sorted(run.glob("*")) + sorted(run.glob("*/*")):
        if path.is_symlink() and path.is_dir():
            raise UsageError(f"{path} is a link to another folder, where a run is not written: replace it by a folder")


def new_path(folder: Path, stem: str, suffix: str) -> Path:
    """Return a path that does not exist: STEM.SUFFIX, or else STEM (2).SUFFIX and so on."""
    names = itertools.chain([f"{stem}{suffix}"], (f"{stem} ({count}){suffix}" for count in itertools.count(2)))
    return next(folder / name for name in names if not (folder / name).exists())


def to_json(value: Any, indent: int | None = None) -> str:
    """Write a value as readable JSON. Bytes of names that are not UTF-8 are escaped, so that they can be read again."""
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


def save_json(path: Path, value: Any) -> None:
    save_atomically(path, to_json(value, indent=2) + "\n")


def load_json(path: Path) -> Any:
    """Load a JSON file of a run folder.

    Raises:
        UsageError: if the file is missing or broken.
    """
    try:
        size = path.stat().st_size if path.is_file() else 0  # a device or a pipe has no end
        if path.exists() and not 0 < size <= MAX_JSON_BYTES:
            raise ValueError(f"it has {size:,} bytes; allowed are 1 to {MAX_JSON_BYTES:,}")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {path.parent} is not the folder of a run") from None
    except (ValueError, OSError, RecursionError) as error:
        raise UsageError(f"{path} is not readable JSON ({error}); restore it or train again") from error


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which JSON does not have, and its reader takes."""
    raise ValueError(f"{name} is not JSON")


def load_json_lines(path: Path) -> list[dict[str, Any]]:
    """Load a file with one JSON object per line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
