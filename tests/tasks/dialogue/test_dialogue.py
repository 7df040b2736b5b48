"""Dialogue: exchanges out of conversations, every format of them, and a conversation on the terminal."""

import io
import json
from pathlib import Path

import pytest

import run
from tasks.common.errors import UsageError
from tasks.dialogue import Config, Task
from tasks.dialogue.data import chatterbot, conversations, load_exchanges

TALK = ["Hi there", "Hello", "How are you?", "Fine"]
OTHER = ["Hi there", "Good day"]


def write(folder, talks, name="dialog") -> str:
    text = "".join(json.dumps({name: talk}) + "\n" for talk in talks)
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(text)
    return str(folder)


def test_a_reply_is_written_from_the_last_turns_before_it(tmp_path):
    data = write(tmp_path, [TALK])
    found = load_exchanges(data, "train", "", "dialog", 2, False, False)
    assert found["source"] == ["Hi there", "Hi there ¶ Hello", "Hello ¶ How are you?"]
    assert found["target"] == TALK[1:]


def test_backward_it_is_the_other_way_round(tmp_path):
    data = write(tmp_path, [TALK])
    forward, backward = (load_exchanges(data, "train", "", "dialog", 2, way, False) for way in (False, True))
    assert backward["source"] == forward["target"] and backward["target"] == forward["source"]


def test_all_replies_to_the_same_are_references_and_each_is_learned(tmp_path):
    data = write(tmp_path, [TALK, OTHER, OTHER])
    train, test = (load_exchanges(data, split, "", "dialog", 1, False, False) for split in ("train", "test"))
    assert [row["target"] for row in train if row["source"] == "Hi there"] == ["Hello", "Good day"]
    (row,) = [row for row in test if row["source"] == "Hi there"]
    assert row["target"] == "Hello" and row["references"] == ["Hello", "Good day"]


def test_daily_dialogs_own_files_are_read(tmp_path):
    for split in ("train", "validation", "test"):
        (tmp_path / split).mkdir()
        lines = "Say , Jim . __eou__ You know . __eou__ \nWhat ? __eou__ No . __eou__\n"
        (tmp_path / split / f"dialogues_{split}.txt").write_text(lines)
    found = load_exchanges(str(tmp_path), "validation", "", "dialog", 3, False, False)
    assert found["source"] == ["Say , Jim .", "What ?"] and found["target"] == ["You know .", "No ."]


def test_cornells_films_are_split_as_a_whole(tmp_path):
    sign = " +++$+++ "
    films = [f"m{number}" for number in range(60)]
    lines = [
        sign.join((f"L{render_clip}{part}", "u0", render_clip, "X", f"{render_clip} says {part}"))
        for render_clip in films
        for part in "ab"
    ]
    talks = [sign.join(("u0", "u2", render_clip, f"['L{render_clip}a', 'L{render_clip}b']")) for render_clip in films]
    (tmp_path / "movie_lines.txt").write_text("\n".join(lines), encoding="latin-1")
    (tmp_path / "movie_conversations.txt").write_text("\n".join(talks), encoding="latin-1")
    splits = [
        load_exchanges(str(tmp_path), split, "", "", 3, False, False) for split in ("train", "validation", "test")
    ]
    assert sum(map(len, splits)) == 60 and min(map(len, splits)) > 0
    assert splits[0][0]["target"] == splits[0][0]["source"].replace("says a", "says b")


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_corpus_of_conversations_is_there_in_several_languages(language):
    assert len(chatterbot(language)) > 300
    begins = [{talk[0].lower() for talk in conversations(None, split, language, "")} for split in ("train", "test")]
    assert all(begins) and not begins[0] & begins[1]


@pytest.mark.parametrize(
    "talks, choices, message",
    [
        ([TALK, ["Hi", ""], [None, "x"]], {}, r"2 of 3 rows are invalid: row 2 \(turn 2\) is empty; row 3 \(turn 1\)"),
        ([["alone"]], {}, "no conversation has two turns"),
        ([TALK], {"column": "turns"}, "unknown column 'turns'.*--turns-column"),
    ],
)
def test_what_is_wrong_with_conversations_is_told_at_once(talks, choices, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        Task(Config(data=write(tmp_path, talks), **choices)).load("train")


def test_a_language_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="unknown language 'englisch'; did you mean 'english'"):
        Task(Config(language="englisch")).load("train")
    with pytest.raises(ValueError, match="turns is 0; allowed is 1 or more"):
        Config(turns=0)


