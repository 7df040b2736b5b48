"""Readers of texts: tables, parallel files, listings of media, conversations, poems and code.

What was written is read again to the letter, where the format can hold it, or refused.
"""

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from fuzz_files import to_json
from fuzz_inputs import changed_files, changed_json, json_values, lines, scalars, surrogates, texts
from fuzz_reader import Reader, answer, check, is_same
from hypothesis import strategies as st

from tasks.code_completion.data import load_code
from tasks.common.data.pair_names import known_columns
from tasks.common.data.parallel_text import load_pairs
from tasks.common.data.table_files import read_file
from tasks.common.data.text_problems import text_problem
from tasks.common.text.normalization import strip_newlines
from tasks.dialogue.data import load_exchanges
from tasks.image_captioning.data import read_captioned_images
from tasks.poetry.data import load_verse
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.video_to_text.data import read_captioned_videos

COLUMNS = ("source", "target")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
FOLDER = "data"

FileTree = dict[str, bytes]  # the content of files by their paths


def write_tree(folder: Path, files: FileTree) -> Path:
    """Write files into a folder that has no others, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# ── Tables ────────────────────────────────────────────────────────────────────────────────────────────────────

text_rows = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)
value_rows = st.lists(st.tuples(json_values, json_values), min_size=1, max_size=4)
alike_rows = st.one_of(  # rows of one type
    *(
        st.lists(st.tuples(each, each), min_size=1, max_size=4)
        for each in (
            st.integers(),
            st.floats(),
            st.booleans(),
            st.none() | surrogates,
            st.lists(st.lists(st.integers())),
        )
    )
)


def write_csv(rows: list, delimiter: str, encoding: str, end: str, quoting: int) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([COLUMNS, *rows])
    return file.getvalue().encode(encoding)


def write_tsv(rows: list, encoding: str, end: str) -> bytes:
    return "".join("\t".join(row) + end for row in [COLUMNS, *rows]).encode(encoding)


def without_tabs(rows: list) -> list:
    """Replace what a table without quotation marks can't hold."""
    return [tuple(" ".join(text.replace("\t", " ").splitlines()) for text in row) for row in rows]


csv_tables = st.builds(
    lambda rows, *form: (".csv", rows, write_csv(rows, *form)),
    text_rows,
    st.sampled_from(",;\t"),
    st.sampled_from(ENCODINGS),
    st.just("\r\n"),  # with another end of lines, Python leaves a text with "\r" without quotation marks
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
tsv_tables = st.builds(
    lambda rows, *form: (".tsv", rows, write_tsv(rows, *form)),
    text_rows.map(without_tabs),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["\n", "\r\n"]),
)
json_tables = st.builds(
    lambda rows, is_list, is_ascii: (".json" if is_list else ".jsonl", rows, write_json(rows, is_list, is_ascii)),
    st.one_of(text_rows, value_rows, alike_rows),
    st.booleans(),
    st.booleans(),
)


def write_json(rows: list, is_list: bool, is_ascii: bool) -> bytes:
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    made = [json.dumps(each, ensure_ascii=is_ascii) for each in ([objects] if is_list else objects)]
    return "\n".join(made).encode("utf-8", "surrogatepass")


