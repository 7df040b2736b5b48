"""The cache folder: results computed once and kept between runs, such as features, rendered scenes, encoder outputs."""

import glob
import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from tasks.common.console import Advance, stage
from tasks.common.cores import count_cores
from tasks.common.data.folders import visible_files
from tasks.common.files import save_atomically
from tasks.common.forks import end_forks_with_parent
from tasks.common.user_cache import user_cache

if TYPE_CHECKING:
    import datasets

ROWS_PER_PROCESS = 400  # with fewer rows another process is not worth starting
POLL_S = 0.2  # between two looks at the progress of other processes
ABANDONED_S = 24 * 3600  # since its last change, of a file that no process writes any longer
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"  # the last bytes of Arrow's streaming format


def cache_dir() -> Path:
    """Return the project's cache folder, in that of the user, and make it if necessary.

    It may be removed at any time.
    """
    path = user_cache() / "multimodal-seq2seq"
    path.mkdir(parents=True, exist_ok=True)
    return path


def file_key(path: Path) -> str:
    """Return a text that changes with the path and content of a file, or of the files in a folder; it is ASCII.

    The content is not read: its size and times stand for it. The time of the last change of status can't be set by
    programs that preserve the time of modification, such as ``cp -p``, tar or rsync.
    """
    if path.is_dir():
        return "\n".join(map(file_key, visible_files(path)))
    status = path.stat() if path.exists() else None
    changes = status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return f"{str(path.resolve())!a} {changes}"


def cached_file(name: str) -> str:
    """Return the path of a cached table, as ``Dataset.map`` takes it, after removing what is left of broken ones.

    A file is broken if a byte of it is not as it was written: see ``record_checksum``.

    Args:
        name: The file's name without its ending.
    """
    for file in cache_dir().glob("tmp*"):  # what Dataset.map has not finished; it may still be writing it
        if time.time() - file.stat().st_mtime > ABANDONED_S:
            file.unlink()
    for file in cached_parts(name):
        if not is_whole(file):
            file.unlink(missing_ok=True)
            checksum_file(file).unlink(missing_ok=True)
    return str(cache_dir() / f"{name}.arrow")


def cached_parts(name: str) -> set[Path]:
    """Return the files of a cached table: several processes write a part each."""
    return set(cache_dir().glob(f"{glob.escape(name)}*.arrow"))


def record_checksum(file: Path) -> None:
    """Save the checksum of a cached file beside it, by which ``cached_file`` notices damage."""
    save_atomically(checksum_file(file), checksum(file))


def checksum_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.xxh3")


def checksum(file: Path) -> str:
    """Return the XXH3 of a file's content, which is computed about as fast as memory is read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, xxhash.xxh3_64).hexdigest()


def is_whole(file: Path) -> bool:
    """Tell whether a file has its checksum or, where none was recorded, is a table with an end."""
    recorded = checksum_file(file)
    if recorded.is_file():
        return recorded.read_text(encoding="utf-8", errors="replace") == checksum(file)
    import datasets

    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(END_OF_STREAM)))
        if opened.read() != END_OF_STREAM:
            return False
    try:
        datasets.Dataset.from_file(str(file)).data.table.validate(full=True)
    except Exception:  # Arrow and datasets have no more specific type for it
        return False
    return True


def map_cached(
    table: "datasets.Dataset", function: Callable, name: str, title: str, num_proc: int | None = None, **options: Any
) -> "datasets.Dataset":
    """Map a function over a table with a progress bar, in several processes; the result is cached under ``name``.

    Args:
        table: The table.
        function: As ``Dataset.map`` takes it.
        name: The name of the cached file, which must change with everything that the result depends on.
        title: What is done, for the progress bar.
        num_proc: The number of processes; None for one.
        **options: More arguments of ``Dataset.map``.
    """
    file = cached_file(name)
    checked = {part for part in cached_parts(name) if checksum_file(part).is_file()}
    end_forks_with_parent()  # those of Dataset.map would wait for their work forever
    with stage(title, len(table)) as advance, count_appended(advance) as counter:
        result = table.map(
            CountRows(function, counter, bool(options.get("batched"))),
            cache_file_name=file,
            new_fingerprint=hashlib.sha256(name.encode()).hexdigest()[:24],
            num_proc=num_proc,
            **options,
        )
    for part in cached_parts(name) - checked:
        record_checksum(part)
    return result


@contextmanager
def count_appended(advance: Advance) -> Iterator[Path]:
    """Yield an empty file, and call ``advance`` with the number of bytes that any process has appended to it."""
    is_done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        counter = Path(folder) / "rows"
        counter.touch()

        def watch() -> None:
            size, is_last = 0, False
            while not is_last:
                is_last = is_done.wait(POLL_S)
                previous, size = size, counter.stat().st_size
                advance(size - previous)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield counter
        finally:
            is_done.set()
            thread.join()


class CountRows:
    """Calls a function of ``Dataset.map``, and appends a byte for each row to a file; it can be sent to processes."""

    def __init__(self, function: Callable, counter: Path, batched: bool):
        self.function, self.counter, self.batched = function, counter, batched

    def __call__(self, row: Any, *others: Any) -> Any:
        result = self.function(row, *others)
        with self.counter.open("ab") as file:
            file.write(b"." * (len(next(iter(row.values()))) if self.batched else 1))
        return result


def map_files(
    table: "datasets.Dataset", function: Callable, files: Iterable[Path], kind: str, salt: bytes
) -> "datasets.Dataset":
    """Map a function over batches of a table made from files; the result is cached until one of the files changes.

    Args:
        table: The table, which depends on ``files`` alone.
        function: Makes new columns of a batch of rows; the old ones are removed.
        files: The files.
        kind: The beginning of the cached file's name.
        salt: Everything else that the result depends on.
    """
    key = hashlib.sha256(salt + "\n".join(map(file_key, files)).encode())
    return map_cached(
        table,
        function,
        f"{kind}-{key.hexdigest()[:24]}",
        f"reading {kind}",
        num_processes(len(table)),
        batched=True,
        batch_size=50,
        remove_columns=table.column_names,
    )


def num_processes(num_rows: int) -> int | None:
    """Return the number of processes worth starting for so many rows, as ``Dataset.map`` takes it: None for one."""
    count = min(count_cores(), num_rows // ROWS_PER_PROCESS)
    return count if count > 1 else None
