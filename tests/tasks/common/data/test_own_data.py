"""Data as people have them: without splits, with columns of any names, with files that systems add."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from tasks.common.cli.preset_choice import choose_preset
from tasks.common.data import cache
from tasks.common.data.captioned_media import read_captioned_files
from tasks.common.data.division import divide
from tasks.common.data.folders import read_text, read_text_lines, visible_files
from tasks.common.data.inputs import list_files, parse_file_input
from tasks.common.data.media_files import file_source
from tasks.common.data.media_folders import read_listed_table, read_listing, read_texts
from tasks.common.data.media_names import MediaNames
from tasks.common.data.pair_names import guess_pair, known_columns, pair_names
from tasks.common.data.parallel_text import load_pairs
from tasks.common.data.splits import SPLITS, has_splits
from tasks.common.data.table_files import read_file
from tasks.common.data.tables import read_table
from tasks.common.errors import UsageError
from tasks.image_captioning.data import read_captioned_images
from tasks.speech_recognition.data import read_audiofolder, read_transcribed_speech
from tasks.video_to_text.data import read_captioned_videos

ROWS = [(f"Satz {number % 100}", f"sentence {number % 100}, {number // 100}") for number in range(200)]


def fill(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def csv_rows(comma: str = ",") -> str:
    return f"id{comma}German{comma}English\n" + "".join(
        f'7{comma}{source}{comma}"{target}"\n' if comma == "," else f"7{comma}{source}{comma}{target}\n"
        for source, target in ROWS
    )


UNSPLIT = {  # files, and the value of --data in their folder
    "csv": ({"pairs.csv": csv_rows()}, "pairs.csv"),
    "csv of a spreadsheet": ({"pairs.csv": csv_rows(";").encode("utf-16")}, "pairs.csv"),
    "tsv": ({"pairs.tsv": csv_rows("\t")}, "pairs.tsv"),
    "jsonl": ({"x.jsonl": "".join(json.dumps({"German": a, "English": b}) + "\n" for a, b in ROWS)}, "x.jsonl"),
    "folder of a table": ({"pairs.csv": csv_rows(), "README.md": "# Ours", ".cache.csv": "x"}, ""),
    "two files": (
        {f"talk.{name}": "\n".join(row[at] for row in ROWS) for at, name in enumerate(("German", "English"))},
        "",
    ),
    "two .txt": (
        {f"{name}.txt": "\n".join(row[at] for row in ROWS) for at, name in enumerate(("German", "English"))},
        "",
    ),
    "training table alone": ({"train.csv": csv_rows(), "other.csv": "a,b\nc,d\n"}, ""),
    "training files alone": (
        {f"train.{name}": "\n".join(row[at] for row in ROWS) for at, name in enumerate(("German", "English"))},
        "",
    ),
    "prefix": (
        {f"a/b.{name}": "\n".join(row[at] for row in ROWS) for at, name in enumerate(("German", "English"))},
        "a/b",
    ),
}


@pytest.mark.parametrize("form", UNSPLIT)
def test_pairs_without_splits_are_divided_by_their_sources_and_this_is_told(form, tmp_path, capsys):
    files, name = UNSPLIT[form]
    data = str(fill(tmp_path, files) / name)
    assert {*guess_pair(pair_names(data, "German", "English"), "German", "English")} == {"German", "English"}
    loaded = {split: load_pairs(data, split, "German", "English", False) for split in SPLITS}
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 160, "validation": 20, "test": 20}
    found = [(row["source"], row["target"]) for rows in loaded.values() for row in rows]
    assert sorted(found) == sorted(ROWS)
    sources = [{*rows["source"]} for rows in loaded.values()]
    assert not sources[0] & sources[1] and not sources[0] & sources[2] and not sources[1] & sources[2]
    told = capsys.readouterr().err
    assert told.count("divided by a hash") == 1 and "160 for train, 20 for validation, 20 for test" in told


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_a_table_whose_first_line_is_a_sentence_has_no_header(ending, tmp_path):
    comma = "\t" if ending == ".tsv" else ","
    short = f"Geh.{comma}Go.\nHallo!{comma}Hi!\n"
    assert read_file(fill(tmp_path, {f"b{ending}": short}) / f"b{ending}")["column 1"][:] == ["Geh.", "Hallo!"]
    rows = [("Das ist ein Hund.", "That is a dog"), ("zwei", "two"), ("drei", "three")]
    file = fill(tmp_path, {f"a{ending}": "".join(f"{a}{comma}{b}\n" for a, b in rows)}) / f"a{ending}"
    columns = read_file(file)[:]
    assert columns == {"column 1": [a for a, _ in rows], "column 2": [b for _, b in rows]}
    assert guess_pair(pair_names(str(file), "de", "en"), "de", "en") == ("column 1", "column 2")
    file.write_text(f"How many sentences{comma}Answer: yes/no\n1{comma}2\n")
    assert read_file(file).column_names == ["How many sentences", "Answer: yes/no"]


WORDS = [("Hund", "dog"), ("der Hund", "the dog"), ("Katze", "cat")]


@pytest.mark.parametrize(
    ("first", "others", "is_header"),
    [
        (("Hund", "dog"), WORDS, False),
        (("1", "Hund", "dog"), [(str(number), *words) for number, words in enumerate(WORDS, 2)], False),
        (("0", "1"), WORDS, None),  # as pandas writes columns without names
        (("Hund", "cats"), WORDS, None),
        (("Hund", "dog"), [("Hund", "dog"), ("Katze", "cat")], None),  # as in files that were joined
        (("Hund", "dog"), [], None),
        (("German", "English"), WORDS, None),
        (("", "Hund", "dog"), [("7", *words) for words in WORDS], True),  # of an index
        (("Source", "Target"), [("the Source", "a Target")], True),
        (("es", "fr"), [("es un perro", "fr")], True),
        (("mine", "other"), WORDS, True),
        (("Das ist ein Hund.", "That is a dog"), WORDS, False),
    ],
)
def test_a_first_line_whose_words_all_occur_again_in_their_columns_is_a_row(first, others, is_header):
    columns = list(zip(*others, strict=True)) or [()] * len(first)
    assert known_columns("mine", "en").decide(first, columns) is is_header
    assert known_columns(first[-1], "en").decide(first, columns) is True  # where it is named
    assert known_columns("column 1", "column 2").decide(first, columns) is False


def test_how_the_first_line_of_a_table_is_read_is_told_with_the_flags_that_choose_otherwise(tmp_path, capsys):
    lines = [f"Hund {number},dog {number}\n" for number in range(40)]
    data = str(fill(tmp_path, {"pairs.csv": "Hund,dog\n" + "".join(lines)}) / "pairs.csv")
    told = f"{data}: the first line (Hund, dog) is read as a row; if it is the header, name its columns with --source"
    for flags, loaded in (([], 41), (["--source", "Hund", "--target", "dog"], 40)):
        config = choose_preset("translation", ["small", "--data", data, *flags]).config
        names = (config.source, config.target) if not flags else ("Hund", "dog")
        assert sum(len(load_pairs(data, split, *names, False)) for split in SPLITS) == loaded
        err = capsys.readouterr().err
        assert err.count(told) == (not flags) and ("column 1 -> column 2" in err) == (not flags)
    fill(tmp_path, {"pairs.csv": "Hund,Maus\n" + "".join(lines)})
    choose_preset("translation", ["small", "--data", data])
    err = capsys.readouterr().err
    assert "the first line (Hund, Maus) is read as the header; if it is a row, name the columns with" in err
    assert sum(len(load_pairs(data, split, "column 1", "column 2", False)) for split in SPLITS) == 41


def test_a_division_depends_on_the_groups_alone_and_leaves_no_split_empty():
    groups = [f"row {number}" for number in range(50)]
    of = {split: {groups[row] for row in divide(groups, split, "a")} for split in SPLITS}
    assert {split: {groups[::-1][row] for row in divide(groups[::-1], split, "b")} for split in SPLITS} == of
    assert [len(divide(groups[:3], split, "c")) for split in SPLITS] == [1, 1, 1]
    with pytest.raises(UsageError, match="2 groups of rows that belong together, in 3 rows"):
        divide(["a", "b", "a"], "train", "d")


def test_a_folder_with_a_named_held_out_split_is_not_divided(tmp_path):
    assert has_splits(fill(tmp_path, {"train.csv": csv_rows(), "test.csv": csv_rows()}))
    with pytest.raises(UsageError, match="no validation split"):
        load_pairs(str(tmp_path), "validation", "German", "English", False)


def test_a_saved_dataset_with_training_alone_is_divided(tmp_path):
    texts = {"a": list(map(str, range(30))), "b": list(map(str, range(30)))}
    DatasetDict(train=Dataset.from_dict(texts)).save_to_disk(str(tmp_path / "data"))
    assert [len(load_pairs(str(tmp_path / "data"), split, "a", "b", False)) for split in SPLITS] == [24, 3, 3]


@pytest.mark.parametrize("form", ["train/metadata.jsonl", "train/captions.txt", "texts beside"])
def test_media_in_a_folder_of_training_alone_are_divided(form, tmp_path):
    names = [f"{number}.npy" for number in range(10)]
    texts = {
        "train/metadata.jsonl": "".join(json.dumps({"file_name": name, "text": "c"}) + "\n" for name in names),
        "train/captions.txt": "".join(f"{name}\tc\n" for name in names),
    }
    beside = {f"train/{number}.txt": "c" for number in range(10)}
    fill(tmp_path, {f"train/{name}": "x" for name in names} | ({form: texts[form]} if form in texts else beside))
    for split, count in {"train": 8, "validation": 1, "test": 1}.items():
        assert len(read_captioned_images(str(tmp_path), split, "captions")) == count
        assert len(read_captioned_videos(str(tmp_path), split, "captions")) == count
        assert len(read_transcribed_speech(str(tmp_path), split, "text")) == count


@pytest.mark.parametrize(
    "names, guess",
    [
        (["de", "en"], ("de", "en")),
        (["fr", "en"], ("fr", "en")),
        (["id", "question", "answer", "score"], ("question", "answer")),
        (["Hund", "dog"], ("Hund", "dog")),
        (["summary", "text"], ("text", "summary")),
        (["a", "b", "c"], None),
        (["text"], None),
    ],
)
def test_source_and_target_are_guessed_by_their_names(names, guess):
    assert guess_pair(names, "de", "en") == guess


def test_data_without_a_preset_tell_the_preset_and_the_direction(tmp_path, capsys):
    data = str(fill(tmp_path, {"pairs.csv": csv_rows()}) / "pairs.csv")
    preset = choose_preset("translation", ["--data", data])
    config = preset.config
    told = capsys.readouterr().err
    assert (config.source, config.target) == ("German", "English")
    assert f"preset {preset.name}" in told and told.count("\n") == 1
    assert "German -> English, of id, German, English in" in told
    typed = ["tiny", "--data", data, "--source", "English", "--target", "German"]
    assert choose_preset("translation", typed).flags == typed[1:] and capsys.readouterr().err == ""
    assert choose_preset("translation", ["--data", data, "--source", "English"]).config.target == "German"


def test_every_column_of_a_csv_is_text_as_it_stands(tmp_path):
    table = ",code,date,text,\n1,007,2020-01-01,null,\n2,1.50,,NA,\n\n3,1e5,x\n"
    columns = read_file(fill(tmp_path, {"t.csv": table}) / "t.csv")[:]
    assert columns == {"code": ["007", "1.50", "1e5"], "date": ["2020-01-01", "", "x"], "text": ["null", "NA", ""]}
    dates = '{"text": "2020-01-01"}\n{"text": "12:30"}\n{"more": 1, "text": "null"}\n'
    assert read_file(fill(tmp_path, {"t.jsonl": dates}) / "t.jsonl")["text"] == ["2020-01-01", "12:30", "null"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.csv", "a,b\n1,2\n1,2,3\n", "t.csv, line 3: 3 fields where the header has 2"),
        ("t.csv", 'a,b\n1,"2\n', "not valid CSV"),
        ("t.csv", "a,a\n1,2\n", "two columns of the same name"),
        ("t.csv", "a\n1\nGr\xfc\xdfe\n".encode("latin-1"), "t.csv, line 3: not valid UTF-8; save"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "t.jsonl, line 2: not valid JSON"),
        ("t.jsonl", "[1]", "other JSON than objects"),
        ("t.jsonl", '{"a": 1}\n{"a": "b"}\n', "the column a can't be read"),
        ("t.jsonl", "", "t.jsonl is empty"),
        ("t.parquet", "PAR1", "not a readable Parquet file"),
        ("t.xlsx", "PK", "is no table; allowed are .jsonl"),
    ],
)
def test_a_broken_table_is_one_line_that_names_it(name, content, message, tmp_path):
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        read_table(str(fill(tmp_path, {name: content}) / name), "train")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_broken_saved_dataset_and_an_empty_folder_are_named(tmp_path):
    Dataset.from_dict({"a": ["x"] * 20}).save_to_disk(tmp_path / "saved")
    for file in (tmp_path / "saved").glob("*.arrow"):
        os.truncate(file, 100)
    with pytest.raises(UsageError, match="saved: it can't be read"):
        read_table(str(tmp_path / "saved"), "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: the folder is empty"):
        read_table(str(tmp_path / "empty"), "train")


def test_a_changed_table_is_read_anew_though_its_size_and_time_are_the_same(tmp_path):
    for text in ("old", "new"):
        fill(tmp_path / "data [v2]: ours", {"test.jsonl": json.dumps({"a": text})})
        os.utime(tmp_path / "data [v2]: ours" / "test.jsonl", (10**9, 10**9))
        assert read_table(str(tmp_path / "data [v2]: ours"), "test")["a"] == [text]


def test_the_key_of_a_file_changes_with_its_content_and_that_of_a_folder_with_its_files(tmp_path):
    keys = set()
    for text in ("old", "new"):
        file = fill(tmp_path / "frames", {"1.png": text}) / "1.png"
        os.utime(file, (10**9, 10**9))
        keys |= {cache.file_key(file), cache.file_key(file.parent) + " of the folder"}
    assert len(keys) == 4
    before = cache.file_key(tmp_path / "frames")
    fill(tmp_path / "frames", {".DS_Store": "x"})
    assert cache.file_key(tmp_path / "frames") == before


def test_a_cached_table_that_was_cut_is_computed_again(tmp_path):
    file = fill(tmp_path, {"a.txt": "x"}) / "a.txt"

    def lengths() -> list[int]:
        table = Dataset.from_dict({"text": ["a", "bb", "ccc"] * 500})
        return list(cache.map_files(table, lambda rows: {"n": list(map(len, rows["text"]))}, [file], "cut", b"")["n"])

    expected = lengths()
    cached = list(cache.cache_dir().glob("cut-*.arrow"))
    assert cached
    for path in cached:
        os.truncate(path, path.stat().st_size - 8)
    assert lengths() == expected


LATIN_1 = os.fsdecode(b"caf\xe9")  # as a file from an old archive is named


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names are always valid Unicode there")
@pytest.mark.parametrize("form", ["texts beside", "metadata"])
def test_files_whose_names_or_folders_are_not_utf_8_are_read_by_their_content(form, tmp_path):
    folder = tmp_path / LATIN_1
    media = [f"{LATIN_1}.npy" if form == "texts beside" else "a.npy", "b.npy"]
    texts = {"metadata.jsonl": "".join(json.dumps({"file_name": name, "text": "c"}) + "\n" for name in media)}
    if form == "texts beside":
        texts = {f"{LATIN_1}.txt": "c", "b.txt": "c"}
    fill(folder, dict(zip(media, ("first", "second"), strict=True)) | texts)
    for table, column in (
        (read_captioned_files(folder, "captions", (".npy",)), "source"),
        (read_audiofolder(folder, "text"), "audio"),
    ):
        assert table and sorted(file["bytes"] for file in table[column]) == [b"first", b"second"]
    cache.file_key(folder).encode("ascii")


def test_only_files_with_such_names_are_in_the_table_itself(tmp_path):
    file = fill(tmp_path, {"狗.wav": "x"}) / "狗.wav"
    assert file_source(file) == {"path": str(file), "bytes": None}
    missing = file_source(tmp_path / f"{LATIN_1}.wav")
    assert missing["bytes"] is None and missing["path"].endswith("caf\ufffd.wav")


def test_hidden_and_system_files_are_left_out(tmp_path):
    names = ["a.wav", "b/c.WAV", ".a.wav", "._a.wav", ".git/x.wav", "__MACOSX/a.wav", "Thumbs.db", "b/.DS_Store"]
    fill(tmp_path, dict.fromkeys(names, "x"))
    assert visible_files(tmp_path) == visible_files(tmp_path, ".wav") == [tmp_path / "a.wav", tmp_path / "b" / "c.WAV"]
    assert list(list_files([str(tmp_path)], Path.is_file)) == [str(tmp_path / name) for name in ("a.wav", "b/c.WAV")]
    (tmp_path / "empty").mkdir()
    name = str(tmp_path / "empty")
    empty = parse_file_input(name, {"path": name, "bytes": None}, lambda file, note: [])
    assert empty.problem == "is a folder without files"


def test_texts_are_divided_at_line_feeds_and_decoded_by_their_byte_order_mark(tmp_path):
    text = "one\x85still one\r\ntwo\u2028still two\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file = fill(tmp_path, {"t.txt": text.encode(encoding)}) / "t.txt"
        assert read_text_lines(file) == ["one\x85still one", "two\u2028still two"]
    with pytest.raises(UsageError, match="can't be read"):
        read_text(tmp_path / "nothing")


LISTINGS = {
    "Flickr, CSV": 'image,caption\n1.jpg,"A ""dog"", black"\n1.jpg,A cat\n2.jpg,"A man, a plan"\n',
    "Flickr, numbered": '1.jpg#0\tA "dog", black\n1.jpg#1\tA cat\n2.jpg#0\tA man, a plan\n',
    "Flickr30k": 'image_name| number| comment\n1.jpg| 0| A "dog", black\n1.jpg| 1| A cat\n2.jpg| 0| A man, a plan\n',
    "LJSpeech": '1|A "dog"|A "dog", black\n1|x|A cat\n2|x|A man, a plan\n',
    "spaces": '1 A "dog", black\n1 A cat\n2 A man, a plan\n',
}


@pytest.mark.parametrize("form", LISTINGS)
def test_listings_of_names_and_texts_are_read_in_every_form(form, tmp_path):
    media = [fill(tmp_path, {f"Images/{name}": ""}) / "Images" / name for name in ("1.jpg", "2.jpg")]
    found = read_listing(LISTINGS[form].split("\n"), MediaNames(tmp_path, (".jpg",)))
    assert found == {media[0]: ['A "dog", black', "A cat"], media[1]: ["A man, a plan"]}


TABLES_OF_FILES = {  # of more columns, in any order, with any text
    "columns after": ('image,caption,source\n1.jpg,"A ""dog"", black",web\n1.jpg,A cat,"x, y"\n', "captions.csv"),
    "columns before": ('source,Caption,IMAGE\nweb,"A ""dog"", black",1.jpg\n"x, y",A cat,1.jpg\n', "captions.csv"),
    "text file": ('image,caption,source\n1.jpg,"A ""dog"", black",web\n1.jpg,A cat,"x, y"\n', "captions.txt"),
    "tabs": ('file\tsource\ttext\n1.jpg\tweb\tA "dog", black\n1.jpg\tx, y\tA cat\n', "captions.tsv"),
    "tabs in a text file": ('file\tsource\ttext\n1.jpg\tweb\tA "dog", black\n1.jpg\tx, y\tA cat\n', "labels.txt"),
    "JSON": (
        '{"image": "1.jpg", "text": "A \\"dog\\", black"}\n{"image": "1.jpg", "text": "A cat"}\n',
        "metadata.jsonl",
    ),
}


@pytest.mark.parametrize("form", TABLES_OF_FILES)
def test_a_listing_with_a_header_is_a_table(form, tmp_path):
    content, name = TABLES_OF_FILES[form]
    fill(tmp_path, {"1.jpg": "", name: content})
    table = read_captioned_files(tmp_path, "captions", (".jpg",))
    assert table is not None and table["captions"][:] == [['A "dog", black', "A cat"]]


def test_a_quoted_text_of_a_listing_without_a_header_ends_at_its_quotation_mark(tmp_path):
    fill(tmp_path, {"1.jpg": "", "2.jpg": ""})
    found = read_listing(['1.jpg,"A ""dog"", black",web', "2.jpg,A cat, too"], MediaNames(tmp_path, (".jpg",)))
    assert list(found.values()) == [['A "dog", black'], ["A cat, too"]]


def test_a_name_of_several_files_is_reported_and_a_path_is_not(tmp_path):
    fill(tmp_path, {"a/0.jpg": "", "b/0.jpg": "", "c/1.jpg": "", "1.jpg": ""})
    for listing in ("captions.txt", "captions.csv"):
        fill(tmp_path, {listing: "image,caption\n1.jpg,x\nc/1.jpg,y\na/0.jpg,z\n"})
        paths = [file["path"] for file in read_captioned_files(tmp_path, "captions", (".jpg",))["source"]]
        assert paths == [str(tmp_path / name) for name in ("1.jpg", "c/1.jpg", "a/0.jpg")]
        fill(tmp_path, {listing: "image,caption\n1.jpg,x\n0.jpg,z\n"})
        with pytest.raises(UsageError, match=r"0\.jpg may be a/0\.jpg or b/0\.jpg"):
            read_captioned_files(tmp_path, "captions", (".jpg",))
        (tmp_path / listing).unlink()


ROWS_OF_FILES = [("a cat", "1.jpg"), ("a dog", "sub/2.jpg"), ("1", "missing.jpg")]  # captions and names


@pytest.mark.parametrize("listing", ["train/metadata.csv", "train/metadata.jsonl", "train.csv", "train.jsonl"])
def test_a_column_of_files_with_an_unusual_name_is_found_by_the_files_that_it_names(listing, tmp_path, capsys):
    names = ("no", "title", "img_location")
    rows = [dict(zip(names, ("7", *row), strict=True)) for row in ROWS_OF_FILES]
    if listing.endswith(".csv"):
        content = "".join(f"{','.join(row)}\n" for row in [names, *(each.values() for each in rows)])
    else:
        content = "".join(f"{json.dumps(row)}\n" for row in rows)
    place = (tmp_path / listing).parent
    fill(tmp_path, {listing: content, listing.replace("train", "val"): content})
    fill(place, {"1.jpg": "", "sub/2.jpg": ""})
    table = read_captioned_images(str(tmp_path), "train", "title")
    assert [file["path"] for file in table["source"]] == [str(place / name) for _, name in ROWS_OF_FILES]
    assert table["captions"][:] == [["a cat"], ["a dog"], ["1"]]
    assert "the names of files are in the column img_location" in capsys.readouterr().err


@pytest.mark.parametrize("listing", ["train/metadata.csv", "train.csv"])
def test_a_table_whose_columns_name_hardly_any_file_is_refused(listing, tmp_path):
    fill(tmp_path, {listing: f"title,img\nx,1.jpg\ny,2.jpg\n{'z' * 300},3.jpg\n"})
    fill((tmp_path / listing).parent, {"1.jpg": ""})
    fill(tmp_path, {listing.replace("train", "val"): "title,img\nx,1.jpg\n"})
    with pytest.raises(UsageError, match=r"none with the names of files.*; it has title, img"):
        read_captioned_images(str(tmp_path), "train", "title")


def test_a_first_line_of_a_file_that_is_missing_is_no_header(tmp_path):
    names = MediaNames(fill(tmp_path, {"2.jpg": ""}), (".jpg",))
    assert list(read_listing(["1.jpg\tone", "2.jpg\ttwo"], names)) == [tmp_path / "1.jpg", tmp_path / "2.jpg"]
    assert list(read_listing(["name\ttext", "2.jpg\ttwo"], names)) == [tmp_path / "2.jpg"]


def test_a_listing_names_files_that_are_missing_and_texts_lie_beside_files(tmp_path):
    fill(tmp_path / "a", {"1.jpg": "", "captions.txt": "1.jpg\tone\n3.jpg\tthree\n"})
    assert read_texts(tmp_path / "a", (".jpg",)) == (
        [tmp_path / "a" / name for name in ("1.jpg", "3.jpg")],
        [["one"], ["three"]],
    )
    fill(tmp_path / "b", {"x/1.jpg": "", "x/1.txt": "one \n\nuno\n", "2.jpg": ""})
    assert read_texts(tmp_path / "b", (".jpg",)) == (
        [tmp_path / "b" / name for name in ("2.jpg", "x/1.jpg")],
        [[], ["one", "uno"]],
    )
    assert read_texts(fill(tmp_path / "c", {"1.jpg": "", "notes.txt": "1.jpg\tone"}), (".jpg",)) is None


def test_files_of_tables_are_found_also_with_backslashes_and_in_folders_inside(tmp_path):
    fill(tmp_path, {"images/0.png": "", "clips/a.mp3": "", "metadata.csv": "file_name,text\nimages\\0.png,x\n"})
    names = MediaNames(tmp_path, (".png", ".mp3"))
    found = [names.locate(name) for name in ("images\\0.png", "a.mp3", "b.mp3")]
    assert found == [tmp_path / name for name in ("images/0.png", "clips/a.mp3", "b.mp3")]
    assert read_listed_table(tmp_path, (".png",))[0] == [tmp_path / "images" / "0.png"]
