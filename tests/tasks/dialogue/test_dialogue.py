"""Dialogue: exchanges from conversations of all formats, and a conversation on the terminal."""

import io
import json
import shutil
from pathlib import Path

import pytest

from tasks import run
from tasks.common.errors import UsageError
from tasks.common.inference.domain import QUANTILES, Domain, measure
from tasks.common.inference.loading import load_runs
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.reranking import is_reverse_of
from tasks.common.metrics.base import SelectionMetric
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.dialogue import Config
from tasks.dialogue.chat import generate_replies
from tasks.dialogue.data import load_exchanges, read_chatterbot, read_conversations
from tasks.dialogue.task import Dialogue as Task

TALK = ["Hi there", "Hello", "How are you?", "Fine"]
OTHER = ["Hi there", "Good day"]


def save_table(folder, conversations, name="dialog") -> str:
    text = "".join(json.dumps({name: turns}) + "\n" for turns in conversations)
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(text)
    return str(folder)


def test_the_source_is_the_last_turns_before_the_reply(tmp_path):
    data = save_table(tmp_path, [TALK])
    examples = load_exchanges(data, "train", context_turns=2)
    assert examples["source"] == ["Hi there", "Hi there ¶ Hello", "Hello ¶ How are you?"]
    assert examples["target"] == TALK[1:]


def test_test_inputs_are_conversations_as_a_user_types_them(tmp_path):
    task = Task(Config(data=save_table(tmp_path, [TALK]), context_turns=2))
    inputs = task.builtin_inputs(3)
    assert [each.value for each in inputs] == ["Hi there", "Hi there\nHello", "Hello\nHow are you?"]
    assert [each.reference for each in inputs] == TALK[1:]
    assert [task.parse_source(each.value) for each in inputs] == task.load("test")["source"]


def test_backward_exchanges_source_and_target(tmp_path):
    data = save_table(tmp_path, [TALK])
    forward, backward = (
        load_exchanges(data, "train", context_turns=2, backward=backward) for backward in (False, True)
    )
    assert backward["source"] == forward["target"] and backward["target"] == forward["source"]


def test_all_replies_to_a_context_are_references_and_each_is_trained_on(tmp_path):
    data = save_table(tmp_path, [TALK, OTHER, OTHER])
    train, test = (load_exchanges(data, split, context_turns=1) for split in ("train", "test"))
    assert [row["target"] for row in train if row["source"] == "Hi there"] == ["Hello", "Good day"]
    (row,) = [row for row in test if row["source"] == "Hi there"]
    assert row["target"] == "Hello" and row["references"] == ["Hello", "Good day"]


def test_daily_dialog_files_are_read(tmp_path):
    for split in ("train", "validation", "test"):
        (tmp_path / split).mkdir()
        lines = "Say , Jim . __eou__ You know . __eou__ \nWhat ? __eou__ No . __eou__\n"
        (tmp_path / split / f"dialogues_{split}.txt").write_text(lines)
    examples = load_exchanges(str(tmp_path), "validation")
    assert examples["source"] == ["Say , Jim .", "What ?"] and examples["target"] == ["You know .", "No ."]


def test_a_movie_of_cornell_is_in_one_split(tmp_path):
    separator = " +++$+++ "
    movies = [f"m{number}" for number in range(60)]
    lines = [
        separator.join((f"L{movie}{part}", "u0", movie, "X", f"{movie} says {part}"))
        for movie in movies
        for part in "ab"
    ]
    conversations = [separator.join(("u0", "u2", movie, f"['L{movie}a', 'L{movie}b']")) for movie in movies]
    (tmp_path / "movie_lines.txt").write_text("\n".join(lines), encoding="latin-1")
    (tmp_path / "movie_conversations.txt").write_text("\n".join(conversations), encoding="latin-1")
    splits = [load_exchanges(str(tmp_path), split) for split in ("train", "validation", "test")]
    assert sum(map(len, splits)) == 60 and min(map(len, splits)) > 0
    assert splits[0][0]["target"] == splits[0][0]["source"].replace("says a", "says b")


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_chatterbot_corpus_has_several_languages(language):
    assert len(read_chatterbot(language)) > 300
    train, test = (read_conversations(None, split, language, "") for split in ("train", "test"))
    first_turns = [{str(turns[0]).lower() for turns in conversations.values()} for conversations in (train, test)]
    assert all(first_turns) and not first_turns[0] & first_turns[1]


