"""Tables made batch by batch: small ones in memory, larger ones in a file of the cache, from which they are mapped."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from jaxtyping import Int

from tasks.common.data import cache
from tasks.common.files import save_atomically

if TYPE_CHECKING:
    import datasets
    import pyarrow

MAX_ROWS_IN_MEMORY = 100_000  # of texts; writing and checking a file takes longer than making so few rows again
ROWS_PER_BATCH = 4096  # that are in memory at once


def row_ranges(num_rows: int) -> Iterator[slice]:
    """Divide rows into consecutive ranges, of which one at a time is in memory."""
    return (slice(start, min(start + ROWS_PER_BATCH, num_rows)) for start in range(0, num_rows, ROWS_PER_BATCH))


def read_in_ranges(column: Sequence[Any]) -> Iterator[Any]:
    """Iterate over a column of a table, or a sequence of texts, of which a range of rows at a time is in memory.

    The columns of ``datasets`` themselves read row by row, which takes ten times as long.
    """
    return (value for rows in row_ranges(len(column)) for value in column[rows])


def list_lengths(table: "datasets.Dataset", name: str) -> Int[np.ndarray, " rows"]:
    """Return the length of each list of a column."""
    batches: Any = table.select_columns([name]).with_format("arrow").iter(batch_size=ROWS_PER_BATCH)
    lengths = [rows[name].combine_chunks().value_lengths().to_numpy() for rows in batches]
    return np.concatenate(lengths) if lengths else np.empty(0, np.int32)


def read_numbers(table: "datasets.Dataset", name: str) -> Int[np.ndarray, " rows"]:
    """Read a column of numbers."""
    return np.asarray(table.select_columns([name]).with_format("numpy")[:][name])


def make_table(schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]") -> "datasets.Dataset":
    """Make a table in memory."""
    import datasets
    import pyarrow

    return datasets.Dataset(pyarrow.Table.from_batches(list(batches), schema))


def map_table(
    name: str, schema: "pyarrow.Schema", make_batches: "Callable[[], Iterable[pyarrow.RecordBatch]]"
) -> "datasets.Dataset":
    """Map a table from its file in the cache, which is made if it is not there; one process at a time makes it.

    Args:
        name: The file's name without its ending, which must change with everything that the table depends on.
        schema: The columns.
        make_batches: Makes the rows. Only a batch at a time is in memory.
    """
    import datasets
    import pyarrow.ipc

    def write(path: Path) -> None:
        with pyarrow.ipc.new_stream(str(path), schema) as stream:
            for batch in make_batches():
                stream.write_batch(batch)

    with lock_cached(name):
        file = Path(cache.cached_file(name))
        if not file.is_file():
            save_atomically(file, write)
            cache.record_checksum(file)
    return datasets.Dataset.from_file(str(file))


@contextlib.contextmanager
def lock_cached(name: str) -> Iterator[None]:
    """Let other processes, such as those of the same training, wait until this one has made a file of the cache."""
    file = cache.cache_dir() / f"{name}.lock"
    with FileLock(file):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes none that others wait for
                file.unlink()


def table_key(table: "datasets.Dataset") -> str:
    """Return a text that changes with the rows of a table: by its files where it is mapped from some."""
    files = [Path(each["filename"]) for each in table.cache_files]
    return "\n".join(map(cache.file_key, files)) if files else hash_rows(table)


def hash_rows(table: "datasets.Dataset") -> str:
    """Hash the content of a table."""
    state = hashlib.sha256()
    batches: Any = table.with_format("arrow").iter(batch_size=ROWS_PER_BATCH)
    for rows in batches:
        for batch in rows.combine_chunks().to_batches():
            state.update(batch.serialize())
    return state.hexdigest()