def test_diversity_tells_replies_that_are_all_alike():
    task = Task(Config())
    alike, varied = task.diversity(["I do not know ."] * 4), task.diversity(["Yes", "No", "Why not ?", "Well"])
    assert alike["distinct-1"] < varied["distinct-1"] and alike["different replies"] == 25.0
    assert alike["words a reply"] == 4.0


# ── As it is used ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[str, str]:
    """A run, and one of the other direction."""
    folder = tmp_path_factory.mktemp("talk")
    data = write(folder, [TALK, OTHER] * 4)
    places = str(folder / "run"), str(folder / "back")
    for place, flags in zip(places, ([], ["--backward"]), strict=True):
        choices = ["--train.epochs", "60", "--vocabulary.size", "320", "--context-turns", "2", *flags]
        run.main(["dialogue", "train", "tiny", "--data", data, "--run", place, *choices])
    return places


def test_what_was_seen_is_answered_with_its_context_in_mind(runs, capsys, tmp_path):
    typed = tmp_path / "talk.txt"
    typed.write_text("Hello\nHow are you?\n")
    capsys.readouterr()
    run.main(["dialogue", "predict", runs[0], str(typed), "Hi there\nHello"])
    assert capsys.readouterr().out.split("\n") == ["Fine", "How are you?", ""]


def test_evaluation_tells_diversity_and_takes_a_model_that_ranks(runs, capsys):
    run.main(["dialogue", "evaluate", runs[0], "--rerank", runs[1], "--rerank-weight", "0.3"])
    out = capsys.readouterr().out
    assert "distinct-1" in out and "perplexity" in out and "bleu" in out


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--rerank", "RUN"], "a run of the other direction is needed"),
        (["--rerank", "BACK", "--rerank-weight", "2"], "--rerank-weight is 2.0; allowed is 0 to 1"),
    ],
)
def test_only_a_model_of_the_other_direction_ranks(flags, message, runs, capsys):
    names = dict(zip(("RUN", "BACK"), runs, strict=True))
    with pytest.raises(SystemExit):
        run.main(["dialogue", "evaluate", runs[0], *(names.get(flag, flag) for flag in flags)])
    assert message in capsys.readouterr().err


def test_a_conversation_on_the_terminal_has_a_history_and_an_end(runs, capsys, monkeypatch):
    typed = b"Hello\nHow are you?\n\nHi there\n\xff\nquit\nnever read\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
    capsys.readouterr()
    run.main(["dialogue", "chat", runs[0]])
    out, err = capsys.readouterr()
    replies = out.split("\n")
    assert len(replies) == 4 and replies[2] in TALK + OTHER and replies[3] == ""
    assert "(a new conversation)" in err and "not valid UTF-8" in err


def test_the_history_is_what_both_have_said(runs, monkeypatch):
    from tasks.common.inference.evaluation import Predictor
    from tasks.common.inference.loading import load_runs
    from tasks.dialogue.chat import replies

    seen: list[str] = []
    writer = load_runs("dialogue", [Path(runs[0])])
    write_one = Predictor.write

    def spy(self, sources, config):
        seen.extend(sources)
        return write_one(self, sources, config)

    monkeypatch.setattr(Predictor, "write", spy)
    first, second, _ = replies(writer, iter(["Hi there", "How are you?", "", "Hello"]), writer.task.config.search)
    assert seen == ["Hi there", f"{first} ¶ How are you?", "Hello"]
    assert second


def test_chat_belongs_to_dialogue_alone(capsys):
    with pytest.raises(SystemExit):
        run.main(["translation", "chat", "x"])
    assert "unknown command 'chat'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["dialogue", "chat"])
    assert "chat needs the folder of a run" in capsys.readouterr().err