def write_parquet(rows: list) -> tuple[str, list, bytes] | None:
    file = io.BytesIO()
    try:
        table = pyarrow.table(
            {name: list(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}
        )
        pyarrow.parquet.write_table(table, file)
    except (pyarrow.ArrowException, OverflowError, UnicodeError, TypeError):  # the format does not hold such rows
        return None
    return ".parquet", rows, file.getvalue()


parquet_tables = st.one_of(text_rows, alike_rows).map(write_parquet).filter(lambda table: table is not None)


def plain(value: Any) -> Any:
    """Return a value of a table without what is missing: Arrow gives all objects of a column the same keys."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if plain(inner) not in (None, {})} or None
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def tables(folder: Path) -> Reader:
    """Tables of all formats, as they were written or changed: (suffix, rows or None, content)."""
    example = [("hier ist eine rote Vier", "here is a red four"), ("„drei\nvier“, fünf", 'three "four", five')]
    files = {
        "a.csv": write_csv(example, ",", "utf-8", "\n", csv.QUOTE_MINIMAL),
        "b.csv": write_csv(example, ";", "utf-16", "\r\n", csv.QUOTE_ALL),
        "a.tsv": write_tsv(without_tabs(example), "utf-8-sig", "\r\n"),
        "a.jsonl": write_json(example, False, False),
        "a.json": write_json([(1, [1, 2]), (2, None)], True, True),
        "a.parquet": (write_parquet(example) or ("", [], b""))[2],
        "b.parquet": (write_parquet([(1.5, [True, None]), (None, [])]) or ("", [], b""))[2],
    }
    changed = changed_files(files).map(lambda file: (Path(file[0]).suffix, None, file[1]))

    def read(value: tuple[str, list | None, bytes]) -> None:
        suffix, rows, content = value
        path = folder / f"table{suffix}"
        path.write_bytes(content)
        known = known_columns(*COLUMNS)
        table, refusal = answer(lambda: read_file(path, known)[:])
        if rows is None:
            again, _ = answer(lambda: read_file(path, known)[:])
            check(is_same(table, again), "another answer for the same file")
        elif table is None:
            is_text = all(isinstance(text, str) and is_utf8(text) for row in rows for text in row)
            check(not is_text, "a table of texts is refused", refusal)
        else:
            written = [list(column) for column in zip(*rows, strict=True)]
            was_read = [table.get(name, [None] * len(rows)) for name in COLUMNS]
            check(is_same(plain(written), plain(was_read)), "other values than were written", written, was_read)

    return Reader(st.one_of(csv_tables, tsv_tables, json_tables, parquet_tables, changed, changed), read)


def is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


# ── Pairs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def parallel(folder: Path) -> Reader:
    """Parallel files: pairs of lines, or two files that are changed."""
    pairs = st.lists(st.tuples(lines, lines), min_size=1, max_size=5)
    valid = {"val.de": b"hier\n", "val.en": b"here\n"}
    example = {"train.de": "hier ist\r\neine rote Vier\n„fünf“\n".encode(), "train.en": b"here is\na red four\n'five'"}

    def read_changed(name: str, content: bytes) -> None:
        place = str(write_tree(folder / FOLDER, valid | example | {name: content}))
        first, _ = answer(lambda: load_pairs(place, "train", "de", "en", True)[:])
        check(is_same(first, answer(lambda: load_pairs(place, "train", "de", "en", True)[:])[0]), "another answer")

    def read_pairs(rows: list) -> None:
        files = {
            f"train.{language}": "".join(f"{text}\n" for text in column).encode()
            for language, column in zip(("de", "en"), zip(*rows, strict=True), strict=True)
        }
        place = str(write_tree(folder / FOLDER, valid | files))
        found, refusal = answer(lambda: load_pairs(place, "train", "de", "en", True)[:])
        marked = [(rows[0][0].removeprefix("\ufeff"), rows[0][1].removeprefix("\ufeff")), *rows[1:]]
        cleaned = [tuple(map(strip_newlines, pair)) for pair in marked]
        expected = [pair for pair in cleaned if not any(map(text_problem, pair))]
        if found is None:
            check(not expected, "pairs are refused", refusal)
        else:
            was_read = list(zip(found["source"], found["target"], strict=True))
            check(was_read == expected, "other pairs than were written", expected, was_read)

    def read(value: list | tuple[str, bytes]) -> None:
        read_pairs(value) if isinstance(value, list) else read_changed(*value)

    return Reader(st.one_of(pairs, changed_files(example)), read)


# ── Listings of media ─────────────────────────────────────────────────────────────────────────────────────────

INNER = (".", "train")  # folders of the media
MEDIA = ("a.png", "b.png", "sub/c.png", "a.wav", "sub/b.wav", "a.mp4", "sub/d.mp4", "a.npy")
NAMES = ("a.png", "sub/c.png")
JSON_LISTINGS = {
    "dataset.json": {
        "images": [
            {"filename": "a.png", "filepath": "sub", "split": "train", "sentences": [{"raw": "red"}, {"raw": "blue"}]},
            {"filename": "b.png", "split": "train", "sentences": [{"raw": "green"}]},
        ]
    },
    "annotations/captions_train2017.json": {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": 1, "caption": "red"}, {"image_id": 2, "caption": "blue"}],
    },
    "videodatainfo.json": {
        "videos": [{"video_id": "a", "split": "train"}, {"video_id": "d", "split": "train"}],
        "sentences": [{"video_id": "a", "caption": "red"}, {"video_id": "d", "caption": "blue"}],
    },
    "metadata.jsonl": [{"file_name": name, "text": "red", "captions": ["red", "blue"]} for name in NAMES],
    "train/metadata.jsonl": [{"file_name": name, "text": "red"} for name in NAMES],
    "train.json": [{"image": name, "audio": "a.wav", "video": "a.mp4", "text": "red"} for name in NAMES],
}
OTHER_LISTINGS = {
    "metadata.csv": b'file_name,text\na.png,red\na.wav,blue\na.mp4,"green, yellow"\n',
    "train/metadata.csv": b"file_name,text,caption_0,caption_1\na.png,red,blue,green\na.wav,blue,,\n",
    "captions.txt": b"a.png#0\tred\na.png#1\tblue\na.wav\tgreen\na.mp4\tyellow\n",
    "transcripts.txt": b"a.wav|red|Red\nsub/b.wav|blue|Blue\n",
    "results.token": b"a.png red\nb.png blue\n",
    "labels.csv": b'image,caption\na.png, "red, ""blue"""\nb.png,green\n',
    "a.txt": b"red\nblue\n",
    "train.csv": b"video,audio,image,text\na.mp4,a.wav,a.png,red\nsub/d.mp4,sub/b.wav,b.png,blue\n",
    "AllVideoDescriptions.txt": b"#\na red\na blue\nd green\n",
    "train_list.txt": b"a\nd\n",
    "youtube_mapping.txt": b"a vid1\nd vid2\n",
    "video_corpus.csv": b"VideoID,Start,End,Language,Description\na,1,2,English,red\nd,1,2,German,rot\n",
    "train-clean/1/2/1-2.trans.txt": b"a RED\n1-2-0001 BLUE\n",
}
TOGETHER = {"AllVideoDescriptions.txt": ("train_list.txt",), "youtube_mapping.txt": ("AllVideoDescriptions.txt",)}
TOGETHER |= {"train_list.txt": ("AllVideoDescriptions.txt",), "video_corpus.csv": ("youtube_mapping.txt",)}


