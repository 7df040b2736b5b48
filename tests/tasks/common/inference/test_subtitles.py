"""Subtitles: words in cues that can be read, in SubRip and WebVTT."""

import random
from itertools import pairwise

import pytest

from tasks.common.inference.subtitles import Cue, format_subtitles, make_cues, width
from tasks.common.inference.word_times import Word

CUES = [Cue(0.0, 1.5, ["one"]), Cue(3599.9996, 3661.25, ["two", "three"])]


def spoken(text: str, word_s: float = 0.3, start: float = 0.0) -> list[Word]:
    """Time words one after another; | is a pause of a second."""
    words: list[Word] = []
    for word in text.split():
        if word == "|":
            start += 1.0
        else:
            words.append(Word(word, start, start + word_s))
            start += word_s
    return words


def texts(cues: list[Cue]) -> list[str]:
    return [" ".join(cue.lines) for cue in cues]


def test_subrip_counts_its_cues():
    assert format_subtitles(CUES, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\none\n\n2\n01:00:00,000 --> 01:01:01,250\ntwo\nthree"
    )


def test_webvtt_has_a_header_and_decimal_points():
    assert format_subtitles(CUES, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\none\n\n2\n01:00:00.000 --> 01:01:01.250\ntwo\nthree"
    )
    assert format_subtitles([], "vtt") == "WEBVTT"
    assert format_subtitles([], "srt") == ""


def test_markup_and_arrows_in_speech_stay_text():
    cues = [Cue(0.0, 1.0, ["Q&A <3 --> <b>"])]
    assert format_subtitles(cues, "vtt").endswith("\nQ&amp;A &lt;3 --&gt; &lt;b&gt;")
    assert format_subtitles(cues, "srt").count("-->") == 1


def test_every_cue_of_a_long_recording_can_be_read():
    generator = random.Random(1)
    words, time = [], 0.0
    for _ in range(800):
        word_s = generator.uniform(0.1, 0.7)
        words.append(
            Word("x" * generator.randint(1, 14) + generator.choice(["", "", "", ".", ","]), time, time + word_s)
        )
        time += word_s + generator.choice([0, 0, 0, 0.2, 1.0, 5.0])
    cues = make_cues(words)
    assert " ".join(texts(cues)) == " ".join(word.text for word in words)
    for cue in cues:
        assert len(cue.lines) <= 2 and max(map(len, cue.lines)) <= 42
        assert 0 < cue.end - cue.start <= 7.0 + 1e-6
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(cues))
    assert sum(cue.end - cue.start < 1.0 for cue in cues) < 0.05 * len(cues)  # where the next one follows at once
    long_pauses = {after.start for before, after in pairwise(words) if after.start - before.end > 2.0}
    assert long_pauses <= {cue.start for cue in cues}


def test_cues_end_at_pauses_and_at_ends_of_sentences():
    first, second = "this is what was said before the pause", "and this is what was said after it"
    assert texts(make_cues(spoken(f"{first} | {second}"))) == [first, second]
    sentences = [
        "The first sentence is of some length, as they are.",
        "The second one is no shorter than the first one.",
    ]
    assert texts(make_cues(spoken(" ".join(sentences), word_s=0.35))) == sentences


def test_a_short_cue_stays_for_a_second_and_as_long_as_its_reading_takes():
    (cue,) = make_cues([Word("no", 1.0, 1.2)])
    assert (cue.start, cue.end) == (1.0, 2.0)
    (fast,) = make_cues(spoken("a sentence of fifty one characters said in a second", word_s=0.1))
    assert fast.end == pytest.approx(51 / 17)
    early, late = make_cues([Word("no", 1.0, 1.2), Word("yes", 4.0, 4.4)])
    assert (early.end, late.start) == (2.0, 4.0)


def test_lines_are_balanced_and_wide_characters_count_twice():
    (cue,) = make_cues(spoken("one sentence that is a little longer than a line"))
    assert [len(line) for line in cue.lines] == [22, 25]
    cues = make_cues(
        [Word(character, 0.2 * place, 0.2 * (place + 1)) for place, character in enumerate("你好世界" * 15)]
    )
    assert "".join(line for cue in cues for line in cue.lines) == "你好世界" * 15
    assert all(width(line) <= 42 for cue in cues for line in cue.lines)


def test_a_word_of_any_length_is_a_cue():
    (cue,) = make_cues([Word("x" * 60, 0.0, 9.0)])
    assert cue.lines == ["x" * 60] and cue.end == 7.0
    assert make_cues([]) == []
