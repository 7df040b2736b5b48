"""Subtitles in SubRip and WebVTT."""

from tasks.common.inference.subtitles import format_subtitles

SEGMENTS = [(0.0, 1.5, "one"), (1.5, 2.0, ""), (3599.9996, 3661.25, "two")]


def test_subrip_counts_its_cues_and_skips_silence():
    assert format_subtitles(SEGMENTS, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\none\n\n2\n01:00:00,000 --> 01:01:01,250\ntwo\n"
    )


def test_webvtt_escapes_markup_in_speech():
    assert "Q&amp;A &lt; 3" in format_subtitles([(0.0, 1.0, "Q&A < 3")], "vtt")
    assert "Q&A < 3" in format_subtitles([(0.0, 1.0, "Q&A < 3")], "srt")


def test_webvtt_has_a_header_and_decimal_points():
    assert format_subtitles(SEGMENTS, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\none\n\n2\n01:00:00.000 --> 01:01:01.250\ntwo\n"
    )
