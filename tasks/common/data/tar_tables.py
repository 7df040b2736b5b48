"""Tar files as WebDataset has them, each a shard of a table: files of the same name in all but the ending are a row.

Media stay in the tar, and are read from their places in it: unlike a stream, rows can be read in any order.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data import cache
from tasks.common.data.folders import is_hidden
from tasks.common.data.limits import MAX_TAR_TEXT_BYTES
from tasks.common.data.mapped_tables import map_table
from tasks.common.data.media_files import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, file_features
from tasks.common.data.tar_members import TarMember
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets
    import pyarrow

VERSION = 1  # of the cached indices; increase it when their form changes
MEDIA = {  # the column of each kind of media: the name of its feature in datasets, and the endings of its files
    "image": ("Image", IMAGE_SUFFIXES),
    "audio": ("Audio", AUDIO_SUFFIXES),
    "video": ("Video", VIDEO_SUFFIXES),
}
TEXTS = {".txt": "text", ".json": "json"}  # the columns of the texts in the index
INDEX = ("key", *MEDIA, *TEXTS.values())  # the columns of the cached index


def index_schema() -> "pyarrow.Schema":
    """Return the columns of the cached index: all are texts."""
    import pyarrow

    return pyarrow.schema({name: pyarrow.string() for name in INDEX})


def read_tar(file: Path) -> "datasets.Dataset":
    """Read a tar file as a table; the places of the media in it are found once, and cached.

    Returns:
        The columns image, audio and video, as far as there are such files; text, the content of a .txt; and the fields
        of .json files that are texts or lists of texts.

    Raises:
        UsageError: it is broken, compressed, or a text in it can't be read.
    """
    import datasets

    key = hashlib.sha256(f"{VERSION} {cache.file_key(file)}".encode()).hexdigest()[:24]
    index = map_table(f"tar-{key}", index_schema(), lambda: index_tar(file))[:]
    columns: dict[str, list[Any]] = {}
    features: dict[str, Any] = {}
    for name in MEDIA:
        if any(index[name]):
            features[name] = file_features()
            paths = zip(index[name], index["key"], strict=True)
            columns[name] = [{"path": path or str(file / key), "bytes": None} for path, key in paths]
    fields = [parse_fields(text, key, file) for text, key in zip(index["json"], index["key"], strict=True)]
    if any(text is not None for text in index["text"]):
        fields = [{"text": text} | own for text, own in zip(index["text"], fields, strict=True)]
    for name in dict.fromkeys(name for own in fields for name in own if name not in columns):
        values = [own.get(name) for own in fields]
        has_lists = any(isinstance(value, list) for value in values)
        features[name] = datasets.List(datasets.Value("string")) if has_lists else datasets.Value("string")
        columns[name] = [[value] if has_lists and isinstance(value, str) else value for value in values]
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    for name in MEDIA.keys() & columns.keys():
        table = table.cast_column(name, getattr(datasets, MEDIA[name][0])(decode=False))
    return table


def index_tar(file: Path) -> "Iterator[pyarrow.RecordBatch]":
    """Find the rows of a tar file: the places of media, and the texts."""
    import pyarrow

    rows: dict[str, dict[str, str]] = {}
    try:
        with tarfile.open(file, "r:") as opened:
            for member in opened:
                path = Path(member.name)
                if not member.isfile() or is_hidden(path):
                    continue
                stem, suffix = path.name.split(".")[0], path.suffix.lower()
                row = rows.setdefault((path.parent / stem).as_posix(), {})
                if suffix in TEXTS:
                    row[TEXTS[suffix]] = read_text_member(opened, member, file)
                for name, (_, suffixes) in MEDIA.items():
                    if suffix in suffixes:
                        row.setdefault(name, TarMember(file, member.offset_data, member.size, path.name).path)
                        break
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(
            f"{file} is not a readable tar file without compression ({error}); unpack it with gzip -d or make it again"
        ) from error
    columns = [list(rows), *([row.get(name) for row in rows.values()] for name in INDEX[1:])]
    yield pyarrow.record_batch(columns, index_schema())


def read_text_member(opened: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> str:
    """Read a text of a tar file. Raises UsageError if it is too long, or not UTF-8."""
    content = opened.extractfile(member)
    if content is None or member.size > MAX_TAR_TEXT_BYTES:
        raise UsageError(f"{file}: {member.name} has {member.size:,} bytes; allowed are {MAX_TAR_TEXT_BYTES:,}")
    try:
        return content.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: {member.name} is not valid UTF-8 ({error}); save it as UTF-8") from error


def parse_fields(text: str | None, key: str, file: Path) -> dict[str, str | list[str]]:
    """Return the fields of a JSON object that are texts or lists of texts. Raises UsageError if it is no object."""
    if text is None:
        return {}
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: {key}.json is not a readable JSON object ({error})") from error
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
    }
