"""Pictures and videos with their captions: a file a row and its sentences, and which of the rows can't be used."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from datasets import Dataset, Features, Value, concatenate_datasets
from jaxtyping import Float

from tasks.common.data import cache
from tasks.common.data.tables import SPLITS, read_metadata, report_invalid_rows
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.normalization import TextNormalization, normalize_text

VERSION = 2  # of the checks whose results are kept on disk
CAPTIONS = ("captions", "caption", "text", "sentences")  # columns that data sets keep captions in
FILE = {"path": Value("string"), "bytes": Value("binary")}  # a file, or what it would hold


class MediaError(ValueError):
    """Says what is wrong with a file, so that it fits behind its name."""


@dataclass(frozen=True)
class ProbeResult:
    """What a file turned out to hold, or what is wrong with it."""

    problem: str = ""
    length: int = 1  # in what the encoder counts: pictures, regions, frames
    width: int = 0  # features of a state, where the file holds features; 0 for pixels
    kept: bytes | None = None  # what shall stand for the file from now on


@runtime_checkable
class MediaProbe(Protocol):
    """Reads a file as training will, so that later nothing can fail. The same file, the same answer."""

    keeps: bool  # whether what the answers keep shall take the files' place

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult: ...

    def describe(self) -> str:
        """All that the answer depends on beside the file."""
        ...


def read_captioned_folder(data: str, split: str, column: str) -> Dataset | None:
    """The convention of the libraries' folders: metadata.jsonl or .csv in a split's own folder, beside the files that
    its column file_name names. Columns source and captions; None if there is no such split."""
    for name in SPLITS[split]:
        table = read_metadata(Path(data) / name)
        if table is not None:
            files = [{"path": path, "bytes": None} for path in table["file_name"]]
            return group_captions(files, captions_of(table, column, f"{Path(data) / name}"))
    return None


def captions_of(table: Dataset, column: str, where: str) -> list[Any]:
    """Each row's captions: of ``column``, of one that is usual, or of several like caption_0, caption_1."""
    names = table.column_names
    if column not in names and column == CAPTIONS[0]:
        column = next((name for name in CAPTIONS if name in names), column)
    if column in names:
        return list(table[column])
    numbered = [name for name in names if re.fullmatch(rf"{column.removesuffix('s')}_\d+", name)]
    if numbered:
        return [list(given) for given in zip(*(table[name] for name in numbered), strict=True)]
    raise unknown_name("column", column, names, f"--caption-column names that of {where}")


def group_captions(files: Sequence[dict[str, Any]], captions: Sequence[Any]) -> Dataset:
    """Columns source and captions. Where a file is named in several rows, they become one with several captions."""
    rows: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
    for number, (file, given) in enumerate(zip(files, captions, strict=True)):
        key = number if file["path"] is None or file["bytes"] else file["path"]
        several = list(given) if isinstance(given, (list, tuple)) else [given]
        texts = [caption.get("raw") if isinstance(caption, dict) else caption for caption in several]
        rows.setdefault(key, (file, []))[1].extend(
            text if isinstance(text, str) else "" if text is None else str(text) for text in texts
        )
    return Dataset.from_dict(
        {"source": [file for file, _ in rows.values()], "captions": [given for _, given in rows.values()]}
    )


def read_json(listing: Path, key: str) -> list[dict[str, Any]]:
    try:
        return json.loads(listing.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{listing} is no caption file: {key} can't be read from it ({error!r})") from error


def checked(table: Dataset, where: str, look: MediaProbe, skip_invalid: bool) -> Dataset:
    """``table`` (source and captions) with the columns length and width of ``ProbeResult``.

    Bad rows are told all at once, and left out if they may be. Raises UsageError.
    """
    identities = [identity(file) for file in table["source"]]
    key = hashlib.sha256(f"{VERSION} {look.describe()} {identities}".encode()).hexdigest()[:24]
    columns = {"problem": Value("string"), "length": Value("int32"), "width": Value("int32")}
    found = table.select_columns(["source"]).map(
        ProbeRow(look),
        remove_columns=["source"],
        features=Features(columns | ({"source": FILE} if look.keeps else {})),
        cache_file_name=str(cache.folder() / f"looked-at-{key}.arrow"),
        new_fingerprint=key,
        writer_batch_size=100,
        num_proc=cache.processes(len(table)),
    )
    usual = next((width for width, bad in zip(found["width"], found["problem"], strict=True) if not bad), 0)
    problems = {}
    rows = zip(table["source"], table["captions"], found["width"], found["problem"], strict=True)
    for row, (file, captions, width, wrong) in enumerate(rows):
        if not wrong and width != usual:
            wrong = f"has {width} features a state where the others have {usual} (0: pixels)"
        if not wrong and not any(caption.strip() for caption in captions):
            wrong = "has no caption"
        if wrong:
            problems[row] = f"({Path(file['path'] or '?').name}) {wrong}"
    report_invalid_rows(problems, len(table), where, skip_invalid)
    good = [row for row in range(len(table)) if row not in problems]
    if not good:
        raise UsageError(f"{where}: no row is left to use")
    if look.keeps:
        table = table.remove_columns("source")
    table = concatenate_datasets([table, found.remove_columns("problem")], axis=1)
    return table.select(good) if problems else table


def add_targets(table: Dataset, text: TextNormalization, *, all_learned: bool) -> Dataset:
    """Columns references, the captions as they are, and target, those that are learned, in place of captions.

    Without ``all_learned`` only the first one is: the plain description of a scene.
    """
    references = [[caption for caption in given if caption.strip()] for given in table["captions"]]
    learned = references if all_learned else [given[:1] for given in references]
    targets = [[normalize_text(caption, text) for caption in given] for given in learned]
    return table.remove_columns("captions").add_column("target", targets).add_column("references", references)


class ProbeRow:
    """A row's ``ProbeResult`` as columns; an object, so that other processes can be given it."""

    def __init__(self, look: MediaProbe):
        self.look = look

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        found = asdict(self.look(row["source"]))
        kept = {"path": row["source"]["path"], "bytes": found.pop("kept")}
        return found | ({"source": kept} if self.look.keeps else {})


def content(file: Mapping[str, Any]) -> str | bytes:
    """The path of a row's file, or what it would hold."""
    return file["path"] if file["bytes"] is None else file["bytes"]


def identity(file: Mapping[str, Any]) -> str:
    """Changes with the file's size or time, or with the bytes that the table holds itself."""
    if file["bytes"] is not None:
        return hashlib.sha256(file["bytes"]).hexdigest()
    return cache.identity(Path(file["path"]))


def read_features(path: str, unit: str) -> Float[np.ndarray, "states features"]:
    """What a .npy file holds, made elsewhere: (``unit``, features), or a grid of them. Raises MediaError otherwise."""
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise MediaError("does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise MediaError(f"is no .npy file that can be read ({error})") from error
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating) or not values.size:
        raise MediaError(f"holds {values.dtype} of shape {values.shape}; ({unit}, features) is expected")
    if not np.isfinite(values).all():
        raise MediaError("holds numbers that are not finite")
    return values.reshape(-1, values.shape[-1]).astype(np.float32)
