"""Data: every form it may have is read, every mistake is one line, and batches are full, fair and repeatable."""

import io
import json
import logging
from pathlib import Path

import datasets
import huggingface_hub
import pytest
import torch

from tasks.common.data.batching import BatchConfig, BatchSampler
from tasks.common.data.parallel_text import load_pairs
from tasks.common.errors import UsageError

ROWS = [{"de": "Hallo, Welt!", "en": "hello, world"}, {"de": "zwei Zähne", "en": "two teeth"}, {"de": "我", "en": "I"}]
SOURCES, TARGETS = [row["de"] for row in ROWS], [row["en"] for row in ROWS]


@pytest.fixture(autouse=True)
def _no_hub_and_a_cache_of_our_own(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def fill(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def load(data: Path | str, split: str = "train", source: str = "de", target: str = "en", skip_invalid: bool = False):
    return load_pairs(str(data), split, source, target, skip_invalid)


def mistake(*arguments, **options) -> str:
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
    """As the hub's parallel corpora are: one column, ``translation``, with a sentence for each language."""
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
def test_a_saved_data_set_in_the_hubs_form_is_read(name, table, tmp_path):
    datasets.DatasetDict({"train": table, name: table.select([1]), "test": table.select([0])}).save_to_disk(tmp_path)
    assert load(tmp_path)["source"] == SOURCES
    assert load(tmp_path, "validation")["source"] == SOURCES[1:2]
    assert load(tmp_path, "test", "en", "de")["source"] == TARGETS[:1]


def hub_repository(folder: Path) -> Path:
    """What Helsinki-NLP/opus-100 looks like, with two of its configurations."""
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
    assert "no test split" in mistake(f"{data}:de-en", "test")
    assert "de-en" in mistake(f"{data}:de-fr")


def test_several_references_stay_together_and_the_first_is_trained_on(tmp_path):
    rows = [{"de": "drei", "en": ["three ", "3"]}, {"de": "vier", "en": ["four"]}]
    loaded = load(fill(tmp_path, {"train.jsonl": lines(rows)}))[:]
    assert (loaded["target"], loaded["references"]) == (["three", "four"], [["three", "3"], ["four"]])


def test_only_line_feeds_end_a_line(tmp_path):
    texts = ["one\u2028line", "one\x85line", "one\x0bline\x0c too"]
    assert load(fill(tmp_path, {"train.de": "\n".join(texts), "train.en": "a\nb\nc\n"}))["source"] == texts


@pytest.mark.parametrize("suffix, comma", [("csv", ","), ("tsv", "\t")])
def test_words_that_mean_nothing_to_a_spreadsheet_are_words(suffix, comma, tmp_path):
    words = ["null", "NA", "None", "nan", "n/a"]
    table = "".join(f"{text}{comma}{text}!\n" for text in ["de", *words])
    assert load(fill(tmp_path, {f"train.{suffix}": table}), target="de!")["source"] == words


GOOD = {"train.de": "eins\nzwei\ndrei\n", "train.en": "one\ntwo\nthree\n"}
MISTAKES = {  # files, and what the line has to say
    "empty file": (GOOD | {"train.en": ""}, ["train.en is empty", "a sentence a line"]),
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
    "all bad": (GOOD | {"train.de": "\n\n\n"}, ["3 of 3", "row 1", "row 2", "row 3", "--skip-invalid"]),
    "many": ({"train.de": "\n" * 20, "train.en": "x\n" * 20}, ["20 of 20 rows", "row 8 (de) is empty and 12 more"]),
    "null": ({"train.jsonl": lines([*ROWS, {"de": None, "en": "x"}])}, ["1 of 4", "row 4 (de) is empty"]),
    "no reference": ({"train.jsonl": lines([{"de": "a", "en": ["x"]}, {"de": "b", "en": []}])}, ["row 2 (en) is"]),
    "number": ({"train.jsonl": lines([{"de": 3, "en": "x"}])}, ["row 1 (de)", "no text but int"]),
    "empty table": ({"train.jsonl": ""}, ["empty"]),
    "header alone": ({"train.csv": "de,en\n"}, ["empty"]),
    "broken jsonl": ({"train.jsonl": '{"de": "a"\n'}, ["JSON"]),
    "ragged csv": ({"train.csv": "de,en\na,b\na,b,c\n"}, ["line 3"]),
    "broken UTF-8 in jsonl": ({"train.jsonl": lines(ROWS).encode() + b'{"de": "a", "en": "\xff"}'}, ["utf-8"]),
    "broken UTF-8 in csv": ({"train.csv": b"de,en\na,\xff\n"}, ["utf-8"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_data_is_one_line_that_names_it(name, tmp_path, caplog, monkeypatch):
    # What the library logs besides would be a second line on standard error.
    monkeypatch.setattr(logging.getLogger("datasets"), "handlers", [caplog.handler])
    files, words = MISTAKES[name]
    message = mistake(fill(tmp_path, files))
    assert [word for word in [str(tmp_path), *words] if word.lower() not in message.lower()] == []
    assert caplog.messages == []


@pytest.mark.parametrize("data", ["nowhere", "nobody/nothing:de-en", "/nowhere/at/all", "./nowhere"])
def test_a_place_without_data_is_named(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"--data {data}" in mistake(data)


def test_skip_bad_leaves_exactly_the_bad_rows_out_and_says_so(tmp_path, capsys):
    rows = load(fill(tmp_path, {"train.de": "a\n\nc\0\nd\ne", "train.en": "1\n2\n3\n\t\n5"}), skip_invalid=True)
    assert rows[:] == {"source": ["a", "e"], "target": ["1", "5"], "references": [["1"], ["5"]]}
    err = capsys.readouterr().err
    assert all(word in err for word in ("3 of 5", "row 2 (de)", "row 3 (de)", "row 4 (en)"))
    assert "no row is left" in mistake(fill(tmp_path, {"train.de": "\n" * 5}), skip_invalid=True)


ROOM = BatchConfig(max_target_size=600, max_source_size=600, max_sources=32)


def skewed(count: int = 3000) -> list[tuple[int, int]]:
    """Lengths as corpora have them: many short sentences and a few long ones, both sides alike."""
    source = torch.randn(count).mul(0.7).add(2.5).exp().long() + 1
    target = (source * (0.8 + 0.4 * torch.rand(count))).long() + 1
    return list(zip(source.tolist(), target.tolist(), strict=True))


def padding(batches: list[list[int]], lengths: list[tuple[int, int]]) -> float:
    """The share of both sides' tokens that is padding."""
    sides = [[lengths[row][side] for row in batch] for batch in batches for side in (0, 1)]
    return 1 - sum(map(sum, sides)) / sum(len(side) * max(side) for side in sides)


@pytest.mark.parametrize("pool", [BatchSampler.POOL, 3], ids="pools of {} batches".format)
def test_an_epoch_has_every_row_exactly_once_within_the_bounds(pool, monkeypatch):
    monkeypatch.setattr(BatchSampler, "POOL", pool)
    lengths = skewed()
    for batches in (BatchSampler(lengths, ROOM, seed=1).epoch(0), BatchSampler(lengths, ROOM, seed=1).by_length()):
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        assert max(map(len, batches)) == ROOM.sentences
        assert all(len(batch) * max(max(lengths[row]) for row in batch) <= ROOM.tokens for batch in batches)


def test_a_row_that_is_larger_than_a_batch_has_one_for_itself():
    batches = BatchSampler([(5, 5), (900, 3), (5, 5)], ROOM, seed=1).epoch(0)
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = skewed(500)
    first = BatchSampler(lengths, ROOM, seed=1).epoch(3)
    torch.manual_seed(99)
    assert BatchSampler(lengths, ROOM, seed=1).epoch(3) == first
    assert BatchSampler(lengths, ROOM, seed=1).epoch(4) != first
    assert BatchSampler(lengths, ROOM, seed=2).epoch(3) != first


def test_like_lengths_share_a_batch():
    lengths = skewed()
    batches = BatchSampler(lengths, ROOM, seed=1)
    assert padding([rows.tolist() for rows in torch.randperm(len(lengths)).split(32)], lengths) > 0.5
    assert padding(batches.epoch(0), lengths) < 0.1
    assert padding(batches.by_length(), lengths) < 0.1


def test_rows_beyond_the_limit_are_left_out_and_counted():
    limits = BatchConfig(max_source_length=9, max_target_length=4)
    lengths = [(3, 3), (9, 4), (3, 5), (4, 4), (10, 4)]
    batches = BatchSampler(lengths, limits, seed=1, drop_too_long=True)
    assert sorted(row for batch in batches.epoch(0) for row in batch) == [0, 1, 3]
    assert batches.num_skipped == 2
    assert BatchSampler(lengths, limits, seed=1).num_skipped == 0


def test_sources_and_targets_have_a_bound_each():
    lengths = [(100, 2)] * 10 + [(2, 20)] * 10
    batches = BatchSampler(lengths, BatchConfig(max_target_size=100, max_source_size=300), seed=1).by_length()
    assert sorted(map(len, batches)) == [1, 3, 3, 3, 5, 5]


def test_no_rows_make_no_batches():
    assert BatchSampler([], ROOM, seed=1).by_length() == []


@pytest.mark.parametrize("name", ["tokens", "frames", "sentences", "max_length", "max_frames"])
def test_bounds_of_nothing_are_refused(name):
    with pytest.raises(ValueError, match=name.replace("_", "-")):
        BatchConfig(**{name: 0})
