"""Large data: tables that are mapped from disk, shards, and media in tar files."""

import dataclasses
import io
import itertools
import json
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import soundfile
from datasets import Dataset
from PIL import Image

from tasks.common.data import cache, mapped_tables, pair_check, text_lines, token_table
from tasks.common.data.mapped_tables import hash_rows, map_table
from tasks.common.data.media_files import file_content, media_key
from tasks.common.data.pair_check import pair_columns
from tasks.common.data.parallel_text import load_pairs
from tasks.common.data.table_files import read_file
from tasks.common.data.text_lines import TextLines
from tasks.common.errors import UsageError
from tasks.common.task_group import SingleTask
from tasks.common.training.batches import TrainingBatches, make_sampler
from tasks.common.training.processes import TrainingProcesses
from tasks.image_captioning.data import read_captioned_images
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task


@pytest.fixture
def maps_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Map tables of any size from the cache, a few rows at a time."""
    for module in (pair_check, token_table):
        monkeypatch.setattr(module, "MAX_ROWS_IN_MEMORY", 0)
    monkeypatch.setattr(mapped_tables, "ROWS_PER_BATCH", 7)


def save_pairs(folder: Path, num_pairs: int, **texts: str) -> None:
    """Save parallel files for training and a pair for test; ``texts`` replace lines: ``de_3`` is the fourth of de."""
    folder.mkdir(exist_ok=True)
    for ending in ("de", "en"):
        lines = [texts.get(f"{ending}_{row}", f"{ending} {row} word{row % 3}") for row in range(num_pairs)]
        (folder / f"train.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / f"test.{ending}").write_text("a\n", encoding="utf-8")


# ── Texts ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", ["", "\n", "a", "a\n", "\n\na", "\ufeffa\nb\n", "a\r\nb\u2028c\n", "\ufeff"])
def test_lines_of_a_file_are_divided_at_line_feeds_alone(content, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.common.data.text_lines.SCANNED_BYTES", 2)
    (tmp_path / "a.txt").write_text(content, encoding="utf-8", newline="")
    expected = text_lines.read_lines(content.encode())
    lines = TextLines(tmp_path / "a.txt")
    assert list(lines) == expected == lines[:]
    assert lines[1:2] == expected[1:2] and lines[[*range(len(lines))][::-1]] == expected[::-1]


def test_many_pairs_are_mapped_from_the_cache_with_the_same_report_each_time(maps_all, tmp_path, capsys, monkeypatch):
    save_pairs(tmp_path, 40, de_3="", en_5="", de_20="a\0b")
    with pytest.raises(UsageError, match=r"3 of 40 rows are invalid: row 4 \(de\) is empty; row 6 \(en\) is empty; r"):
        load_pairs(str(tmp_path), "train", "de", "en", False)
    monkeypatch.setattr(pair_check.PairCheck, "check", lambda _: pytest.fail("they are checked once"))
    pairs = load_pairs(str(tmp_path), "train", "de", "en", True)
    assert "3 of 40 rows are invalid: row 4 (de) is empty" in capsys.readouterr().err
    assert pairs.cache_files and len(pairs) == 37
    assert pairs[3] == {"source": "de 4 word1", "target": "en 4 word1", "references": ["en 4 word1"]}
    monkeypatch.undo()
    in_memory = load_pairs(str(tmp_path), "train", "de", "en", True)
    assert not in_memory.cache_files and in_memory.to_list() == pairs.to_list()


def test_changed_files_are_checked_again(maps_all, tmp_path):
    save_pairs(tmp_path, 10)
    assert len(load_pairs(str(tmp_path), "train", "de", "en", False)) == 10
    save_pairs(tmp_path, 11)
    assert len(load_pairs(str(tmp_path), "train", "de", "en", False)) == 11


def test_one_process_makes_a_table_and_what_it_has_not_finished_is_made_again():
    def fail():
        yield from ()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_table("unfinished", pair_columns(), fail)
    assert not [*cache.cache_dir().glob("*unfinished*")]
    assert len(map_table("unfinished", pair_columns(), lambda: ())) == 0


def test_of_several_that_need_a_table_one_makes_it_and_the_others_wait():
    num_made = itertools.count()

    def make():
        next(num_made)
        time.sleep(0.1)
        yield pyarrow.record_batch([["a"], ["b"], [["b"]]], pair_columns())

    with ThreadPoolExecutor(3) as pool:
        tables = [*pool.map(lambda _: map_table("needed", pair_columns(), make), range(3))]
    assert next(num_made) == 1 and [table["source"][:] for table in tables] == [["a"]] * 3


def test_the_hash_of_rows_depends_on_their_content_and_order_alone():
    table = Dataset.from_dict({"a": ["x", "yy", "zzz"], "b": [1, 2, 3]})
    assert (
        hash_rows(table) == hash_rows(table.select([0, 1, 2])) == hash_rows(table.select([2, 1, 0]).select([2, 1, 0]))
    )
    others = [table.select([1, 0, 2]), table.select([0, 1]), table.select_columns(["a"])]
    assert len({hash_rows(each) for each in [table, *others]}) == 4


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_token_ids_are_made_once_and_batches_of_them_are_those_of_the_texts(maps_all, dropout, tmp_path, monkeypatch):
    save_pairs(tmp_path, 60)
    config = PRESETS["tiny"]()
    vocabulary = dataclasses.replace(config.vocabulary, kind="bpe", size=300, dropout=dropout)
    task = Task(dataclasses.replace(config, data=str(tmp_path), vocabulary=vocabulary))
    examples = load_pairs(str(tmp_path), "train", "de", "en", False)
    task.fit(examples)
    texts = make_sampler(task, examples, step_size=1)
    batches = TrainingBatches(SingleTask(task), {"": examples}, TrainingProcesses(False, uses_all_parameters=True))
    tokens = batches.examples[""]
    monkeypatch.setattr(task.tokenizer, "encode", lambda *_: pytest.fail("the ids are in the cache"))
    assert task.tokenize(examples).cache_files == tokens.cache_files != []
    monkeypatch.undo()
    assert (tokens.features["source"] == examples.features["source"]) == bool(dropout)
    assert [*texts.epoch(1)] == [*batches.samplers[""].epoch(1)]
    for rows in texts.epoch(1):
        expected, made = task.collate(examples, rows), task.collate(tokens, rows)
        assert made.tokens.equal(expected.tokens) and made.source.values.equal(expected.source.values)
        assert made.source_index is expected.source_index is None


# ── Shards ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("names", [["000", "001"], ["part-0", "part-1"], ["train-0-of-2", "train-1-of-2"]])
def test_shards_of_a_table_are_one_table_and_divided_if_they_have_no_splits(names, tmp_path):
    for number, name in enumerate(names):
        rows = {ending: [f"{ending} {number} {row}" for row in range(20)] for ending in ("de", "en")}
        Dataset.from_dict(rows).to_parquet(str(tmp_path / f"{name}.parquet"))
    splits = [load_pairs(str(tmp_path), split, "de", "en", False) for split in ("train", "validation", "test")]
    assert [len(table) for table in splits] == [32, 4, 4]
    if names[0].startswith("train"):
        Dataset.from_dict({"de": ["x"], "en": ["y"]}).to_parquet(str(tmp_path / "validation-00000-of-00001.parquet"))
        assert len(load_pairs(str(tmp_path), "train", "de", "en", False)) == 40
        assert load_pairs(str(tmp_path), "validation", "de", "en", False)["source"][:] == ["x"]


def test_shards_with_other_columns_are_refused(tmp_path):
    for number, columns in enumerate([["de", "en"], ["de", "fr"]]):
        Dataset.from_dict({name: ["a", "b"] for name in columns}).to_parquet(str(tmp_path / f"{number}.parquet"))
    with pytest.raises(UsageError, match=r"1\.parquet has other columns than 0\.parquet: de \(string\), fr"):
        load_pairs(str(tmp_path), "train", "de", "en", False)


# ── Media in tar files ──────────────────────────────────────────────────────────────────────────────────────


def png(number: int) -> bytes:
    Image.fromarray(np.full((4, 4), number, np.uint8)).save(file := io.BytesIO(), "png")
    return file.getvalue()


def wav(number: int) -> bytes:
    soundfile.write(file := io.BytesIO(), np.full(1600, number / 100, np.float32), 16_000, format="wav")
    return file.getvalue()


def save_tar(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as opened:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))


def test_images_stay_in_tar_files_and_are_read_from_there(tmp_path):
    for shard in range(2):
        members = {}
        for number in range(10 * shard, 10 * shard + 10):
            members |= {f"./x/{number:03}.png": png(number), f"./x/{number:03}.txt": f"image {number}\n".encode()}
        save_tar(tmp_path / f"{shard:06}.tar", members)
    splits = [read_captioned_images(str(tmp_path), split, "captions") for split in ("train", "validation", "test")]
    assert [len(table) for table in splits] == [16, 2, 2]
    for table in splits:
        for row in table:
            number = int(row["captions"][0].removeprefix("image "))
            assert row["source"]["bytes"] is None and Path(row["source"]["path"]).name == f"{number:03}.png"
            assert file_content(row["source"]) == png(number)
    key = media_key(splits[0][0]["source"])
    (tmp_path / "000000.tar").touch()
    (tmp_path / "000001.tar").touch()
    assert media_key(splits[0][0]["source"]) != key


def test_recordings_of_a_tar_file_have_the_fields_of_their_json_files(tmp_path):
    fields = {"text": "a b", "captions": ["c", "d"], "seconds": 0.1}
    save_tar(tmp_path / "train-0.tar", {"1.wav": wav(1), "1.json": json.dumps(fields).encode(), "2.wav": wav(2)})
    save_tar(tmp_path / "validation-0.tar", {"3.wav": wav(3), "3.json": b'{"text": "e"}'})
    table = read_file(tmp_path / "train-0.tar")
    assert table.column_names == ["audio", "text", "captions"]
    assert table["captions"][:] == [["c", "d"], None]
    train = read_transcribed_speech(str(tmp_path), "train", "text")
    assert train["text"][:] == ["a b", None] and file_content(train[1]["audio"]) == wav(2)
    assert read_transcribed_speech(str(tmp_path), "validation", "text")["text"][:] == ["e"]


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"1.png": b"", "1.json": b"[1]"}, r"1\.json is not a readable JSON object \(it is no object\)"),
        ({"1.png": b"", "1.txt": b"\xff"}, r"1\.txt is not valid UTF-8"),
        ({"1.png": b"", "1.txt": bytes(2_000_000)}, r"1\.txt has 2,000,000 bytes; allowed are 1,000,000"),
    ],
)
def test_texts_of_a_tar_file_that_cant_be_read_are_named(members, line, tmp_path):
    save_tar(tmp_path / "a.tar", members)
    with pytest.raises(UsageError, match=line):
        read_file(tmp_path / "a.tar")


def test_compressed_tar_files_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz"):
        pass
    with pytest.raises(UsageError, match=r"a\.tar is not a readable tar file without compression"):
        read_file(tmp_path / "a.tar")
