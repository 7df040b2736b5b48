"""The check of all media files before training: each is read as training will, and all that fail are reported."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tasks.common.data import cache
from tasks.common.data.media_files import file_features, media_key
from tasks.common.data.row_reports import report_invalid_rows, report_notes, row_numbers
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

VERSION = 3  # of the checks whose results are cached; increase it when they change


@dataclass(frozen=True)
class ProbeResult:
    """The result of probing a file.

    Attributes:
        problem: What is wrong with it; empty if nothing is.
        length: Its length in what the encoder counts: images, regions, frames.
        feature_dim: The size of a feature vector, where the file holds features; 0 for pixels.
        kept: Content that replaces the file in the table, if the probe keeps it.
        note: What is to be said of a file that can be used, such as damage; empty if nothing is.
    """

    problem: str = ""
    length: int = 1
    feature_dim: int = 0
    kept: bytes | None = None
    note: str = ""


@runtime_checkable
class MediaProbe(Protocol):
    """Reads a file as training will, so that nothing can fail later. Deterministic."""

    keeps: bool  # whether the results' ``kept`` replaces the files

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult: ...

    def cache_key(self) -> str:
        """Describe everything that the results depend on except the file."""
        ...


def probe_media(table: "datasets.Dataset", where: str, probe: MediaProbe, skip_invalid: bool) -> "datasets.Dataset":
    """Check all files, in several processes; the results are cached.

    Args:
        table: The columns source and captions, and row if it is part of a larger table: see ``row_numbers``.
        where: The name of the data in messages.
        probe: Checks one file.
        skip_invalid: Skip invalid rows.

    Returns:
        The valid rows, with the columns length and feature_dim of ``ProbeResult``.

    Raises:
        UsageError: rows are invalid and may not be skipped, or none is valid.
    """
    import datasets

    keys = [media_key(file) for file in table["source"]]
    key = hashlib.sha256(f"{VERSION} {probe.cache_key()} {keys}".encode()).hexdigest()[:24]
    columns = {name: datasets.Value("string") for name in ("problem", "note")}
    columns |= {name: datasets.Value("int32") for name in ("length", "feature_dim")}
    results = cache.map_cached(
        table.select_columns(["source"]),
        ProbeRow(probe),
        f"probed-{key}",
        "checking media files",
        cache.num_processes(len(table)),
        remove_columns=["source"],
        features=datasets.Features(columns | ({"source": file_features()} if probe.keeps else {})),
        writer_batch_size=100,
    )
    dims = zip(results["feature_dim"], results["problem"], strict=True)
    expected_dim = next((dim for dim, problem in dims if not problem), 0)
    problems = {}
    rows = zip(table["source"], table["captions"], results["feature_dim"], results["problem"], strict=True)
    for place, (file, captions, dim, problem) in enumerate(rows):
        if not problem and dim != expected_dim:
            problem = f"has feature vectors of {dim} numbers where the others have {expected_dim} (0: pixels)"
        if not problem and not any(caption.strip() for caption in captions):
            problem = "has no caption"
        if problem:
            problems[place] = f"({Path(file['path'] or '?').name}) {problem}"
    numbers = row_numbers(table)
    report_invalid_rows({numbers[place]: text for place, text in problems.items()}, len(table), where, skip_invalid)
    valid = [place for place in range(len(table)) if place not in problems]
    if not valid:
        raise UsageError(f"{where}: no valid row is left")
    notes = {
        number: f"({Path(file['path'] or '?').name}) {note}"
        for number, file, note in zip(numbers, table["source"], results["note"], strict=True)
        if note
    }
    report_notes(notes, len(table), where)
    if probe.keeps:
        table = table.remove_columns("source")
    table = datasets.concatenate_datasets([table, results.remove_columns(["problem", "note"])], axis=1)
    return table.select(valid) if problems else table


class ProbeRow:
    """Makes columns of a row's ``ProbeResult``; an object, so that it can be sent to other processes."""

    def __init__(self, probe: MediaProbe):
        self.probe = probe

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        result = asdict(self.probe(row["source"]))
        file = {"path": row["source"]["path"], "bytes": result.pop("kept")}
        return result | ({"source": file} if self.probe.keeps else {})
