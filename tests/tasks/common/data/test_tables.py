"""Tables and parallel text: every form is read, and every mistake is one line that names it."""

import io
import json
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from datasets import Dataset

from encoders.pretrained.downloads import hub_fault
from tasks.common.data import mapped_tables, table_files
from tasks.common.data.headers import has_sentences
from tasks.common.data.limits import MAX_CHARACTERS
from tasks.common.data.pair_check import FoundPairs, PairCheck
from tasks.common.data.parallel_text import load_pairs
from tasks.common.data.table_files import csv_rows, read_json
from tasks.common.data.text_inputs import read_texts
from tasks.common.data.text_problems import text_problem
from tasks.common.errors import UsageError

ROWS = [{"de": "Hallo, Welt!", "en": "hello, world"}, {"de": "zwei Zähne", "en": "two teeth"}, {"de": "我", "en": "I"}]
SOURCES, TARGETS = [row["de"] for row in ROWS], [row["en"] for row in ROWS]


@pytest.fixture(autouse=True)
def _no_hub_and_an_empty_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub_fault.cache_clear()


def fill(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files, and one that is named after test where there is only training, which would be divided."""
    if all(name.startswith("train.") for name in files):
        files = files | {"test.none": ""}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def load(data: Path | str, split: str = "train", source: str = "de", target: str = "en", skip_invalid: bool = False):
    return load_pairs(str(data), split, source, target, skip_invalid)


def error_message(*arguments, **options) -> str:
    with pytest.raises(UsageError) as caught:
        load(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lines(rows: list) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet(table: datasets.Dataset) -> bytes:
    table.to_parquet(file := io.BytesIO())
    return file.getvalue()


def hub_table() -> datasets.Dataset:
    """Make a table like the hub's parallel corpora: one column, ``translation``, with a sentence of each language."""
    features = datasets.Features({"translation": datasets.Translation(languages=["de", "en"])})
    return datasets.Dataset.from_dict({"translation": ROWS}, features=features)


FORMS = {
    "parallel files": {"train.de": "\n".join(SOURCES) + "\n", "train.en": "\n".join(TARGETS)},
    "CRLF": {"train.de": "\r\n".join(SOURCES) + "\r\n", "train.en": "\r\n".join(TARGETS)},
    "BOM": {"train.de": "\ufeff" + "\n".join(SOURCES), "train.en": "\ufeff" + "\n".join(TARGETS)},
    "outer spaces": {"train.de": "".join(f" {text}\t \n" for text in SOURCES), "train.en": "\n".join(TARGETS)},
    "jsonl": {"train.jsonl": lines(ROWS)},
    "jsonl, CRLF and BOM": {"train.jsonl": "\ufeff" + lines(ROWS).replace("\n", "\r\n")},
    "jsonl, translation": {"train.jsonl": lines([{"id": 1, "translation": row} for row in ROWS])},
    "json": {"train.json": json.dumps(ROWS)},
    "csv": {"train.csv": "id,de,en\n" + "".join(f'7,"{row["de"]}","{row["en"]}"\n' for row in ROWS)},
    "csv, CRLF and BOM": {"train.csv": "\ufeffde,en\r\n" + "".join('"{de}","{en}"\r\n'.format(**row) for row in ROWS)},
    "tsv": {"train.tsv": "de\ten\n" + "".join(f"{row['de']}\t{row['en']}\n" for row in ROWS)},
    "parquet": {"train.parquet": parquet(datasets.Dataset.from_list(ROWS))},
    "parquet, translation": {"train.parquet": parquet(hub_table())},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_text_is_read(form, tmp_path):
    rows = load(fill(tmp_path, FORMS[form]))[:]
    assert rows == {"source": SOURCES, "target": TARGETS, "references": [[text] for text in TARGETS]}


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev"])
def test_validation_has_four_names(name, tmp_path):
    assert load(fill(tmp_path, {f"{name}.jsonl": lines(ROWS)}), "validation")["source"] == SOURCES
    assert load(fill(tmp_path, {f"{name}.de": "a\nb", f"{name}.en": "c\nd"}), "validation")["source"] == ["a", "b"]


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev"])
@pytest.mark.parametrize("table", [datasets.Dataset.from_list(ROWS), hub_table()], ids=["columns", "translation"])
def test_a_saved_dataset_in_the_hubs_form_is_read(name, table, tmp_path):
    datasets.DatasetDict({"train": table, name: table.select([1]), "test": table.select([0])}).save_to_disk(tmp_path)
    assert load(tmp_path)["source"] == SOURCES
    assert load(tmp_path, "validation")["source"] == SOURCES[1:2]
    assert load(tmp_path, "test", "en", "de")["source"] == TARGETS[:1]


def hub_repository(folder: Path) -> Path:
    """Write a repository like Helsinki-NLP/opus-100, with two of its configurations."""
    file, splits = parquet(hub_table()), ("train", "validation")
    paths = "".join(f"  - split: {split}\n    path: de-en/{split}-*\n" for split in splits)
    configs = "".join(f"- config_name: {name}\n  data_files:\n{paths}" for name in ("af-en", "de-en"))
    files = {f"de-en/{split}-00000-of-00001.parquet": file for split in splits}
    return fill(folder, files | {"README.md": f"---\nconfigs:\n{configs}---\n# OPUS-100\n"})


@pytest.mark.parametrize("place", ["opus", "{}/opus"], ids=["relative", "from the root"])
def test_a_folder_in_the_form_of_a_hub_repository_is_read_with_its_configuration(place, tmp_path, monkeypatch):
    monkeypatch.chdir(hub_repository(tmp_path / "opus").parent)
    data = place.format(tmp_path)
    assert load(f"{data}:de-en")["target"] == TARGETS
    assert load(f"{data}:de-en", "validation", "en", "de")["source"] == TARGETS
    assert "no test split" in error_message(f"{data}:de-en", "test")
    assert "de-en" in error_message(f"{data}:de-fr")


def test_several_references_stay_together_and_the_first_is_the_target(tmp_path):
    rows = [{"de": "drei", "en": ["three ", "3"]}, {"de": "vier", "en": ["four"]}]
    loaded = load(fill(tmp_path, {"train.jsonl": lines(rows)}))[:]
    assert (loaded["target"], loaded["references"]) == (["three", "four"], [["three", "3"], ["four"]])


def test_only_line_feeds_end_a_line(tmp_path):
    texts = ["one\u2028line", "one\x85line", "one\x0bline\x0c too"]
    assert load(fill(tmp_path, {"train.de": "\n".join(texts), "train.en": "a\nb\nc\n"}))["source"] == texts


@pytest.mark.parametrize("suffix, comma", [("csv", ","), ("tsv", "\t")])
def test_words_that_spreadsheets_treat_as_missing_values_are_words(suffix, comma, tmp_path):
    words = ["null", "NA", "None", "nan", "n/a"]
    table = "".join(f"{text}{comma}{text}!\n" for text in ["de", *words])
    assert load(fill(tmp_path, {f"train.{suffix}": table}), target="de!")["source"] == words


GOOD = {"train.de": "eins\nzwei\ndrei\n", "train.en": "one\ntwo\nthree\n"}
MISTAKES = {  # files, and words of the error message
    "empty file": (GOOD | {"train.en": ""}, ["train.en is empty", "one sentence per line"]),
    "unequal files": (GOOD | {"train.en": "one\n"}, ["train.de has 3 lines", "train.en has 1", "parallel"]),
    "missing other side": ({"train.de": "eins\n"}, ["train.en is missing", "train.de", "--source and --target"]),
    "missing split": ({"test.de": "eins\n", "test.en": "one\n"}, ["no train split", "train.de", "train.jsonl"]),
    "missing split, README": ({"test.de": "a\n", "test.en": "b\n", "README.md": "# A corpus\n"}, ["no train split"]),
    "missing split, data": ({"test.de": "a\n", "test.en": "b\n", "data/notes.txt": "ours\n"}, ["no train split"]),
    "missing column": ({"train.csv": "den,text\na,b\n"}, ["'de'", "did you mean 'den'", "text", "--source"]),
    "missing language": ({"train.jsonl": lines([{"translation": {"de": "a", "fr": "b"}}])}, ["'en'", "fr", "--target"]),
    "translation is text": ({"train.jsonl": lines([{"translation": "a", "text": "b"}])}, ["'de'", "text", "--source"]),
    "NUL": (GOOD | {"train.de": "eins\nzw\0ei\ndrei\n"}, ["1 of 3", "row 2 (de)", "NUL", "--skip-invalid"]),
    "broken UTF-8": (GOOD | {"train.en": b"one\ntwo\n\xff\xfe\n"}, ["1 of 3", "row 3 (en)", "UTF-8", "--skip-invalid"]),
    "empty line": (GOOD | {"train.de": "eins\n \ndrei\n"}, ["1 of 3", "row 2 (de) is empty", "--skip-invalid"]),
    "several": (GOOD | {"train.de": "\nzwei\n\0\n", "train.en": "\ntwo\n3"}, ["2 of 3", "row 1 (de)", "row 3", "(en)"]),
    "all invalid": (GOOD | {"train.de": "\n\n\n"}, ["3 of 3", "row 1", "row 2", "row 3", "--skip-invalid"]),
    "many": ({"train.de": "\n" * 20, "train.en": "x\n" * 20}, ["20 of 20 rows", "row 8 (de) is empty and 12 more"]),
    "null": ({"train.jsonl": lines([*ROWS, {"de": None, "en": "x"}])}, ["1 of 4", "row 4 (de) is empty"]),
    "no reference": ({"train.jsonl": lines([{"de": "a", "en": ["x"]}, {"de": "b", "en": []}])}, ["row 2 (en) is"]),
    "number": ({"train.jsonl": lines([{"de": 3, "en": "x"}])}, ["row 1 (de)", "not a text but int"]),
    "empty table": ({"train.jsonl": ""}, ["empty"]),
    "header alone": ({"train.csv": "de,en\n"}, ["empty"]),
    "broken jsonl": ({"train.jsonl": '{"de": "a"\n'}, ["JSON"]),
    "NUL in a name": ({"train.jsonl": lines([{"de\0": "a", "en": "b"}])}, [r"the column de\x00 has a NUL", "remove"]),
    "NUL in a header": ({"train.csv": "de,en\0\na,b\n"}, [r"the column en\x00 has a NUL", "remove"]),
    "ragged csv": ({"train.csv": "de,en\na,b\na,b,c\n"}, ["line 3"]),
    "broken UTF-8 in jsonl": ({"train.jsonl": lines(ROWS).encode() + b'{"de": "a", "en": "\xff"}'}, ["utf-8"]),
    "broken UTF-8 in csv": ({"train.csv": b"de,en\na,\xff\n"}, ["utf-8"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_data_is_one_line_that_names_it(name, tmp_path, caplog, monkeypatch):
    # Log messages of the library would be a second line on standard error.
    monkeypatch.setattr(logging.getLogger("datasets"), "handlers", [caplog.handler])
    files, words = MISTAKES[name]
    message = error_message(fill(tmp_path, files))
    assert [word for word in [str(tmp_path), *words] if word.lower() not in message.lower()] == []
    assert caplog.messages == []


@pytest.mark.parametrize("data", ["nowhere", "nobody/nothing:de-en", "/nowhere/at/all", "./nowhere"])
def test_a_path_without_data_is_named(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"--data {data}" in error_message(data)


def test_skip_invalid_skips_exactly_the_invalid_rows_and_reports_them(tmp_path, capsys):
    rows = load(fill(tmp_path, {"train.de": "a\n\nc\0\nd\ne", "train.en": "1\n2\n3\n\t\n5"}), skip_invalid=True)
    assert rows[:] == {"source": ["a", "e"], "target": ["1", "5"], "references": [["1"], ["5"]]}
    err = capsys.readouterr().err
    assert all(word in err for word in ("3 of 5", "row 2 (de)", "row 3 (de)", "row 4 (en)"))
    assert "no valid row is left" in error_message(fill(tmp_path, {"train.de": "\n" * 5}), skip_invalid=True)


def test_without_a_hub_the_error_says_what_to_do_and_a_missing_path_is_called_that():
    with pytest.raises(UsageError, match=r"HF_HUB_OFFLINE is set; name a folder, set HF_HOME .*, or HF_ENDPOINT"):
        load_pairs("Helsinki-NLP/opus-100:de-en", "train", "de", "en", False)
    for path in ("pairs.txt", "no/such/pairs", "./pairs"):
        with pytest.raises(UsageError, match=f"^--data {path}: there is no such file or folder$"):
            load_pairs(path, "train", "de", "en", False)


# ── Memory ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Measure what Python's objects take at most; Arrow's columns do not count."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_pairs_are_checked_in_the_memory_of_a_chunk_and_keep_their_order(monkeypatch):
    monkeypatch.setattr(mapped_tables, "ROWS_PER_BATCH", 300)
    texts = [str(number) for number in range(3000)]
    rows = Dataset.from_dict({"de": texts, "en": texts[::-1]})
    pairs = FoundPairs(rows["de"], rows["en"], False, "pairs", "")
    with peak_memory() as peak:
        table = PairCheck(pairs, range(len(texts)), "de", "en").valid_pairs("pairs", False)
        assert peak() < 600_000  # 1.3 million with all rows
    assert table["source"][:] == texts and table["target"][:] == texts[::-1]
    assert table["references"][:] == [[text] for text in reversed(texts)]


@pytest.mark.parametrize("name", ["train.csv", "train.jsonl"])
def test_a_table_of_several_chunks_is_one_table(name, tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "ROWS_PER_CHUNK", 2)
    content = lines([*ROWS, {"en": "late", "de": "spät", "more": [1]}])
    table = "de,en\n" + "".join(f'"{row["de"]}","{row["en"]}"\n' for row in ROWS) + "spät,late\n"
    fill(tmp_path, {name: content if name.endswith(".jsonl") else table})
    read = table_files.read_file(tmp_path / name)
    assert read["de"][:] == [*SOURCES, "spät"] and read["en"][:] == [*TARGETS, "late"]
    assert name == "train.csv" or read["more"][:] == [None, None, None, [1]]


def test_lines_of_tables_and_texts_are_not_listed_before_they_are_read(tmp_path):
    line = "some words of a text, " * 10
    file, table = tmp_path / "a.csv", tmp_path / "a.jsonl"
    file.write_text(f"{line}\n" * 2000)
    table.write_text(lines([{"de": "x", "en": None}] * 10_000))
    with peak_memory() as peak:
        assert sum(1 for _ in csv_rows(file)) == 2000
        assert peak() < 2.5 * file.stat().st_size  # 5 with all lines in memory
    with peak_memory() as peak:
        assert len(read_json(table)["de"]) == 10_000
        assert peak() < 4 * table.stat().st_size  # 16
    with peak_memory() as peak:
        assert sum(1 for _ in read_texts(str(file), one_per_file=False)) == 2000
        assert peak() < 0.5 * file.stat().st_size  # 3


def test_a_text_as_long_as_a_shelf_of_books_is_refused():
    assert text_problem("x" * MAX_CHARACTERS) is None
    assert text_problem("x" * (MAX_CHARACTERS + 1)) == "has 1,000,001 characters; at most 1,000,000 are allowed"


@pytest.mark.parametrize("first", [" " * 200_000 + "x", "x" * 200_000, "a b " * 50_000, "eins zwei"])
def test_a_long_first_line_is_no_endless_search_for_sentences(first, tmp_path):
    started = time.perf_counter()
    table = load(fill(tmp_path, {"train.csv": f"de,en,{first}\na,b,c\n"}))
    assert table["source"] == ["a"]
    assert time.perf_counter() - started < 5
    assert [has_sentences([each]) for each in ("de", "a b c d e", "a b c d e f", "a b.", "Go.", "走。")] == [
        *(False, False, True, True, False, True)
    ]
