"""Images and videos with captions: rows of one file and its sentences, and the check of all files before training."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from datasets import Dataset, Features, Image, Value, Video, concatenate_datasets
from jaxtyping import Float

from tasks.common.data import cache
from tasks.common.data.folders import read_text
from tasks.common.data.media_folders import FILE_COLUMNS, file_source, locate_files, read_metadata, read_texts
from tasks.common.data.row_reports import report_invalid_rows, report_notes
from tasks.common.data.splits import divide, split_folders, unsplit_folders
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.normalization import TextNormalization, normalize_text

VERSION = 3  # of the checks whose results are cached; increase it when they change
CAPTION_COLUMNS = ("captions", "caption", "text", "sentences")  # the usual names
FILE_FEATURES = {"path": Value("string"), "bytes": Value("binary")}  # a file's path, or its content


class MediaError(ValueError):
    """An unusable media file. The message says what is wrong, to be printed after the file's name."""


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


def read_captioned_folder(data: str, split: str, column: str, suffixes: tuple[str, ...]) -> Dataset | None:
    """Read a split's own folder; see ``read_captioned_files``.

    Returns:
        The columns source and captions; None if there is no such split.
    """
    for folder in split_folders(Path(data), split):
        table = read_captioned_files(folder, column, suffixes)
        if table is not None:
            return table
    return None


def read_unsplit_folder(data: str, split: str, column: str, suffixes: tuple[str, ...]) -> Dataset | None:
    """Read a split of a folder without splits, see ``read_captioned_files``; None if it is no such folder."""
    for folder in unsplit_folders(Path(data)):
        table = read_captioned_files(folder, column, suffixes)
        if table is not None:
            return table.select(divide([Path(file["path"]).name for file in table["source"]], split, data))
    return None


def read_captioned_files(folder: Path, column: str, suffixes: tuple[str, ...]) -> Dataset | None:
    """Read a folder with metadata.jsonl or .csv, whose column file_name names the other files, or with plain texts.

    Args:
        folder: The folder.
        column: The name of the column with the captions.
        suffixes: The endings of media files.

    Returns:
        The columns source and captions; None if the files have no captions in these forms, see ``read_texts``.
    """
    metadata = read_metadata(folder)
    if metadata is not None:
        paths, table = metadata
        return group_captions(map(file_source, paths), captions_of(table, column, str(folder)))
    found = read_texts(folder, suffixes)
    return None if found is None else group_captions(map(file_source, found[0]), found[1])


def captions_of(table: Dataset, column: str, where: str) -> list[Any]:
    """Return the captions of each row: from ``column``, a usual column, or several columns like caption_0, caption_1.

    Raises:
        UsageError: there is no such column.
    """
    names = table.column_names
    if column not in names and column == CAPTION_COLUMNS[0]:
        column = next((name for name in CAPTION_COLUMNS if name in names), column)
    if column in names:
        return list(table[column])
    numbered = [name for name in names if re.fullmatch(rf"{column.removesuffix('s')}_\d+", name)]
    if numbered:
        return [list(captions) for captions in zip(*(table[name] for name in numbered), strict=True)]
    raise unknown_name("column", column, names, f"--caption-column names that of {where}")


def read_captioned_table(
    table: Dataset, feature: type[Image] | type[Video], kind: str, column: str, data: str, suffixes: tuple[str, ...]
) -> Dataset:
    """Read a table whose media are in a column of the type ``feature``, or are named in a column such as file_name.

    Args:
        table: The table. Its media are not decoded.
        feature: The type of the column.
        kind: The media in messages, such as "images".
        column: The name of the column with the captions.
        data: The folder of the files, the table in it, or hub id.
        suffixes: The endings of media files.

    Raises:
        UsageError: there is no column of media, or none of captions.
    """
    captions = captions_of(table, column, data)
    media_column = next((name for name, each in table.features.items() if isinstance(each, feature)), None)
    if media_column is not None:
        return group_captions(list(table.cast_column(media_column, feature(decode=False))[media_column]), captions)
    file_column = next((name for name in FILE_COLUMNS if name in table.column_names), None)
    if file_column is None:
        raise UsageError(f"--data {data} has no column of {kind}; it has {', '.join(table.column_names)}")
    folder = Path(data).parent if Path(data).is_file() else Path(data)
    return group_captions(map(file_source, locate_files(folder, table[file_column], suffixes)), captions)


def group_captions(files: Iterable[dict[str, Any]], captions: Sequence[Any]) -> Dataset:
    """Make a table with the columns source and captions; rows with the same file are merged into one."""
    rows: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
    for number, (file, given) in enumerate(zip(files, captions, strict=True)):
        key = number if file["path"] is None or file["bytes"] else file["path"]
        as_list = list(given) if isinstance(given, (list, tuple)) else [given]
        texts = [caption.get("raw") if isinstance(caption, dict) else caption for caption in as_list]
        rows.setdefault(key, (file, []))[1].extend(
            text if isinstance(text, str) else "" if text is None else str(text) for text in texts
        )
    return Dataset.from_dict(
        {"source": [file for file, _ in rows.values()], "captions": [texts for _, texts in rows.values()]}
    )