def as_file(named: tuple[str, Any]) -> tuple[str, bytes]:
    """Write changed JSON as a file, of lines where its name ends in .jsonl."""
    name, value = named
    rows = value if name.endswith(".jsonl") and isinstance(value, list) else [value]
    return name, b"\n".join(map(to_json, rows))


def metadata(folder: Path) -> Reader:
    """Listings of images, recordings and videos in all forms: files of the folder with their texts."""
    written = {name: to_json(value) for name, value in JSON_LISTINGS.items() if not name.endswith(".jsonl")}
    written |= {name: as_file((name, value))[1] for name, value in JSON_LISTINGS.items() if name.endswith(".jsonl")}
    named = st.one_of(changed_json(JSON_LISTINGS).map(as_file), changed_files(OTHER_LISTINGS), changed_files(written))
    texts_beside = st.tuples(st.sampled_from(["red.txt", "captions.txt"]), texts.map(lambda text: text.encode()))

    places = {
        inner: write_tree(folder / f"data-{inner}", {f"{inner}/{each}": b"x" for each in MEDIA}) for inner in INNER
    }

    def read(value: tuple[int, tuple[str, bytes]]) -> None:
        number, (name, content) = value
        place = places["train" if name.startswith("train/") else "."]
        files = {each: OTHER_LISTINGS[each] for each in TOGETHER.get(name, ())} | {name: content}
        for each, written in files.items():
            (place / each).parent.mkdir(parents=True, exist_ok=True)
            (place / each).write_bytes(written)
        try:
            read_listing(place, number)
        finally:
            for each in files:
                (place / each).unlink()
                with contextlib.suppress(OSError):  # other files are there
                    os.removedirs((place / each).parent)

    def read_listing(place: Path, number: int) -> None:
        find = (read_captioned_images, read_captioned_videos, read_transcribed_speech)[number]
        found, _ = answer(lambda: find(str(place), "train", "text" if number == 2 else "captions")[:])
        for source in () if found is None else found["audio" if "audio" in found else "source"]:
            path = os.path.normpath(source["path"])
            check(Path(path).is_relative_to(place), "a file outside of the data", path)

    return Reader(st.tuples(st.integers(0, 2), st.one_of(named, named, texts_beside)), read)


# ── Documents ─────────────────────────────────────────────────────────────────────────────────────────────────

CORNELL = {
    "movie_lines.txt": b"L1 +++$+++ u0 +++$+++ m0 +++$+++ A +++$+++ H.\nL2 +++$+++ u +++$+++ m0 +++$+++ B +++$+++ O.\n",
    "movie_conversations.txt": b"u0 +++$+++ u1 +++$+++ m0 +++$+++ ['L1', 'L2']\n",
}
DOCUMENTS = {
    "train.txt": b"Hi . __eou__ Bye . __eou__\nHow are you ? __eou__ Fine . __eou__\n",
    "train.jsonl": b'{"dialog": ["Hi.", "Bye."], "input": "a = 1", "gt": "b = 2"}\n',
    **CORNELL,
    "poems.py": b"import os\n\n\ndef area(width, height):\n    return width * height\n\n\nprint(area(2, 3))\n",
    "train/a.py": b"class A:\n    def b(self):\n        return [1, 2]  # c\n",
}
JSON_DOCUMENTS = {
    "poet.json": [{"title": "a", "paragraphs": ["春眠不觉晓，处处闻啼鸟。", "夜来风雨声，花落知多少。"]}] * 3,
    "train.json": [{"title": "a", "lines": ["red and blue", "green and yellow"], "dialog": ["Hi.", "Bye.", "Well."]}]
    * 2,
}


def documents(folder: Path) -> Reader:
    """Conversations, poems and Python files in all forms."""
    changed = changed_json(JSON_DOCUMENTS).map(as_file)
    values = st.tuples(st.just("train.json"), st.lists(scalars).map(to_json))

    loaders: tuple[Callable, ...] = (
        lambda place: load_exchanges(place, "train", skip_invalid=True)[:],
        lambda place: load_verse(place, "train", "lines", True)[:],
        lambda place: load_code(place, "train", skip_invalid=True)[:],
    )

    def read(value: tuple[int, tuple[str, bytes]]) -> None:
        number, (name, content) = value
        files = (CORNELL if name in CORNELL else {}) | {name: content}
        answer(loaders[number], str(write_tree(folder / FOLDER, files)))

    return Reader(st.tuples(st.integers(0, 2), st.one_of(changed, changed_files(DOCUMENTS), values)), read)
