"""Tasks from text to text: settings, truncation, inputs of predict."""

import dataclasses
import io
import json
import os
from collections.abc import Iterator

import pytest

from encoders.config import RecurrentEncoderConfig, TransformerEncoderConfig
from tasks.common.config import config_from_dict
from tasks.common.data.config import BatchConfig
from tasks.common.data.inputs import ParsedInput
from tasks.common.data.text_inputs import exists
from tasks.common.inference.input_kinds import parse_listed
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig, TextTaskConfig
from tasks.translation import Config
from tasks.translation.task import Translation as Task

SENTENCES = ["ein Hund", "zwei kleine Hunde"]


def parse(task: Task, arguments: list[str]) -> Iterator[ParsedInput]:
    return (parse_listed(task, listed) for listed in task.list_inputs(arguments))


def make_task(max_source_tokens: int = 0) -> Task:
    encoder = TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=4), max_source_tokens=max_source_tokens)
    task = Task(Config(vocabulary=VocabularyConfig(kind="word", size=100, min_frequency=1), encoder=encoder))
    task.fit(task.load("validation").select(range(20)))
    return task


def test_the_dropout_of_a_text_encoder_is_that_of_its_sequence_encoder():
    assert TextEncoderConfig().sequence.dropout == 0.3
    encoder = make_task().build_encoder()
    assert encoder.dropout.p == RecurrentEncoderConfig().dropout == 0.2  # type: ignore[union-attr]


def test_settings_of_an_encoder_survive_json(tmp_path):
    config = Config(encoder=TextEncoderConfig(TransformerEncoderConfig(num_heads=2), embedding_dim=8))
    assert config_from_dict(Config, json.loads(json.dumps(dataclasses.asdict(config))), tmp_path) == config


@pytest.mark.parametrize("settings", [{"embedding_dim": 0}, {"max_source_tokens": -1}])
def test_invalid_settings_of_the_encoder_are_named(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"encoder.{name} is"):
        TextEncoderConfig(**settings)


def test_truncated_sources_must_be_short_enough_for_training():
    for count, is_valid in ((255, True), (256, False)):
        settings = {"encoder": TextEncoderConfig(max_source_tokens=count), "batch": BatchConfig(max_source_length=256)}
        if is_valid:
            TextTaskConfig(**settings)
            continue
        with pytest.raises(ValueError, match=r"encoder\.max_source_tokens is 256 and batch\.max_source_length 256"):
            TextTaskConfig(**settings)


@pytest.mark.parametrize("side, part", [("right", slice(2)), ("left", slice(-2, None))])
def test_long_sources_are_truncated_on_their_side(side, part, monkeypatch):
    task = make_task(max_source_tokens=2)
    monkeypatch.setattr(task, "truncation_side", side)
    (source,) = task.load("validation")["source"][:1]
    assert task.source_token_ids([source]) == [task.source_tokenizer.encode([source])[0][part]]
    assert task.source_lengths([source]) == [3] and task.collate_sources([source], training=False).values.shape == (
        1,
        3,
    )


@pytest.mark.parametrize("one_input_per_file", [False, True])
def test_a_file_is_one_input_or_one_for_each_line(one_input_per_file, monkeypatch, tmp_path):
    task = make_task()
    monkeypatch.setattr(task, "one_input_per_file", one_input_per_file)
    file = tmp_path / "input.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "\n".join(SENTENCES).encode() + b"\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    expected = ["\n".join(SENTENCES)] if one_input_per_file else SENTENCES
    for argument in (str(file), "-"):
        assert [segment.source for each in parse(task, [argument]) for segment in each.segments] == expected


@pytest.mark.parametrize("one_input_per_file", [False, True])
def test_files_without_texts_are_named_and_the_others_used(one_input_per_file, monkeypatch, tmp_path):
    task = make_task()
    monkeypatch.setattr(task, "one_input_per_file", one_input_per_file)
    (tmp_path / "empty.txt").write_bytes(b"\xef\xbb\xbf")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    empty = str(tmp_path / "empty.txt")
    first, no_text, closed, folder, last = parse(task, ["x", empty, "-", str(tmp_path), " "])
    assert first.problem is None and closed.name == "standard input"
    assert no_text.problem == closed.problem == "is empty: there is no input in it"
    assert folder.problem == "is a folder: name the files in it"
    assert no_text.name == empty and last.notes == ["is empty"]
    assert [each.is_named for each in (first, no_text, closed, folder, last)] == [False, True, True, True, False]


def test_files_of_texts_are_read_when_they_are_due_and_counted_without(monkeypatch, tmp_path):
    task = make_task()
    later = tmp_path / "later.txt"
    later.write_text("eins")
    parsed = parse(task, [SENTENCES[0], str(later)])
    assert next(iter(parsed)).name == SENTENCES[0]
    later.write_text("zwei\ndrei")
    assert [each.name for each in parsed] == ["zwei", "drei"]
    assert task.count_inputs(["a", "b"]) == 2
    assert task.count_inputs(["a", str(later)]) is None  # its lines are not counted
    monkeypatch.setattr(task, "one_input_per_file", True)
    assert task.count_inputs(["a", str(later)]) == 2


def test_unusable_inputs_have_no_segments_and_odd_ones_have_notes(capsys):
    task = make_task()
    texts = [SENTENCES[0], " ", "xyz", "ein " * 300, os.fsdecode(b"caf\xe9")]
    first, empty, unknown, long, latin = parse(task, texts)
    assert [len(each.segments) for each in (first, empty, unknown, long, latin)] == [1, 0, 1, 1, 0]
    assert empty.problem is None and empty.notes == ["is empty"]
    assert latin.problem == "is not valid UTF-8"
    assert unknown.notes == ["has no word of the vocabulary: its output is meaningless"]
    assert long.notes[0] == "has 300 tokens, and sources in training had at most 256: divide it into parts"
    assert capsys.readouterr().err == ""  # what becomes of an input without a sentence is up to the caller


def test_a_pipe_is_a_file_and_a_folder_is_not_taken_for_a_text(tmp_path):
    assert exists(str(tmp_path))
    assert exists(os.devnull) or os.name == "nt"
    assert not exists(".") and not exists("a b" * 5000)
