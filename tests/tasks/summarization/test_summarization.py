"""Summarization: docstrings as data, and documents of any length."""

import json

import pytest

from tasks import run
from tasks.common.errors import UsageError
from tasks.common.text.words import split_words
from tasks.summarization import PRESETS, Config
from tasks.summarization.docstrings import load_docstrings, parse_docstrings
from tasks.summarization.task import Summarization as Task

CODE = '''
"""Short module line.

Long enough text that tells about the module in more than ten words, surely."""

def one():
    """Do one thing with care.

    The rest of it goes over
    several lines, and has a good number of words in it.
    """

def two():
    """A first line that goes on
    in the second one is no summary.

    Whatever comes behind it in however many words there may be of them."""

class Three:
    """Too short.

    The rest would be long enough by any measure that one could think of here."""
'''
PACKAGES = PRESETS["tiny"]().packages


def test_the_first_line_of_a_docstring_is_its_summary():
    pairs = parse_docstrings(CODE.encode())
    assert [target for _, target in pairs] == ["Short module line.", "Do one thing with care."]
    assert pairs[1][0] == "The rest of it goes over several lines, and has a good number of words in it."


@pytest.mark.parametrize("code", [b"def (", b"\0\1\2", b"\xff\xfe", b""])
def test_invalid_python_has_no_docstrings(code):
    assert parse_docstrings(code) == []


def test_splits_share_no_text():
    splits = {split: load_docstrings(split, PACKAGES) for split in ("train", "validation", "test")}
    texts = {split: set(examples["source"]) for split, examples in splits.items()}
    assert min(map(len, texts.values())) > 5
    assert not texts["train"] & (texts["validation"] | texts["test"]) and not texts["validation"] & texts["test"]


def test_packages_that_are_missing_or_too_few_are_refused():
    with pytest.raises(UsageError, match="unknown package 'ritch'; did you mean 'rich'"):
        load_docstrings("train", ["ritch"])
    with pytest.raises(UsageError, match="leave nothing for test"):
        load_docstrings("test", ["jiwer"])
    with pytest.raises(UsageError, match="leave nothing for train"):
        load_docstrings("train", ["_soundfile_data"])  # it has no docstrings


def test_the_lead_has_the_mean_number_of_words_of_the_references():
    task = Task(PRESETS["tiny"]())
    examples = task.load("validation")
    lead = task.report.baselines(examples)["lead"]
    mean = sum(len(split_words(target)) for target in examples["target"]) / len(examples)
    assert all(source.startswith(line) for source, line in zip(examples["source"], lead, strict=True))
    assert {len(split_words(line)) for line in lead} == {round(mean)}


def test_long_documents_are_truncated_to_their_beginning():
    task = Task(PRESETS["tiny"]())
    task.fit(task.load("validation"))
    limit = task.config.encoder.max_source_tokens
    text = "a word and another one " * 5000
    assert task.source_lengths([text, "a word"]) == [limit + 1, len(task.source_tokenizer.encode(["a word"])[0]) + 1]
    assert task.source_token_ids([text])[0] == task.source_tokenizer.encode([text])[0][:limit]


def test_it_trains_evaluates_and_predicts_from_tables(tmp_path, capsys):
    rows = [
        {"article": f"{word} " * 12 + "and so on.", "summary": f"About {word}."} for word in ("cats", "dogs", "owls")
    ]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 4))
    run_folder = tmp_path / "run"
    flags = ["--data", str(tmp_path), "--source", "article", "--vocabulary.size", "320"]
    run.main(["summarization", "train", "tiny", *flags, "--run", str(run_folder)])
    run.main(["summarization", "evaluate", str(run_folder)])
    report = json.loads((run_folder / "evaluation" / "test.json").read_text())
    assert {"rouge1", "rouge2", "rougeL", "length_ratio", "novel_1grams"} <= set(report["metrics"])
    assert report["baselines"]["lead"]["rougeL"] > 0
    document, binary = tmp_path / "document.txt", tmp_path / "binary"
    document.write_text("cats cats\ncats and so on.\n" * 4000)  # 100 kB, in many lines, is one document
    binary.write_bytes(bytes(range(256)))
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        run.main(["summarization", "predict", str(run_folder), str(document), str(binary), "", "猫 cats кошки"])
    out, err = capsys.readouterr()
    lines = out.split("\n")
    assert len(lines) == 5 and lines[0] and not lines[1] and not lines[2]
    assert "input 2 contains a NUL character" in err and "input 3 is empty" in err


def test_unknown_columns_are_named(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text('{"text": "x", "title": "y"}\n')
    with pytest.raises(UsageError, match=r"unknown column 'document'; .*text, title"):
        Task(Config(data=str(tmp_path))).load("train")


def test_settings_of_the_other_kind_of_data_are_unused():
    docstrings, tables = Config().unused_settings(), Config(data="x").unused_settings()
    for name in ("source", "target", "skip_invalid"):
        assert docstrings[name] == "data is not set" and name not in tables
    assert tables["packages"] == "data is set" and "packages" not in docstrings
