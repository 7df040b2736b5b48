"""What counts as the same transcript, and subtitles."""

import pytest

from tasks.common.inference.subtitles import subtitles
from tasks.common.text.normalization import normalize_text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("raw", "“Well – don't,” said Ångström's  ﬁrst"),
        ("lower", "“well – don't,” said ångström's first"),
        ("plain", "well don't said ångström's first"),
    ],
)
def test_each_kind_takes_more_away(kind, expected):
    assert normalize_text("  “Well – don't,” said\tÅngström's  ﬁrst ", kind) == " ".join(expected.split())


def test_plain_text_parts_words_at_hyphens_and_keeps_letters_of_every_script():
    assert normalize_text("Groß-Gerau, ÄÖÜ; don’t_stop 你好。", "plain") == "groß gerau äöü don't stop 你好"


def test_normalising_twice_changes_nothing():
    once = normalize_text("It's 'quoted' — O’Neill’s!", "plain")
    assert once == "it's quoted o'neill's"
    assert normalize_text(once, "plain") == once


SPOKEN = [(0.0, 1.5, "one"), (1.5, 2.0, ""), (3599.9996, 3661.25, "two")]


def test_subrip_counts_its_cues_and_leaves_silence_out():
    assert subtitles(SPOKEN, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\none\n\n2\n01:00:00,000 --> 01:01:01,250\ntwo\n"
    )


def test_webvtt_is_not_told_of_marks_that_were_spoken():
    assert "Q&amp;A &lt; 3" in subtitles([(0.0, 1.0, "Q&A < 3")], "vtt")
    assert "Q&A < 3" in subtitles([(0.0, 1.0, "Q&A < 3")], "srt")


def test_webvtt_has_its_title_and_points():
    assert subtitles(SPOKEN, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\none\n\n2\n01:00:00.000 --> 01:01:01.250\ntwo\n"
    )