@pytest.mark.parametrize(
    "conversations, settings, message",
    [
        ([TALK, ["Hi", ""], [None, "x"]], {}, r"2 of 3 rows are invalid: row 2 \(turn 2\) is empty; row 3 \(turn 1\)"),
        ([["alone"]], {}, "no conversation has two turns"),
        ([TALK], {"turns_column": "turns"}, "unknown column 'turns'.*--turns-column"),
    ],
)
def test_invalid_conversations_are_reported_together(conversations, settings, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        Task(Config(data=save_table(tmp_path, conversations), **settings)).load("train")


def test_an_unknown_language_and_an_invalid_number_of_turns_are_refused():
    with pytest.raises(UsageError, match="unknown language 'englisch'; did you mean 'english'"):
        Task(Config(language="englisch")).load("train")
    with pytest.raises(ValueError, match="context_turns is 0; allowed is 1 or more"):
        Config(context_turns=0)


def test_diversity_is_low_for_equal_replies():
    report = Task(Config()).report
    equal, varied = report.diversity(["I do not know ."] * 4), report.diversity(["Yes", "No", "Why not ?", "Well"])
    assert equal["distinct-1"] < varied["distinct-1"] and equal["distinct replies"] == 25.0
    assert equal["words per reply"] == 4.0


def test_the_loss_selects_the_checkpoint():
    assert Task(Config()).selection_metric == SelectionMetric("nll", higher_is_better=False)


def test_a_backward_task_is_the_reverse_of_one_with_the_same_data_and_context():
    forward = Task(Config())
    assert is_reverse_of(Task(Config(backward=True)), forward)
    assert not is_reverse_of(Task(Config()), forward)
    for other in ({"language": "french"}, {"context_turns": 1}, {"data": "x"}):
        assert not is_reverse_of(Task(Config(backward=True, **other)), forward)


def test_the_column_of_turns_is_unused_without_data():
    assert Config().unused_settings()["turns_column"] == "data is not set"
    assert Config().unused_settings()["skip_invalid"] == "data is not set"
    assert {"turns_column", "skip_invalid"}.isdisjoint(Config(data="x").unused_settings())


def test_a_long_context_keeps_its_last_tokens(tmp_path):
    data = save_table(tmp_path, [TALK])
    task = Task(
        Config(data=data, vocabulary=VocabularyConfig(kind="word"), encoder=TextEncoderConfig(max_source_tokens=2))
    )
    task.fit(task.load("train"))
    whole = task.source_tokenizer.encode(["Hi there ¶ Hello"])[0]
    assert task.source_token_ids(["Hi there ¶ Hello"]) == [whole[-2:]]


# ── Command line ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[str, str]:
    """Train a run, and a run of the opposite direction."""
    folder = tmp_path_factory.mktemp("dialogue")
    data = save_table(folder, [TALK, OTHER] * 4)
    folders = str(folder / "run"), str(folder / "backward")
    for run_folder, direction in zip(folders, ([], ["--backward"]), strict=True):
        flags = ["--train.epochs", "15", "--batch.max-sources", "1", "--vocabulary.size", "320", "--context-turns", "2"]
        flags += direction
        run.main(["dialogue", "train", "tiny", "--data", data, "--run", run_folder, *flags])
    return folders


def test_training_conversations_are_answered_by_their_context(runs, capsys, tmp_path):
    conversation = tmp_path / "conversation.txt"
    conversation.write_text("Hello\nHow are you?\n")
    capsys.readouterr()
    run.main(["dialogue", "predict", runs[0], str(conversation), "Hi there\nHello"])
    assert capsys.readouterr().out.split("\n") == ["Fine", "How are you?", ""]


def test_evaluation_reports_diversity_and_accepts_a_reranker(runs, capsys):
    run.main(["dialogue", "evaluate", runs[0], "--rerank", runs[1], "--rerank-weight", "0.3"])
    out = capsys.readouterr().out
    assert "distinct-1" in out and "perplexity" in out and "bleu" in out


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--rerank", "RUN"], "a run of the opposite direction is needed"),
        (["--rerank", "BACKWARD", "--rerank-weight", "2"], "--rerank-weight is 2.0; allowed is 0 to 1"),
    ],
)
def test_only_a_run_of_the_opposite_direction_reranks(flags, message, runs, capsys):
    names = dict(zip(("RUN", "BACKWARD"), runs, strict=True))
    with pytest.raises(SystemExit):
        run.main(["dialogue", "evaluate", runs[0], *(names.get(flag, flag) for flag in flags)])
    assert message in capsys.readouterr().err


def test_chat_keeps_a_history_until_an_empty_line_and_ends_at_quit(runs, capsys, monkeypatch):
    typed = b"Hello\nHow are you?\n\nHi there\n\xff\nquit\nnever read\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
    capsys.readouterr()
    run.main(["dialogue", "chat", runs[0]])
    out, err = capsys.readouterr()
    replies = out.split("\n")
    assert len(replies) == 4 and replies[2] in TALK + OTHER and replies[3] == ""
    assert "(a new conversation)" in err and "not valid UTF-8" in err


def test_chat_says_which_turns_are_far_from_the_training_data(runs, capsys, monkeypatch, tmp_path):
    shutil.copytree(runs[0], tmp_path / "run")
    predictor = load_runs("dialogue", [tmp_path / "run"])
    turns = ["Hello", "How are you?"]
    measured = measure(predictor, turns, predictor.task.source_lengths(turns))
    far, near = sorted(each.log_prob for each in measured)
    assert far < near
    quantiles = dict(zip(map(str, QUANTILES), [far, *[(near + far) / 2] * 3, near], strict=True))
    Domain(500, quantiles, max_unknown=1.0).save(tmp_path / "run")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n\n".join(turns).encode())))
    capsys.readouterr()
    run.main(["dialogue", "chat", str(tmp_path / "run")])
    out, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if "far from what" in line)
    assert line.startswith("your turn is far from") and f"sentence {far:.2f} nats per token" in line
    assert len(out.splitlines()) == 2


def test_chat_refuses_a_closed_standard_input_in_a_line(runs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SystemExit) as caught:
        run.main(["dialogue", "chat", runs[0]])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: standard input is closed: chat reads your turns from it\n"


def test_the_history_of_a_chat_includes_the_replies(runs, monkeypatch):
    seen: list[str] = []
    predictor = load_runs("dialogue", [Path(runs[0])])
    generate = Predictor.generate

    def spy(self, sources, config):
        seen.extend(sources)
        return generate(self, sources, config)

    monkeypatch.setattr(Predictor, "generate", spy)
    first, second, _ = generate_replies(
        predictor, iter(["Hi there", "How are you?", "", "Hello"]), predictor.task.config.search
    )
    assert seen == ["Hi there", f"{first} ¶ How are you?", "Hello"]
    assert second


def test_chat_is_a_command_of_dialogue_only(capsys):
    with pytest.raises(SystemExit):
        run.main(["translation", "chat", "x"])
    assert "unknown command 'chat'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["dialogue", "chat"])
    assert "chat needs a run folder" in capsys.readouterr().err