def read_listing(file: Path, key: str) -> list[dict[str, Any]]:
    """Read a list of entries from a JSON file of captions.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return json.loads(read_text(file))[key]
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is not a caption file: {key} can't be read from it ({error!r})") from error


def probe_media(table: Dataset, where: str, probe: MediaProbe, skip_invalid: bool) -> Dataset:
    """Check all files, in several processes; the results are cached.

    Args:
        table: The columns source and captions.
        where: The name of the data in messages.
        probe: Checks one file.
        skip_invalid: Skip invalid rows.

    Returns:
        The valid rows, with the columns length and feature_dim of ``ProbeResult``.

    Raises:
        UsageError: rows are invalid and may not be skipped, or none is valid.
    """
    keys = [media_key(file) for file in table["source"]]
    key = hashlib.sha256(f"{VERSION} {probe.cache_key()} {keys}".encode()).hexdigest()[:24]
    columns = {name: Value("string") for name in ("problem", "note")}
    columns |= {name: Value("int32") for name in ("length", "feature_dim")}
    results = cache.map_cached(
        table.select_columns(["source"]),
        ProbeRow(probe),
        f"probed-{key}",
        "checking media files",
        cache.num_processes(len(table)),
        remove_columns=["source"],
        features=Features(columns | ({"source": FILE_FEATURES} if probe.keeps else {})),
        writer_batch_size=100,
    )
    dims = zip(results["feature_dim"], results["problem"], strict=True)
    expected_dim = next((dim for dim, problem in dims if not problem), 0)
    problems = {}
    rows = zip(table["source"], table["captions"], results["feature_dim"], results["problem"], strict=True)
    for row, (file, captions, dim, problem) in enumerate(rows):
        if not problem and dim != expected_dim:
            problem = f"has feature vectors of {dim} numbers where the others have {expected_dim} (0: pixels)"
        if not problem and not any(caption.strip() for caption in captions):
            problem = "has no caption"
        if problem:
            problems[row] = f"({Path(file['path'] or '?').name}) {problem}"
    report_invalid_rows(problems, len(table), where, skip_invalid)
    valid = [row for row in range(len(table)) if row not in problems]
    if not valid:
        raise UsageError(f"{where}: no valid row is left")
    notes = {
        row: f"({Path(file['path'] or '?').name}) {note}"
        for row, (file, note) in enumerate(zip(table["source"], results["note"], strict=True))
        if note
    }
    report_notes(notes, len(table), where)
    if probe.keeps:
        table = table.remove_columns("source")
    table = concatenate_datasets([table, results.remove_columns(["problem", "note"])], axis=1)
    return table.select(valid) if problems else table


def add_targets(table: Dataset, text_normalization: TextNormalization, *, all_captions: bool) -> Dataset:
    """Replace the column captions by references, all captions unchanged, and target, the normalized ones to train on.

    Args:
        table: A table with the column captions.
        text_normalization: The normalization of targets.
        all_captions: Train on all captions; otherwise on the first one alone, a scene's plain description.
    """
    references = [[caption for caption in captions if caption.strip()] for captions in table["captions"]]
    chosen = references if all_captions else [captions[:1] for captions in references]
    targets = [[normalize_text(caption, text_normalization) for caption in captions] for captions in chosen]
    return table.remove_columns("captions").add_column("target", targets).add_column("references", references)


class ProbeRow:
    """Makes columns of a row's ``ProbeResult``; an object, so that it can be sent to other processes."""

    def __init__(self, probe: MediaProbe):
        self.probe = probe

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        result = asdict(self.probe(row["source"]))
        file = {"path": row["source"]["path"], "bytes": result.pop("kept")}
        return result | ({"source": file} if self.probe.keeps else {})


def file_content(file: Mapping[str, Any]) -> str | bytes:
    """Return the content of a row's file, or its path where the table does not hold the content."""
    return file["path"] if file["bytes"] is None else file["bytes"]


def media_key(file: Mapping[str, Any]) -> str:
    """Return a text that changes with the file's path, size or modification time, or with the content in the table."""
    if file["bytes"] is not None:
        return hashlib.sha256(file["bytes"]).hexdigest()
    return cache.file_key(Path(file["path"]))


def read_feature_array(path: str, unit: str) -> Float[np.ndarray, "states features"]:
    """Read a .npy file of features: (``unit``, features), or a grid of feature vectors, which is flattened.

    Raises:
        MediaError: the file holds anything else.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise MediaError("does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise MediaError(f"is not a readable .npy file ({error})") from error
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating) or not values.size:
        raise MediaError(f"holds {values.dtype} of shape {values.shape}; ({unit}, features) is expected")
    if not np.isfinite(values).all():
        raise MediaError("holds numbers that are not finite")
    return values.reshape(-1, values.shape[-1]).astype(np.float32)
