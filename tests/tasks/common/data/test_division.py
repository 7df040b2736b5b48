"""Data without splits: what belongs together is in one split, and rows keep the numbers of the file."""

import io
import json
import tracemalloc
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import Audio, Dataset, Image

from tasks.common.data.division import MAX_HELD_OUT, assign_names, divide
from tasks.common.data.grouping import pair_groups, row_groups
from tasks.common.data.parallel_text import load_pairs
from tasks.common.data.splits import SPLITS, has_splits
from tasks.common.data.tables import read_table
from tasks.common.errors import UsageError
from tasks.image_captioning.data import read_captioned_images
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.video_to_text.data import read_captioned_videos
from tests.tasks.common.data.test_own_data import fill

# Each sentence of either side has several of the other: 60 groups of 4 rows.
PAIRS = [(f"s{row % 120}", f"t{row % 120 // 2} {row // 120}") for row in range(240)]
# The same, as people have it: spaces, line ends and capitals that are not always the same.
STYLES = [str.upper, " {}".format, "{} ".format, "{}\r".format]
UNTIDY = [(STYLES[(row + row // 120) % 4](source), target) for row, (source, target) in enumerate(PAIRS)]


def lines(rows: list) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def csv_text(rows: list, header: str) -> str:
    return header + "\n" + "".join(",".join(f'"{text}"' for text in row) + "\n" for row in rows)


FORMS = {
    "csv": lambda rows: ({"p.csv": csv_text(rows, "de,en")}, "p.csv"),
    "nested": lambda rows: ({"p.jsonl": lines([{"translation": {"de": a, "en": b}} for a, b in rows])}, "p.jsonl"),
    "two files": lambda rows: ({f"p.{x}": "\n".join(r[at] for r in rows) for at, x in enumerate(("de", "en"))}, ""),
}


@pytest.mark.parametrize("rows", [PAIRS, UNTIDY], ids=["tidy", "untidy"])
@pytest.mark.parametrize("form", FORMS)
def test_no_sentence_of_either_side_is_in_two_splits_whatever_the_direction(form, rows, tmp_path):
    files, name = FORMS[form](rows)
    data = str(fill(tmp_path, files) / name)
    pairs = {}
    for source, target in (("de", "en"), ("en", "de")):
        tables = [load_pairs(data, split, source, target, False) for split in SPLITS]
        assert [len(table) for table in tables] == [192, 24, 24]
        for side in ("source", "target"):
            train, validation, test = ({text.lower() for text in table[side]} for table in tables)
            assert not train & validation and not train & test and not validation & test
        pairs[source] = [
            {*zip(table[source_side], table[target_side], strict=True)}
            for table in tables
            for source_side, target_side in [("source", "target") if source == "de" else ("target", "source")]
        ]
    assert pairs["de"] == pairs["en"]


def test_pairs_with_labels_are_grouped_by_their_sources():
    sources = [f"text {row // 2}" for row in range(100)]
    labels = ["yes" if row % 3 else "no" for row in range(100)]
    groups = pair_groups(sources, labels)
    assert len({*groups}) == 50 and groups[0] == groups[1] != groups[2]


def test_groups_of_any_size_fill_the_shares_of_rows_and_large_ones_are_for_training():
    groups = ["large"] * 100 + [f"{number}" for number in range(100) for _ in range(1 + number % 3)]
    rows = {split: divide(groups, split, "groups of any size") for split in SPLITS}
    assert sum(map(len, rows.values())) == len(groups)
    assert all(len(groups) / 10 - 3 < len(rows[split]) <= len(groups) / 10 for split in ("validation", "test"))
    assert {*range(100)} <= {*rows["train"]}


def test_few_of_many_rows_are_held_out():
    rows = {split: divide(np.arange(60_000, dtype=np.uint64), split, "many rows") for split in SPLITS}
    assert {split: len(numbers) for split, numbers in rows.items()} == {
        "train": 60_000 - 2 * MAX_HELD_OUT,
        "validation": MAX_HELD_OUT,
        "test": MAX_HELD_OUT,
    }


def test_a_split_consists_of_whole_groups_within_its_share():
    counts = {f"package{number}": number for number in range(1, 60)}
    split_of = assign_names(counts, {"test": 0.05, "validation": 0.05})
    for split in ("test", "validation"):
        share = sum(counts[name] for name, own in split_of.items() if own == split) / sum(counts.values())
        assert 0.02 < share <= 0.05


def png(number: int) -> dict:
    from PIL import Image as Pillow

    Pillow.fromarray(np.full((4, 4), number, np.uint8)).save(file := io.BytesIO(), "png")
    return {"path": "x.png", "bytes": file.getvalue()}


@pytest.mark.parametrize("order", [["img", "caption"], ["caption", "img"]])
def test_captions_of_an_image_are_one_row_though_its_column_has_any_name(order, tmp_path):
    columns = {"img": [png(row // 5) for row in range(100)], "caption": [f"c{row}" for row in range(100)]}
    features = datasets.Features({"img": Image(), "caption": datasets.Value("string")})
    table = Dataset.from_dict(columns, features=features).select_columns(order)
    table.to_parquet(str(tmp_path / "p.parquet"))
    splits = [read_captioned_images(str(tmp_path), split, "captions") for split in SPLITS]
    assert [len(rows) for rows in splits] == [16, 2, 2]
    assert sorted(len(captions) for rows in splits for captions in rows["captions"]) == [5] * 20
    contents = [file["bytes"] for rows in splits for file in rows["source"]]
    assert len({*contents}) == 20


def test_readings_of_a_recording_are_in_one_split_though_its_column_has_any_name(tmp_path):
    columns = {"clip": [{"path": f"{row // 4}.wav", "bytes": b"%d" % (row // 4)} for row in range(80)]}
    table = Dataset.from_dict(columns | {"text": ["a"] * 80}).cast_column("clip", Audio(decode=False))
    table.to_parquet(str(tmp_path / "p.parquet"))
    splits = [{audio["bytes"] for audio in read_transcribed_speech(str(tmp_path), s, "text")["audio"]} for s in SPLITS]
    assert [len(contents) for contents in splits] == [16, 2, 2] and len(set.union(*splits)) == 20


def test_rows_are_hashed_one_by_one():
    table = Dataset.from_dict({"a": [bytes(100_000)] * 100}).with_format("arrow")
    tracemalloc.start()
    try:
        groups = row_groups(table)
        assert len(groups) == 100 and len({*groups}) == 1
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_layout_of_librispeech_is_divided_by_speakers_and_their_recordings_keep_their_numbers(tmp_path):
    for speaker in range(20):
        texts = "".join(f"{speaker}-1-{number} a\n" for number in range(3))
        fill(tmp_path, {f"train-clean/{speaker}/1/{speaker}-1.trans.txt": texts})
    splits = [read_transcribed_speech(str(tmp_path), split, "text") for split in SPLITS]
    speakers = [{Path(audio["path"]).parts[-3] for audio in table["audio"]} for table in splits]
    assert [len(each) for each in speakers] == [16, 2, 2] and len(set.union(*speakers)) == 20
    assert sorted(row for table in splits for row in table["row"]) == list(range(60))


def test_one_speaker_is_divided_by_recordings(tmp_path):
    fill(tmp_path, {"train-clean/1/1/1-1.trans.txt": "".join(f"1-1-{number} a\n" for number in range(30))})
    assert [len(read_transcribed_speech(str(tmp_path), split, "text")) for split in SPLITS] == [24, 3, 3]


def test_invalid_rows_of_divided_data_have_their_numbers_in_the_file(tmp_path):
    texts = [f"s{row}" for row in range(100)]
    file = fill(tmp_path, {"p.jsonl": lines([{"a": text, "b": text} for text in texts])}) / "p.jsonl"
    chosen = {split: int(load_pairs(str(file), split, "a", "b", False)["source"][-1][1:]) for split in SPLITS}
    for split, row in chosen.items():
        broken = [{"a": text, "b": "\0" if number == row else text} for number, text in enumerate(texts)]
        fill(tmp_path, {"p.jsonl": lines(broken)})
        parts = [split for split in SPLITS if f"row {row + 1} (b)" in error_of(str(file), split)]
        assert len(parts) == 1


def error_of(data: str, split: str) -> str:
    try:
        load_pairs(data, split, "a", "b", False)
    except UsageError as error:
        return str(error)
    return ""


def test_a_table_named_after_a_split_is_that_split_and_those_beside_it_are_the_others(tmp_path):
    rows = {"train": 7, "val": 2, "test": 2}
    fill(
        tmp_path, {f"{name}.csv": csv_text([(f"{name}{n}",) for n in range(size)], "a") for name, size in rows.items()}
    )
    for name in rows:
        found = {split: read_table(str(tmp_path / f"{name}.csv"), split) for split in SPLITS}
        assert [len(table) for table in found.values()] == [7, 2, 2]
    (tmp_path / "val.csv").unlink()
    assert read_table(str(tmp_path / "test.csv"), "validation") is None
    (tmp_path / "test.csv").unlink()
    assert [len(read_table(str(tmp_path / "train.csv"), split)) for split in SPLITS] == [5, 1, 1]


@pytest.mark.parametrize("name", ["test-1.jpg", "dev-3.wav", "valid.png", "val.npy"])
def test_a_media_file_and_its_text_are_no_split(name, tmp_path):
    assert not has_splits(fill(tmp_path, {name: "", Path(name).with_suffix(".txt").name: "a", "b.jpg": ""}))


@pytest.mark.parametrize("name", ["test.csv", "dev-clean/a", "test.de", "valid.txt", "test-00000-of-00001.parquet"])
def test_a_folder_a_table_and_a_text_are_splits(name, tmp_path):
    assert has_splits(fill(tmp_path, {name: "", "1.jpg": ""}))


def test_a_saved_dataset_of_images_is_read(tmp_path):
    features = datasets.Features({"image": Image(), "caption": datasets.Value("string")})
    columns = {"image": [png(row) for row in range(10)], "caption": ["a"] * 10}
    Dataset.from_dict(columns, features=features).save_to_disk(tmp_path)
    assert [len(read_captioned_images(str(tmp_path), split, "captions")) for split in SPLITS] == [8, 1, 1]


@pytest.mark.parametrize("path", ["C:\\nowhere\\pairs.csv", "C:/nowhere/pairs.csv"])
def test_a_missing_path_of_windows_is_a_path(path):
    with pytest.raises(UsageError, match="there is no such file or folder"):
        read_table(path, "train")


@pytest.mark.parametrize("names", ["1.npy", "{split}/1.npy", "1"])
def test_a_listing_for_all_splits_beside_their_folders_is_read(names, tmp_path):
    splits = {"train": "a", "test": "b"}
    fill(tmp_path, {f"{split}/{name}{number}.npy": "" for split, name in splits.items() for number in range(3)})
    named = [
        names.format(split=split).replace("1", f"{name}{number}")
        for split, name in splits.items()
        for number in range(3)
    ]
    for listing, separator in (("captions.txt", "\t"), ("captions.csv", ",")):
        header = "file,text\n" if separator == "," else ""
        fill(tmp_path, {listing: header + "".join(f"{name}{separator}of {name}\n" for name in named)})
        for read in (read_captioned_images, read_captioned_videos):
            for split, name in splits.items():
                table = read(str(tmp_path), split, "captions")
                found = [Path(file["path"]).relative_to(tmp_path / split).name for file in table["source"]]
                assert found == [f"{name}{number}.npy" for number in range(3)]
                assert table["captions"][0] == [f"of {named[0 if split == 'train' else 3]}"]
        assert len(read_transcribed_speech(str(tmp_path), "test", "text")) == 3
        (tmp_path / listing).unlink()
